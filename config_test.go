package gatehouse_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/google/go-cmp/cmp"
)

func TestConfigReportsAllFaultsAtOnce(t *testing.T) {
	_, err := gatehouse.New(gatehouse.Config{
		Resource:       "mcp.example.com/mcp",
		AllowedOrigins: []string{"app.example.com"},
		Leeway:         time.Hour,
		Requirements:   []gatehouse.Requirement{{Tool: "a", Prompt: "b", Require: gatehouse.Require{Scopes: []string{"x"}}}},
	})
	var got []string
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		var fault *gatehouse.ConfigError
		if !errors.As(e, &fault) || fault.Problem == "" || fault.Fix == "" {
			t.Errorf("%v is not a complete ConfigError", e)
			continue
		}
		got = append(got, fault.Field)
	}
	want := []string{"Resource", "Provider", "Requirements[0]", "AllowedOrigins", "Leeway"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields of the faults (-want +got):\n%s", diff)
	}
	const first = `gatehouse: Resource "mcp.example.com/mcp" is not an absolute URL; ` +
		`write it in full, like "https://mcp.example.com/mcp"`
	if text, _, _ := strings.Cut(err.Error(), "\n"); text != first {
		t.Errorf("first line is %s", text)
	}
}

// TestPasswordStaysOutOfTheMessage has URLs with a password in the configuration.
func TestPasswordStaysOutOfTheMessage(t *testing.T) {
	_, err := gatehouse.New(gatehouse.Config{
		Resource: "https://user:hunter2@mcp.example.com/mcp",
		Provider: gatehouse.OIDC("https://user:hunter2@issuer.example.com"),
	})
	if err == nil || strings.Count(err.Error(), "has user info") != 2 || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v; want two about user info, without the password", err)
	}
}

// TestEmptyItems has an empty text in each list of the configuration. An error without the
// value would not say what is wrong.
func TestEmptyItems(t *testing.T) {
	provider := gatehouse.OIDC("https://issuer.example.com")
	for want, config := range map[string]gatehouse.Config{
		"": {RequiredScopes: []string{"a"}, AllowedOrigins: []string{"https://a.example"}, AllowedHosts: []string{"a"}},
		"gatehouse: RequiredScopes has an empty scope; remove it":         {RequiredScopes: []string{""}},
		"gatehouse: ImpliedScopes has an empty scope; remove it":          {ImpliedScopes: map[string][]string{"a": {""}}},
		"gatehouse: Requirements[0].Scopes has an empty scope; remove it": {Requirements: []gatehouse.Requirement{{Tool: "t", Require: gatehouse.Require{Scopes: []string{""}}}}},
		"gatehouse: AllowedOrigins has an empty origin; remove it":        {AllowedOrigins: []string{""}},
		"gatehouse: AllowedHeaders has an empty name; remove it":          {AllowedHeaders: []string{""}},
		"gatehouse: AllowedHosts has an empty host; remove it":            {AllowedHosts: []string{""}},
	} {
		config.Resource, config.Provider = "https://mcp.example.com/mcp", provider
		guard, err := gatehouse.New(config)
		switch {
		case err == nil && want == "":
			guard.Close()
		case err == nil || err.Error() != want:
			t.Errorf("error\n got %v\nwant %s", err, want)
		}
	}
}
