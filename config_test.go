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
		Requirements:   []gatehouse.Requirement{{Tool: "a", Prompt: "b", Scopes: []string{"x"}}},
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
