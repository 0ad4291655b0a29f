//go:build providers && unix

package providers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
	"github.com/gatehouse-mcp/gatehouse/provider/keycloak"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// endpoint is an MCP server on a free port of 127.0.0.1. Its URL is known before it has a
// guard, because most authorization servers are configured with it.
type endpoint struct {
	URL     string // http://127.0.0.1:PORT/mcp
	handler atomic.Pointer[http.Handler]
	log     testlog.Buffer // of the guard
}

// newEndpoint starts an MCP server that answers 503 until protect is called.
func newEndpoint(t testing.TB) *endpoint {
	t.Helper()
	e := &endpoint{}
	e.log.ShowOnFailure(t, "the guard")
	e.replace(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(*e.handler.Load()).ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	e.URL = server.URL + "/mcp"
	return e
}

func (e *endpoint) replace(handler http.Handler) { e.handler.Store(&handler) }

// protect puts a guard for the provider in front of the endpoint, in place of the guard that
// it had. configure changes the guard's configuration; it may be nil. Several providers are
// set there: in Config.Providers, with the zero Provider here.
func (e *endpoint) protect(t testing.TB, provider gatehouse.Provider, configure func(*gatehouse.Config)) {
	t.Helper()
	cfg := gatehouse.Config{Resource: e.URL, Provider: provider, Logger: e.log.Logger()}
	if configure != nil {
		configure(&cfg)
	}
	guard, err := gatehouse.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(guard.Close)
	if err := guard.Ready(within(t, stepTime)); err != nil {
		t.Fatalf("the guard is not ready: %v", err)
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "providers", Version: "1.0.0"}, nil)
	server.AddReceivingMiddleware(guard.Middleware())
	mcp.AddTool(server, &mcp.Tool{Name: "whoami", Description: "Describes the caller"}, whoami)
	mux := http.NewServeMux()
	guard.Mount(mux, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil))
	e.replace(mux)
}

// caller is the result of the tool whoami: the identity of the caller.
type caller struct {
	Provider    string   `json:"provider"`
	Kind        string   `json:"kind"`
	Issuer      string   `json:"issuer"`
	Subject     string   `json:"subject"`
	Client      string   `json:"client"`
	Scopes      []string `json:"scopes"`
	Roles       []string `json:"roles"`
	Permissions []string `json:"permissions"`

	Organization string `json:"organization"`
	Name         string `json:"name"` // from the type of a provider package
}

func whoami(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, caller, error) {
	id, ok := gatehouse.IdentityOf(req)
	if !ok {
		return nil, caller{}, errors.New("the request did not pass a guard")
	}
	notNil := func(list []string) []string { return append([]string{}, list...) } // the schema requires arrays
	c := caller{
		Provider:    id.Provider,
		Kind:        id.Kind.String(),
		Issuer:      id.Issuer,
		Subject:     id.Subject,
		Client:      id.ClientID,
		Scopes:      notNil(id.Scopes),
		Roles:       notNil(id.Roles),
		Permissions: notNil(id.Permissions),

		Organization: id.Organization.ID,
	}
	if user, ok := keycloak.UserOf(req); ok {
		c.Name = user.Name
	}
	return nil, c, nil
}

// initialize is the first request of an MCP client.
const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18",` +
	`"capabilities":{},"clientInfo":{"name":"providers","version":"1.0.0"}}}`

// maxBody bounds what is read of an answer.
const maxBody = 1 << 20

// reason sends a request with a token and returns the reason why the guard rejected it, or
// "" if the guard accepted it.
func (e *endpoint) reason(t testing.TB, token string) gatehouse.Reason {
	t.Helper()
	req, err := http.NewRequestWithContext(within(t, stepTime), http.MethodPost, e.URL, bytes.NewReader([]byte(initialize)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode == http.StatusOK {
		return ""
	}
	var rejection struct{ Reason gatehouse.Reason }
	if err := json.Unmarshal(body, &rejection); err != nil || rejection.Reason == "" {
		t.Fatalf("the endpoint answered %s without a reason: %s", resp.Status, body)
	}
	return rejection.Reason
}

// wantReason checks that the guard rejects a token for a reason; "" means that it accepts it.
func (e *endpoint) wantReason(t *testing.T, token, name string, want gatehouse.Reason) {
	t.Helper()
	if token == "" {
		t.Fatalf("the server issued no %s", name)
	}
	if got := e.reason(t, token); got != want {
		t.Errorf("%s: got reason %q, want %q", name, got, want)
	}
}
