package conformance

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

const redirectURI = "http://127.0.0.1:9/callback"

// authorize sends an authorization request as the browser of a signed-in user would, and
// returns the authorization response.
func authorize(ctx context.Context, user, authorizationURL string) (url.Values, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, authorizationURL, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set(localclerk.SignInHeader, user)
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	location, err := resp.Location()
	if err != nil {
		return nil, err
	}
	return location.Query(), nil
}

// user is a user of the MCP client of go-sdk.
type user struct {
	handler auth.OAuthHandler

	mu       sync.Mutex
	requests []url.Values // authorization requests
}

func newUser(t *testing.T) *user {
	t.Helper()
	u := &user{}
	registration := &oauthex.ClientRegistrationMetadata{
		ClientName:              "client",
		RedirectURIs:            []string{redirectURI},
		TokenEndpointAuthMethod: "none",
	}
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		RedirectURL:                     redirectURI,
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: registration},
		AuthorizationCodeFetcher: func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			request, err := url.Parse(args.URL)
			if err != nil {
				return nil, err
			}
			u.mu.Lock()
			u.requests = append(u.requests, request.Query())
			u.mu.Unlock()
			got, err := authorize(ctx, "ada", args.URL)
			return &auth.AuthorizationResult{Code: got.Get("code"), State: got.Get("state"), Iss: got.Get("iss")}, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	u.handler = handler
	return u
}

// connect opens a session with the server at url in a revision of MCP, and signs in if the
// server asks for it.
func (u *user) connect(t *testing.T, url, version string) *mcp.ClientSession {
	t.Helper()
	c := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil)
	transport := &mcp.StreamableClientTransport{Endpoint: url, OAuthHandler: u.handler}
	session, err := c.Connect(t.Context(), transport, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		t.Fatalf("connecting to %s: %v", url, err)
	}
	t.Cleanup(func() { session.Close() })
	return session
}

// authorizationRequests returns the parameters of all authorization requests so far.
func (u *user) authorizationRequests() []url.Values {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.requests
}

// sorted returns a scope with its words in alphabetical order, because the client of go-sdk
// does not keep their order.
func sorted(scope string) string {
	words := strings.Fields(scope)
	slices.Sort(words)
	return strings.Join(words, " ")
}

func mustCall(t *testing.T, session *mcp.ClientSession, tool string) {
	t.Helper()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool})
	if err != nil || result.IsError {
		t.Errorf("calling %s: %+v, %v", tool, result, err)
	}
}
