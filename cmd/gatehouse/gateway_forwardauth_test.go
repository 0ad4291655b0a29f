package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/forwarded"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
)

const forwardAuthResource = "https://mcp.example.com/mcp"

// newForwardAuth returns a server for Caddy, its configuration and its issuer.
func newForwardAuth(t *testing.T) (*forwardAuthServer, gateway.Config, *testissuer.Issuer) {
	t.Helper()
	issuer, log := testissuer.Start(t), &testlog.Buffer{}
	cfg := gateway.Config{Logger: log.Logger(), Endpoints: []gateway.Endpoint{{
		Guard:   gatehouse.Config{Resource: forwardAuthResource, Provider: gatehouse.OIDC(issuer.URL()), Logger: log.Logger()},
		Headers: forwarded.DefaultHeaders(),
	}}}
	s, err := newForwardAuthServer(gatewayOptions{forwardAuth: forwardAuthOptions{proxy: "caddy"}}, cfg, explainForwardAuthFault)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.current.Load().Close() })
	return s, cfg, issuer
}

// ask asks about a POST to the endpoint, in a session if session is not empty.
func (s *forwardAuthServer) ask(token, session string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/auth", nil)
	r.RemoteAddr = "127.0.0.1:1"
	for name, value := range map[string]string{"X-Forwarded-Method": "POST", "X-Forwarded-Uri": "/mcp", "X-Forwarded-Host": "mcp.example.com",
		"Authorization": "Bearer " + token, "Mcp-Session-Id": session} {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func (s *forwardAuthServer) get(path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

func TestForwardAuthServer(t *testing.T) {
	s, _, issuer := newForwardAuth(t)
	w := s.ask(issuer.Token(forwardAuthResource), "")
	if w.Code != http.StatusOK || w.Header().Get("X-Forwarded-User") != "user_ada" || strings.Count(w.Header().Get("X-Gatehouse-Assertion"), ".") != 2 {
		t.Errorf("got status %d and headers %v, want 200, the user and an assertion", w.Code, w.Header())
	}
	if w := s.ask("x.y.z", ""); w.Code != http.StatusUnauthorized || w.Header().Get("X-Gatehouse-Assertion") != "" {
		t.Errorf("got status %d for an invalid token, want 401 without an assertion", w.Code)
	}
	var keys struct{ Keys []map[string]any }
	if err := json.Unmarshal(s.get(forwarded.KeysPath).Body.Bytes(), &keys); err != nil || len(keys.Keys) == 0 {
		t.Errorf("got %d keys, %v, want some", len(keys.Keys), err)
	}
	if w := s.get("/.well-known/oauth-protected-resource/mcp"); w.Code != http.StatusOK {
		t.Errorf("got status %d for the resource metadata, want 200", w.Code)
	}
}

func TestForwardAuthHealth(t *testing.T) {
	s, _, issuer := newForwardAuth(t)
	issuer.SetDown(true)
	if w := s.get("/healthz"); w.Code != http.StatusOK {
		t.Errorf("/healthz: got status %d, want 200", w.Code)
	}
	if w := s.get("/readyz"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("/readyz without keys: got status %d, want 503", w.Code)
	}

	s, _, _ = newForwardAuth(t)
	if w := s.get("/readyz"); w.Code != http.StatusOK {
		t.Errorf("/readyz: got status %d, want 200", w.Code)
	}
	for _, guard := range s.current.Load().Guards() {
		guard.Drain()
	}
	if w := s.get("/readyz"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("/readyz while draining: got status %d, want 503", w.Code)
	}
}

// A changed configuration applies to the next question, and sessions stay with their users. One with
// faults changes nothing.
func TestForwardAuthChanges(t *testing.T) {
	s, cfg, issuer := newForwardAuth(t)
	ada, eve := issuer.Token(forwardAuthResource), issuer.Token(forwardAuthResource, testissuer.Claim("sub", "user_eve"))
	if w := s.ask(ada, "s1"); w.Code != http.StatusOK {
		t.Fatalf("got status %d, want 200", w.Code)
	}
	cfg.Endpoints[0].Guard.RequiredScopes = []string{"email"}
	if err := s.apply(cfg); err != nil {
		t.Fatal(err)
	}
	if w := s.ask(eve, "s1"); w.Code != http.StatusNotFound {
		t.Errorf("got status %d for the session of another user, want 404", w.Code)
	}
	without := issuer.Token(forwardAuthResource, testissuer.Claim("scope", "profile"))
	if w := s.ask(without, ""); w.Code != http.StatusForbidden {
		t.Errorf("got status %d without the scope, want 403", w.Code)
	}

	cfg.Endpoints[0].Guard.RequiredScopes = nil
	cfg.Endpoints[0].Guard.ChallengeInResult = true
	if err := s.apply(cfg); err == nil {
		t.Fatal("a configuration with a fault was applied")
	}
	if w := s.ask(without, ""); w.Code != http.StatusForbidden {
		t.Errorf("got status %d after a configuration with a fault, want 403 as before", w.Code)
	}
}
