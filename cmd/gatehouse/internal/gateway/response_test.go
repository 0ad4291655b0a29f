package gateway_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
)

func TestHiddenHeaders(t *testing.T) {
	hidden := []string{
		"WWW-Authenticate", "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Server", "X-Powered-By", "Via", "Alt-Svc",
		"X-Forwarded-User", "X-Gatehouse-Assertion", "Location", "Set-Cookie", "Strict-Transport-Security", "Keep-Alive", "Proxy-Authenticate",
		"Set-Cookie2", "SourceMap", "X-Accel-Redirect", "X-Sendfile",
	}
	f := newFixture(t)
	f.backend.answer = func(w http.ResponseWriter, _ *http.Request, body string) {
		for _, name := range hidden {
			w.Header().Set(name, "theirs")
		}
		w.Header().Set("Connection", "X-Internal-Hop")
		w.Header().Set("X-Internal-Hop", "theirs")
		w.Header().Set("X-Own", "kept")
		w.Header().Set("X-Accel-Buffering", "no")
		w.Header().Set("Trailer", "X-Forwarded-User")
		writeResult(w, body, map[string]any{})
		w.Header().Set("X-Forwarded-User", "theirs")
		w.Header().Set(http.TrailerPrefix+"Www-Authenticate", "theirs")
	}
	resp := f.open(t, t.Context(), http.MethodPost, call, "Authorization", "Bearer "+f.token())
	defer resp.Body.Close()
	buf := make([]byte, 1<<10)
	for err := error(nil); err == nil; {
		_, err = resp.Body.Read(buf)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("X-Own") != "kept" || resp.Header.Get("X-Accel-Buffering") != "no" {
		t.Errorf("status %d, X-Own %q and X-Accel-Buffering %q, want 200, kept and no", resp.StatusCode, resp.Header.Get("X-Own"),
			resp.Header.Get("X-Accel-Buffering"))
	}
	for _, h := range []http.Header{resp.Header, resp.Trailer} {
		for name, values := range h {
			if slices.Contains(values, "theirs") {
				t.Errorf("the client got %s of the backend", name)
			}
		}
	}
}

// Informational answers would carry headers of the backend, and would remove those of the guard.
func TestInformationalAnswers(t *testing.T) {
	f := newFixture(t, func(_ *fixture, e *gateway.Endpoint) { e.Guard.AllowedOrigins = []string{"https://app.example.com"} })
	f.backend.answer = func(w http.ResponseWriter, _ *http.Request, body string) {
		w.Header().Set("Www-Authenticate", "theirs")
		w.WriteHeader(http.StatusEarlyHints)
		writeResult(w, body, map[string]any{})
	}
	got := f.post(t, call, "Origin", "https://app.example.com")
	wantOK(t, got)
	if got.header.Get("Access-Control-Allow-Origin") != "https://app.example.com" || got.header.Get("Www-Authenticate") != "" {
		t.Errorf("the headers are %v, want those of the guard and none of the backend", got.header)
	}
}

func TestMisleadingStatus(t *testing.T) {
	for _, test := range []struct {
		status int
		reason string // of a 502; empty if the answer is passed on
	}{
		{200, ""}, {202, ""}, {400, ""}, {403, ""}, {404, ""}, {405, ""}, {429, ""}, {500, ""}, {503, ""},
		{401, "upstream_wants_credentials"}, {407, "upstream_wants_credentials"},
		{301, "upstream_redirects"}, {302, "upstream_redirects"}, {307, "upstream_redirects"}, {308, "upstream_redirects"},
	} {
		f := newFixture(t)
		f.backend.answer = func(w http.ResponseWriter, _ *http.Request, body string) {
			w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="https://evil.example/x"`)
			w.Header().Set("Location", "http://10.0.0.7/internal")
			w.WriteHeader(test.status)
		}
		got := f.post(t, call)
		if got.header.Get("WWW-Authenticate") != "" || strings.Contains(got.body, "10.0.0.7") || got.header.Get("Location") != "" {
			t.Errorf("status %d: the client got %v %q of the backend", test.status, got.header, got.body)
		}
		if test.reason != "" {
			wantReason(t, got, http.StatusBadGateway, test.reason)
		} else if got.status != test.status {
			t.Errorf("status %d of the backend is %d for the client, want it passed on", test.status, got.status)
		}
	}
}

// What the backend publishes about sign-in is not reachable.
func TestDocumentsOfTheBackendAreHidden(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{
		"/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-authorization-server",
		"/.well-known/openid-configuration", "/.well-known/openid-configuration/mcp", "/register", "/authorize", "/token", "/admin", "/mcp/x", "/backend",
	} {
		resp, err := http.Get(f.origin + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if n := len(f.backend.requests()); n != 0 {
		t.Errorf("the backend got %d requests, want none: %s", n, f.backend.last(t).URL)
	}
	wantOK(t, f.post(t, call))
	if n := len(f.backend.requests()); n != 1 {
		t.Errorf("the backend got %d requests, want that of the endpoint", n)
	}
}

// net/http panics for a status below 100, and passes others on that HTTP does not have.
func TestInvalidStatus(t *testing.T) {
	for status, reason := range map[string]string{
		"099": "upstream_invalid_status", "600": "upstream_invalid_status", "999": "upstream_invalid_status", "200": "", "599": "",
	} {
		f := newFixture(t)
		f.backend.answer = func(w http.ResponseWriter, _ *http.Request, _ string) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprintf(conn, "HTTP/1.1 %s Odd\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", status)
		}
		got := f.post(t, call)
		if reason != "" {
			wantReason(t, got, http.StatusBadGateway, reason)
		} else if strconv.Itoa(got.status) != status || got.body != "{}" {
			t.Errorf("got status %d with body %q, want %s as the backend sends it", got.status, got.body, status)
		}
	}
}
