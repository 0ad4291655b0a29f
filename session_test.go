package gatehouse_test

import (
	"io"
	"net/http"
	"testing"
)

func TestSessionsAreBoundToTheirUser(t *testing.T) {
	is := newIssuer(t)
	opener := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Mcp-Session-Id") == "" {
			w.Header().Set("Mcp-Session-Id", "session-1")
		}
		io.WriteString(w, "ok")
	})
	handler := newGuard(t, is).Wrap(opener)
	alice, bob := is.token(resource), is.token(resource, change{"claims", "sub", "user_2"})
	if resp := send(handler, request{header: bearer(alice)}); resp.Header.Get("Mcp-Session-Id") != "session-1" {
		t.Fatal("no session")
	}
	for _, method := range []string{"POST", "GET", "DELETE"} {
		resp := send(handler, request{method: method, header: with(bearer(alice), "Mcp-Session-Id", "session-1")})
		if resp.StatusCode != 200 {
			t.Errorf("%s of the user who opened it: status %d, want 200", method, resp.StatusCode)
		}
		resp = send(handler, request{method: method, header: with(bearer(bob), "Mcp-Session-Id", "session-1")})
		if c := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != 403 || c != "" {
			t.Errorf("%s of another user: status %d, challenge %q; want 403 without a challenge", method, resp.StatusCode, c)
		}
		resp = send(handler, request{method: method, header: http.Header{"Mcp-Session-Id": {"session-1"}}})
		if resp.StatusCode != 401 {
			t.Errorf("%s with the session id alone: status %d, want 401", method, resp.StatusCode)
		}
	}
}
