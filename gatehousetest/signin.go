package gatehousetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"
)

// Person is a user who signs in. The zero value is the first user, Ada Lovelace unless
// SetUsers was called, in no organization.
type Person struct {
	// User is an ID, username, email or first name. Empty means the first user.
	User string

	// Organization is the ID or slug of the organization to choose on the consent
	// page. The scope user:org:read is requested with it. Empty means none.
	Organization string

	// Scopes are requested in addition to those that the server asks its clients to
	// request. With [ClerkServer.Token] they are the scopes of the token, and nil
	// means profile and email.
	Scopes []string
}

// scopes returns the scopes that p requests at least, without those of the server.
func (p Person) scopes() []string {
	if p.Organization == "" {
		return p.Scopes
	}
	return append(slices.Clone(p.Scopes), localclerk.ScopeOrganization)
}

// scopesWith returns others and the scopes of p, each once.
func (p Person) scopesWith(others []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(others, p.scopes()))))
}

// signInTimeout bounds each request of a sign-in.
const signInTimeout = 30 * time.Second

// SignIn signs who in at the MCP endpoint with the URL resource, like a client that
// connects for the first time: it reads the 401 and the metadata, registers, and gets a
// token with an authorization code and PKCE. It returns an HTTP client that sends the
// token with every request, whatever its URL. If a step fails, SignIn fails t.
func (c *ClerkServer) SignIn(t testing.TB, resource string, who Person) *http.Client {
	t.Helper()
	source, err := c.signIn(t.Context(), resource, who)
	if err != nil {
		t.Fatalf("gatehousetest: signing in at %q: %v", resource, err)
	}
	return oauth2.NewClient(t.Context(), source)
}

func (c *ClerkServer) signIn(ctx context.Context, resource string, who Person) (oauth2.TokenSource, error) {
	handler, err := c.oauthHandler(who)
	if err != nil {
		return nil, err
	}
	req, err := newRequest(ctx, http.MethodPost, resource, "")
	if err != nil {
		return nil, err
	}
	resp, err := plainClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if err := (answer{status: resp.StatusCode}).requireUnauthorized(resource); err != nil {
		return nil, err
	}
	if err := handler.Authorize(ctx, req, resp); err != nil {
		return nil, err
	}
	return handler.TokenSource(ctx)
}

// Connect returns a session of the go-sdk's client at the MCP endpoint with the URL
// resource. who signs in as with [ClerkServer.SignIn] when the server first asks for a
// token, and again when a call needs more scopes. If connecting fails, Connect fails t, and
// also if the server accepts a request without a token.
//
// The session is closed by t.Cleanup, after the deferred calls of the test. Until then it
// can have an open stream, for which the Close method of an [httptest.Server] waits. Start
// the server with [Serve], or close it with t.Cleanup before Connect; do not defer its Close.
func (c *ClerkServer) Connect(t testing.TB, resource string, who Person) *mcp.ClientSession {
	t.Helper()
	handler, err := c.oauthHandler(who)
	if err != nil {
		t.Fatalf("gatehousetest: connecting to %q: %v", resource, err)
	}
	open, err := send(t.Context(), http.MethodPost, resource, "")
	if err == nil {
		err = open.requireUnauthorized(resource)
	}
	if err != nil {
		t.Fatalf("gatehousetest: connecting to %q: %v", resource, err)
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "gatehousetest", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: resource, OAuthHandler: handler}, nil)
	if err != nil {
		t.Fatalf("gatehousetest: connecting to %q: %v", resource, err)
	}
	t.Cleanup(func() { session.Close() })
	return session
}

// redirectURI is the redirect URI of the client. Nothing listens there: the code is read
// from the redirect itself.
const redirectURI = "http://127.0.0.1:9/callback"

func (c *ClerkServer) oauthHandler(who Person) (*auth.AuthorizationCodeHandler, error) {
	registration := &oauthex.ClientRegistrationMetadata{
		ClientName:              "gatehousetest",
		RedirectURIs:            []string{redirectURI},
		TokenEndpointAuthMethod: "none",
	}
	if len(who.scopes()) > 0 {
		registration.Scope = strings.Join(who.scopesWith(c.Settings().DefaultScopes), " ")
	}
	return auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: registration},
		AuthorizationCodeFetcher:        c.fetchCode(who),
		ScopeFilter:                     who.scopesWith,
		Client:                          &http.Client{Timeout: signInTimeout},
	})
}

// fetchCode does what a browser does during a sign-in: it opens the authorization
// endpoint as who, and returns what the redirect contains.
func (c *ClerkServer) fetchCode(who Person) auth.AuthorizationCodeFetcher {
	return func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, args.URL, nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set(localclerk.SignInHeader, cmp.Or(who.User, c.Users()[0].ID))
		req.Header.Set(localclerk.OrganizationHeader, who.Organization)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		return authorizationResult(resp)
	}
}

// maxErrorBody bounds, in bytes, what an error shows of a response that is not a redirect.
const maxErrorBody = 1 << 10

// authorizationResult reads the redirect of the authorization endpoint (RFC 6749 §4.1.2,
// RFC 9207).
func authorizationResult(resp *http.Response) (*auth.AuthorizationResult, error) {
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil {
		return nil, err
	}
	params := to.Query()
	switch {
	case params.Has("error"):
		return nil, errors.New(params.Get("error_description"))
	case !params.Has("code"):
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
		return nil, fmt.Errorf("authorization endpoint: status %d: %s", resp.StatusCode, bytes.TrimSpace(body))
	}
	return &auth.AuthorizationResult{Code: params.Get("code"), State: params.Get("state"), Iss: params.Get("iss")}, nil
}
