package gatehouse_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
)

func TestMetadata(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, func(cfg *gatehouse.Config) { cfg.ResourceName = "Notes" })
	mux := http.NewServeMux()
	guard.Mount(mux, behind)
	get := func(host, path string) *http.Response {
		return send(mux, request{method: "GET", target: path, host: host})
	}

	want := `{"resource":"http://localhost:3000/mcp","authorization_servers":["` + is.URL() + `"],` +
		`"scopes_supported":["profile","email"],"bearer_methods_supported":["header"],"resource_name":"Notes"}`
	for _, path := range []string{"/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"} {
		resp := get("", path)
		if got := body(t, resp); got != want || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: status %d\n got %s\nwant %s", path, resp.StatusCode, got, want)
		}
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "*" {
			t.Errorf("%s: Access-Control-Allow-Origin %q, want *", path, got)
		}
		if !strings.Contains(body(t, get("127.0.0.1:3000", path)), `"resource":"http://127.0.0.1:3000/mcp"`) {
			t.Errorf("%s under 127.0.0.1 names another resource", path)
		}
		if !strings.Contains(body(t, get("evil.example.com", path)), `"resource":"http://localhost:3000/mcp"`) {
			t.Errorf("%s takes its resource from Host", path)
		}
		if resp := send(mux, request{method: "HEAD", target: path}); resp.StatusCode != 200 || body(t, resp) != "" {
			t.Errorf("HEAD %s: status %d", path, resp.StatusCode)
		}
		resp = send(mux, request{method: "OPTIONS", target: path})
		if resp.StatusCode != 204 || !strings.Contains(resp.Header.Get("Access-Control-Allow-Headers"), "MCP-Protocol-Version") {
			t.Errorf("OPTIONS %s: status %d, headers %v", path, resp.StatusCode, resp.Header)
		}
		if resp := send(mux, request{method: "POST", target: path}); resp.StatusCode != 405 || resp.Header.Get("Allow") == "" {
			t.Errorf("POST %s: status %d", path, resp.StatusCode)
		}
	}
	if got := body(t, get("", "/.well-known/oauth-authorization-server")); got != is.Metadata() {
		t.Errorf("pass-through\n got %s\nwant %s", got, is.Metadata())
	}
	resp := get("", "/.well-known/openid-configuration")
	if resp.StatusCode != 404 || !strings.Contains(body(t, resp), "not_found") {
		t.Errorf("a document that the issuer does not have: status %d, want 404", resp.StatusCode)
	}
	is.SetDown(true)
	if got := body(t, get("", "/.well-known/oauth-authorization-server")); got != is.Metadata() {
		t.Errorf("in an outage: got %s, want the last valid copy", got)
	}
	fresh := http.NewServeMux()
	newGuard(t, is).Mount(fresh, behind)
	resp = send(fresh, request{method: "GET", target: "/.well-known/oauth-authorization-server"})
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("in an outage, without a copy: status %d, want 503 with Retry-After", resp.StatusCode)
	}
}
