package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"golang.org/x/oauth2"
)

const tool = "get-organization-info"

// start runs the server with a local Clerk, and returns its URL.
func start(t *testing.T, local *gatehousetest.ClerkServer) string {
	t.Helper()
	settings := local.Settings()
	settings.DefaultScopes = append(settings.DefaultScopes, clerk.OrganizationScope)
	if err := local.SetSettings(settings); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, err := newServer(serve.Config{
		URL:      "http://" + listener.Addr().String(),
		Provider: local.Provider(),
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return server.URL()
}

// post calls the tool with a token, as a client that does not step up, and returns the answer.
func post(t *testing.T, url, token string) (status int, challenge, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url,
		strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+tool+`"}}`))
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
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("WWW-Authenticate"), string(text)
}

// A user who chooses an organization on the consent page uses the tool. The server makes the
// client ask for the scope that shows the choice: the test asks for none itself.
func TestChosenOrganization(t *testing.T) {
	local := gatehousetest.Clerk(t)
	url := start(t, local)
	organization := local.Organizations()[0]
	session := local.Connect(t, url, gatehousetest.Person{User: "grace", Organization: organization.ID})
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool})
	if err != nil || result.IsError {
		t.Fatalf("%s = %v, %v", tool, result, err)
	}
	if got, _ := result.StructuredContent.(map[string]any); got["org_id"] != organization.ID {
		t.Errorf("got %v, want organization %s", got, organization.ID)
	}
}

// A token without the scope leads to it, and a user who has the scope and chose no organization
// gets an answer that says so.
func TestNoOrganization(t *testing.T) {
	local := gatehousetest.Clerk(t)
	url := start(t, local)
	status, challenge, _ := post(t, url, local.Token(t, url, gatehousetest.Person{User: "grace"}))
	if status != 403 || !strings.Contains(challenge, `error="insufficient_scope"`) || !strings.Contains(challenge, clerk.OrganizationScope) {
		t.Errorf("without the scope: got status %d, challenge %s", status, challenge)
	}
	none := gatehousetest.Person{User: "grace", Scopes: []string{"profile", "email", clerk.OrganizationScope}}
	status, challenge, body := post(t, url, local.Token(t, url, none))
	if status != 403 || challenge != "" || !strings.Contains(body, "no active organization; sign in again and choose one") {
		t.Errorf("without a choice: got status %d, challenge %q, body %s", status, challenge, body)
	}
}

// A client steps up in the middle of a session: it connects with a token that lacks the scope,
// and calls the tool after the user has chosen.
func TestStepUp(t *testing.T) {
	local := gatehousetest.Clerk(t)
	url := start(t, local)
	organization := local.Organizations()[0]
	handler := &narrowFirst{token: local.Token(t, url, gatehousetest.Person{User: "grace"})}
	handler.authorize = func() string {
		return local.Token(t, url, gatehousetest.Person{User: "grace", Organization: organization.ID})
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: url, OAuthHandler: handler}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool})
	if err != nil || result.IsError {
		t.Fatalf("%s = %v, %v", tool, result, err)
	}
	if got, _ := result.StructuredContent.(map[string]any); got["org_id"] != organization.ID || handler.signIns != 1 {
		t.Errorf("got %v after %d sign-ins, want organization %s after 1", got, handler.signIns, organization.ID)
	}
}

// narrowFirst is an OAuth handler whose first token lacks the scope, as if it came from a sign-in
// before the tool required an organization.
type narrowFirst struct {
	token     string
	authorize func() string
	signIns   int
}

func (h *narrowFirst) TokenSource(context.Context) (oauth2.TokenSource, error) {
	return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: h.token}), nil
}

func (h *narrowFirst) Authorize(_ context.Context, _ *http.Request, resp *http.Response) error {
	defer resp.Body.Close()
	if challenge := resp.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, clerk.OrganizationScope) {
		return errors.New("challenge without the scope: " + challenge)
	}
	h.signIns++
	h.token = h.authorize()
	return nil
}
