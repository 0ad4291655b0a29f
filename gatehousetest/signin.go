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

// Person is somebody who signs in. The zero value is the first user there is,
// Ada Lovelace unless SetUsers was called, in no organization.
type Person struct {
	// User is an id, username, email or first name.
	User string

	// Organization is the id or slug of the one to choose on the consent page.
	// The scope user:org:read comes with it.
	Organization string

	// Scopes are asked for beyond those that the server tells its clients to ask
	// for. With [ClerkServer.Token], nil means profile and email.
	Scopes []string
}

func (p Person) scopes() []string {
	if p.Organization == "" {
		return p.Scopes
	}
	return append(slices.Clone(p.Scopes), localclerk.ScopeOrganization)
}

// signInTimeout bounds each request of a sign-in.
const signInTimeout = 30 * time.Second

// SignIn signs who in at the MCP endpoint with the URL resource, as a client
// does that never was there: the 401 and the documents it leads to, dynamic
// registration, authorization code with PKCE. It returns a client that sends the
// token, to whatever URL it is used for. It fails t if any step fails.
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
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, resource, http.NoBody)
	if err != nil {
		return nil, err
	}
	client := http.Client{Timeout: signInTimeout}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		return nil, fmt.Errorf("without a token: status %d, want 401; is there a guard?", resp.StatusCode)
	}
	if err := handler.Authorize(ctx, req, resp); err != nil {
		return nil, err
	}
	return handler.TokenSource(ctx)
}

// Connect returns a session of go-sdk's client at the MCP endpoint with the URL
// resource. who signs in when the server first asks for it, as with
// [ClerkServer.SignIn], and again when a call needs more scopes. The session is
// closed when t ends. Connect fails t if it cannot.
func (c *ClerkServer) Connect(t testing.TB, resource string, who Person) *mcp.ClientSession {
	t.Helper()
	handler, err := c.oauthHandler(who)
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

// redirectURI is where nobody listens: the code is read off the redirect.
const redirectURI = "http://127.0.0.1:9/callback"

func (c *ClerkServer) oauthHandler(who Person) (*auth.AuthorizationCodeHandler, error) {
	registration := &oauthex.ClientRegistrationMetadata{
		ClientName:              "gatehousetest",
		RedirectURIs:            []string{redirectURI},
		TokenEndpointAuthMethod: "none",
	}
	if more := who.scopes(); len(more) > 0 {
		registration.Scope = strings.Join(union(c.defaultScopes(), more), " ")
	}
	return auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: registration},
		AuthorizationCodeFetcher:        c.fetchCode(who),
		ScopeFilter:                     func(told []string) []string { return union(told, who.scopes()) },
		Client:                          &http.Client{Timeout: signInTimeout},
	})
}

// defaultScopes are those of a client that registers without naming any.
func (c *ClerkServer) defaultScopes() []string {
	if scopes := c.Settings().DefaultScopes; scopes != nil {
		return scopes
	}
	return []string{localclerk.ScopeProfile, localclerk.ScopeEmail}
}

// fetchCode is what happens in the browser.
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

// maxSaid bounds what is told of an answer that is no redirect, in bytes.
const maxSaid = 1 << 10

// authorizationResult reads the answer of the authorization endpoint off its
// redirect (RFC 6749 section 4.1.2, RFC 9207).
func authorizationResult(resp *http.Response) (*auth.AuthorizationResult, error) {
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil {
		return nil, err
	}
	answer := to.Query()
	switch {
	case answer.Has("error"):
		return nil, errors.New(answer.Get("error_description"))
	case !answer.Has("code"):
		said, _ := io.ReadAll(io.LimitReader(resp.Body, maxSaid))
		return nil, fmt.Errorf("authorization endpoint: status %d: %s", resp.StatusCode, bytes.TrimSpace(said))
	}
	return &auth.AuthorizationResult{Code: answer.Get("code"), State: answer.Get("state"), Iss: answer.Get("iss")}, nil
}

// union returns the members of a, then those of b that a has not.
func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
