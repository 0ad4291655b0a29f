package mcpgo_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// signIn signs user in with the OAuth handler of mcp-go's client.
func signIn(ctx context.Context, handler *transport.OAuthHandler, user string) error {
	if err := handler.RegisterClient(ctx, "test"); err != nil {
		return err
	}
	verifier, err := client.GenerateCodeVerifier()
	if err != nil {
		return err
	}
	state, err := client.GenerateState()
	if err != nil {
		return err
	}
	address, err := handler.GetAuthorizationURL(ctx, state, client.GenerateCodeChallenge(verifier))
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	req.Header.Set(localclerk.SignInHeader, user)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || to.Query().Get("code") == "" {
		return errors.Join(errors.New("the sign-in did not redirect with a code: "+resp.Header.Get("Location")), err)
	}
	return handler.ProcessAuthorizationResponse(ctx, to.Query().Get("code"), to.Query().Get("state"), verifier)
}

// connect returns an initialized client of mcp-go, after user signed in.
func (f *fixture) connect(t *testing.T, user string, scopes ...string) *client.Client {
	t.Helper()
	c, err := client.NewOAuthStreamableHttpClient(f.url, client.OAuthConfig{
		RedirectURI: "http://127.0.0.1:9/callback",
		Scopes:      scopes,
		TokenStore:  client.NewMemoryTokenStore(),
		PKCEEnabled: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = c.Initialize(t.Context(), mcp.InitializeRequest{})
	if !client.IsOAuthAuthorizationRequiredError(err) {
		t.Fatalf("got %v without a token, want the error that asks for a sign-in", err)
	}
	if err := signIn(t.Context(), client.GetOAuthHandler(err), user); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Initialize(t.Context(), mcp.InitializeRequest{}); err != nil {
		t.Fatal(err)
	}
	return c
}

// callTool calls the tool with mcp-go's client and returns the text of the result.
func callTool(ctx context.Context, c *client.Client, tool string) (string, error) {
	var req mcp.CallToolRequest
	req.Params.Name = tool
	result, err := c.CallTool(ctx, req)
	if err != nil {
		return "", err
	}
	return mcp.GetTextFromContent(result.Content[0]), nil
}

// userID returns the ID of the user with the username.
func (f *fixture) userID(name string) string {
	users := f.clerk.Users()
	return users[slices.IndexFunc(users, func(u localclerk.User) bool { return u.Username == name })].ID
}

func TestSignInWithClientOfMCPGo(t *testing.T) {
	f := newFixture(t)
	c := f.connect(t, "grace", "profile", "email")
	text, err := callTool(t.Context(), c, "whoami")
	if err != nil {
		t.Fatal(err)
	}
	if got := callerIn(t, text); got.Subject != f.userID("grace") {
		t.Errorf("the caller is %q, want Grace", got.Subject)
	}
	if _, err := callTool(t.Context(), c, "delete"); err == nil {
		t.Error("a call without the scope succeeded")
	}
	withScope := f.connect(t, "grace", "profile", "email", scopeWrite)
	if _, err := callTool(t.Context(), withScope, "delete"); err != nil {
		t.Errorf("a call with the scope: %v", err)
	}
}

func TestSignInWithClientOfGoSDK(t *testing.T) {
	for name, options := range transports {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, options...)
			session := f.clerk.Connect(t, f.url, gatehousetest.Person{User: "grace"})
			for _, tool := range []string{"whoami", "delete"} {
				result, err := session.CallTool(t.Context(), &gosdk.CallToolParams{Name: tool})
				if err != nil || result.IsError {
					t.Fatalf("%s: got %v, %v", tool, result, err)
				}
				got := callerIn(t, result.Content[0].(*gosdk.TextContent).Text)
				if got.Subject != f.userID("grace") {
					t.Errorf("%s: the caller is %q, want Grace", tool, got.Subject)
				}
			}
		})
	}
}

// transports are the ways to serve the older revisions.
var transports = map[string][]server.StreamableHTTPOption{
	"default":   nil,
	"stateful":  {server.WithStateful(true)},
	"stateless": {server.WithStateLess(true)},
}

func TestCheck(t *testing.T) {
	for name, options := range transports {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, options...)
			f.clerk.Check(t, f.url)
		})
	}
}

func TestExpiredToken(t *testing.T) {
	f := newFixture(t)
	token := f.clerk.Token(t, f.guard.Resource(), gatehousetest.Person{}, gatehousetest.Expired)
	got := f.post(t, token, "", call("whoami"))
	if got.status != http.StatusUnauthorized || !strings.Contains(got.challenge, `error="invalid_token"`) {
		t.Errorf("got status %d and challenge %s, want 401 and invalid_token", got.status, got.challenge)
	}
}

func TestMissingScope(t *testing.T) {
	f := newFixture(t, server.WithStateLess(true))
	got := f.post(t, f.token(t, "ada", nil, nil), "", call("delete"))
	if got.status != http.StatusForbidden {
		t.Errorf("got status %d, want 403", got.status)
	}
	for _, want := range []string{`error="insufficient_scope"`, scopeWrite, "resource_metadata="} {
		if !strings.Contains(got.challenge, want) {
			t.Errorf("got challenge %s, want %s in it", got.challenge, want)
		}
	}
	got = f.post(t, f.token(t, "ada", nil, []string{scopeWrite}), "", call("delete"))
	if got.status != http.StatusOK || callerIn(t, textOf(t, got.body)).Subject == "" {
		t.Errorf("with the scope: got status %d and %s", got.status, got.body)
	}
}
