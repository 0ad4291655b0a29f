package gatehouse_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
)

func TestPreflight(t *testing.T) {
	handler := newGuard(t, newIssuer(t), func(cfg *gatehouse.Config) { cfg.AllowedHeaders = []string{"X-Tenant"} }).Wrap(behind)
	header := http.Header{
		"Origin":                         {"http://localhost:6274"},
		"Access-Control-Request-Method":  {"POST"},
		"Access-Control-Request-Headers": {"authorization,content-type,mcp-param-region,mcp-param-bad\"name,x-evil"},
	}
	resp := send(handler, request{method: "OPTIONS", header: header})
	if resp.StatusCode != http.StatusNoContent {
		t.Errorf("status %d, want 204", resp.StatusCode)
	}
	allowed := resp.Header.Get("Access-Control-Allow-Headers")
	for _, name := range []string{
		"Authorization", "Mcp-Session-Id", "MCP-Protocol-Version", "Last-Event-ID", "mcp-param-region",
		"traceparent", "tracestate", "baggage", "X-Tenant",
	} {
		if !strings.Contains(allowed, name) {
			t.Errorf("Access-Control-Allow-Headers %q lacks %s", allowed, name)
		}
	}
	for _, name := range []string{"evil", "bad"} {
		if strings.Contains(allowed, name) {
			t.Errorf("Access-Control-Allow-Headers %q has %s", allowed, name)
		}
	}
	if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "http://localhost:6274" {
		t.Errorf("Access-Control-Allow-Origin %q", got)
	}
	header.Set("Origin", "https://evil.example.com")
	if resp := send(handler, request{method: "OPTIONS", header: header}); resp.StatusCode != http.StatusForbidden {
		t.Errorf("preflight of a foreign origin: status %d, want 403", resp.StatusCode)
	}
}

func TestRejectionsAreReadableByBrowsers(t *testing.T) {
	handler := newGuard(t, newIssuer(t)).Wrap(behind)
	resp := send(handler, request{header: http.Header{"Origin": {"http://localhost:6274"}}})
	if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("Access-Control-Allow-Origin") == "" ||
		!strings.Contains(resp.Header.Get("Access-Control-Expose-Headers"), "WWW-Authenticate") {
		t.Errorf("status %d, headers %v; want a 401 that a page can read", resp.StatusCode, resp.Header)
	}
	if !slices.Contains(resp.Header.Values("Vary"), "Origin") {
		t.Errorf("Vary %q lacks Origin", resp.Header.Values("Vary"))
	}
}
