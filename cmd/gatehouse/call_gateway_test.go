package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// failingBackend is an MCP server whose tools/call fails in one way, unless fail is nil.
func failingBackend(t *testing.T, fail http.HandlerFunc) string {
	t.Helper()
	open, err := http.NewRequest(http.MethodGet, newOpenServer(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if fail != nil && strings.Contains(string(body), `"tools/call"`) {
			fail(w, r)
			return
		}
		next := r.Clone(r.Context())
		next.URL, next.Host, next.RequestURI = open.URL, open.URL.Host, ""
		next.Body = io.NopCloser(strings.NewReader(string(body)))
		resp, err := http.DefaultTransport.RoundTrip(next)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer resp.Body.Close()
		for name, values := range resp.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(resp.StatusCode)
		io.Copy(w, resp.Body)
	}))
	t.Cleanup(backend.Close)
	return backend.URL
}

// A call that the gateway cannot forward is reported with the gateway's own words and what to do.
func TestCallThroughGateway(t *testing.T) {
	f := newFixture(t)
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	url := "http://localhost:" + port + "/mcp"
	start := func(t *testing.T, upstream string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "gateway.yaml")
		text := fmt.Sprintf("listen: localhost:%s\nprovider: {name: clerk, frontend_api_url: %q}\nendpoints:\n"+
			"  - {url: %q, upstream: %q, header_timeout: 300ms, max_body_bytes: 2000}\n", port, f.clerkURL, url, upstream)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		startGateway(t, "--config", file)
	}
	for _, test := range []struct {
		name              string
		fail              http.HandlerFunc // nil for a call that succeeds
		wantErr, wantHint string
	}{
		{"control", nil, "", ""},
		{"broken", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			"answered 502: the MCP server behind the gateway closed the connection before it answered", "check whether the operation was carried out"},
		{"slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			"answered 504: the MCP server behind the gateway did not answer in time", "raise header_timeout of the gateway"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x/", http.StatusTemporaryRedirect) },
			"answered 502: the MCP server behind the gateway redirects to another address", "set the upstream of the gateway"},
		{"wants credentials", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
			"answered 502: the MCP server behind the gateway asks for credentials of its own", "switch the MCP server's own sign-in off"},
		{"502 of its own", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
			"the proxy in front of the server does not reach it", "start the MCP server"},
		{"breaks off", breaksOff,
			"ended the answer: the MCP server behind the gateway closed the connection", "check whether the operation was carried out"},
	} {
		t.Run(test.name, func(t *testing.T) {
			start(t, failingBackend(t, test.fail))
			got := f.call(t, url, "whoami")
			wantFailure(t, got, test.wantErr, test.wantHint)
		})
	}
	t.Run("does not run", func(t *testing.T) {
		backend := httptest.NewServer(http.NotFoundHandler())
		backend.Close()
		start(t, backend.URL)
		wantFailure(t, f.call(t, url, "whoami"),
			"answered 502: the MCP server behind the gateway is not reachable", "start the MCP server, or correct the upstream of the gateway")
	})
	t.Run("too large", func(t *testing.T) {
		start(t, failingBackend(t, nil))
		got := f.call(t, url, "whoami", `{"x":"`+strings.Repeat("x", 3000)+`"}`)
		wantFailure(t, got, "rejects the request with 413: body_too_large", "raise MaxBodyBytes (max_body_bytes of the gateway)")
	})
	t.Run("provider unavailable", func(t *testing.T) {
		f.interceptClerk = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/.well-known/jwks.json" {
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			}
			return false
		}
		start(t, failingBackend(t, nil))
		wantFailure(t, f.call(t, url, "whoami"), "rejects the request with 503: provider_unavailable", "try again in a moment (Retry-After: ")
	})
}

// breaksOff begins an event stream and closes the connection.
func breaksOff(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	io.WriteString(w, ": begins\n\n")
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// wantFailure checks the error and the hint of a call. An empty error means success.
func wantFailure(t *testing.T, got outcome, wantErr, wantHint string) {
	t.Helper()
	if wantErr == "" {
		got.want(t, exitOK)
		return
	}
	errorLine, hintLine := "", ""
	for line := range strings.Lines(got.stderr) {
		if text, ok := strings.CutPrefix(line, "gatehouse: error: "); ok {
			errorLine += text
		} else if text, ok := strings.CutPrefix(line, "gatehouse: hint: "); ok {
			hintLine += text
		}
	}
	if got.code != exitFailure || !strings.Contains(errorLine, wantErr) || !strings.Contains(hintLine, wantHint) {
		t.Errorf("got status %d, error %q and hint %q, want %q and %q", got.code, errorLine, hintLine, wantErr, wantHint)
	}
}
