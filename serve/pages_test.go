package serve_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func TestLandingTools(t *testing.T) {
	const evil = `<script>alert(1)</script>`
	server := start(t, func(cfg *serve.Config) {
		cfg.Instructions = "Call whoami first."
		cfg.LandingTools = []*mcp.Tool{
			{Name: "search", Description: "Search the notes " + evil},
			{Name: "plain"},
		}
	})
	_, page := get(t, server.URL(), browser)
	for _, want := range []string{">search<", "Search the notes &lt;script&gt;", ">plain<"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, evil) {
		t.Error("a description is not escaped")
	}
	if strings.Contains(page, "Needs an organization") {
		t.Error("the page shows a tool that was not declared for it")
	}
	connect, tools := strings.Index(page, `id="connect"`), strings.Index(page, `id="tools"`)
	instructions := strings.Index(page, `id="instructions"`)
	if connect < 0 || tools < connect || instructions < tools {
		t.Errorf("how to connect is at %d, tools at %d, instructions at %d; want this order", connect, tools, instructions)
	}
}

// TestLandingPolicy checks that the policy allows exactly the style and the script of the
// page, by their hashes.
func TestLandingPolicy(t *testing.T) {
	server := start(t)
	resp, page := get(t, server.URL(), browser)
	want := []string{"default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"}
	for directive, element := range map[string]string{"style-src": "style", "script-src": "script"} {
		found := regexp.MustCompile(`(?s)<`+element+`>(.*?)</`+element+`>`).FindAllStringSubmatch(page, -1)
		if len(found) != 1 {
			t.Fatalf("the page has %d elements %s, want 1", len(found), element)
		}
		sum := sha256.Sum256([]byte(found[0][1]))
		want = append(want, directive+" 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	}
	policy := resp.Header.Get("Content-Security-Policy")
	directives := strings.Split(policy, "; ")
	if len(directives) != len(want) {
		t.Errorf("policy %q has %d directives, want %d", policy, len(directives), len(want))
	}
	for _, directive := range want {
		if !strings.Contains("; "+policy+"; ", "; "+directive+"; ") {
			t.Errorf("policy %q lacks %q", policy, directive)
		}
	}
	if strings.Contains(page, `style="`) || regexp.MustCompile(`<[^>]* on[a-z]+=`).MatchString(page) {
		t.Error("the page has inline attributes that the policy blocks")
	}
}

func TestLandingToolsFaults(t *testing.T) {
	provider := gatehouse.OIDC("https://issuer.example.com")
	guard, err := gatehouse.New(gatehouse.Config{Resource: "https://mcp.example.com/mcp", Provider: provider})
	if err != nil {
		t.Fatal(err)
	}
	tools := []*mcp.Tool{{Name: "search"}}
	for _, test := range []struct {
		name    string
		config  serve.Config
		wantErr string // empty for none
	}{
		{"control", serve.Config{Provider: provider, LandingTools: tools}, ""},
		{
			"without a page",
			serve.Config{Provider: provider, LandingTools: tools, NoLandingPage: true},
			"LandingTools is set in addition to NoLandingPage; remove one",
		},
		{
			"no name",
			serve.Config{Provider: provider, LandingTools: []*mcp.Tool{{Name: "search"}, {}}},
			"LandingTools[1] has no name; name the tool",
		},
		{"nil", serve.Config{Provider: provider, LandingTools: []*mcp.Tool{nil}}, "LandingTools[0] has no name"},
		{"next to a guard", serve.Config{Guard: guard, LandingTools: tools}, "Guard is set in addition to LandingTools"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := test.config
			cfg.Name, cfg.Version = "n", "1"
			_, err := serve.New(cfg)
			if test.wantErr == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var fault *gatehouse.ConfigError
			if !errors.As(err, &fault) || !strings.Contains(err.Error(), test.wantErr) {
				t.Errorf("error %v, want %s", err, test.wantErr)
			}
		})
	}
}

// TestLandingPageIsForBrowsers checks that only a request for HTML gets the page.
func TestLandingPageIsForBrowsers(t *testing.T) {
	server := start(t)
	for accept, want := range map[string]int{browser: 200, "*/*": 401, "text/event-stream": 401} {
		if resp, _ := get(t, server.URL(), accept); resp.StatusCode != want {
			t.Errorf("Accept %s: status %d, want %d", accept, resp.StatusCode, want)
		}
	}
}
