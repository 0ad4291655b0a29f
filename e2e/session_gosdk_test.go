//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// goSession is the client of go-sdk with the OAuth handler of go-sdk.
type goSession struct {
	endpoint string
	revision string // to propose; empty for the newest
	user     user
	handler  *auth.AuthorizationCodeHandler
	session  *mcp.ClientSession
	http     *http.Client              // nil for the default
	progress atomic.Pointer[func(int)] // called for each progress event; nil for none
}

// unusedRedirectURI is a redirect URI without a listener: fetchCode reads the authorization
// response from the redirect itself.
const unusedRedirectURI = "http://127.0.0.1:53682/callback"

// newGoSession returns a client that requests the scopes that the server names, or else the
// given ones.
func newGoSession(t testing.TB, endpoint, revision string, scopes ...string) session {
	t.Helper()
	s := &goSession{endpoint: endpoint, revision: revision}
	var filter func([]string) []string
	if len(scopes) > 0 {
		filter = func([]string) []string { return scopes }
	}
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName:              "Gatehouse end-to-end",
			RedirectURIs:            []string{unusedRedirectURI},
			GrantTypes:              []string{"authorization_code", "refresh_token"},
			TokenEndpointAuthMethod: "none",
		}},
		RequestRefreshToken:      true,
		ScopeFilter:              filter,
		AuthorizationCodeFetcher: s.fetchCode,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.handler = handler
	return s
}

func (s *goSession) fetchCode(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
	redirect, err := s.user.authorize(ctx, args.URL)
	if err != nil {
		return nil, err
	}
	query := redirect.Query()
	if query.Has("error") {
		return nil, fmt.Errorf("%s: %s", query.Get("error"), query.Get("error_description"))
	}
	return &auth.AuthorizationResult{Code: query.Get("code"), State: query.Get("state"), Iss: query.Get("iss")}, nil
}

func (s *goSession) connect(ctx context.Context, u user) (string, error) {
	s.user = u
	client := mcp.NewClient(&mcp.Implementation{Name: "gatehouse-e2e", Version: "1.0.0"}, &mcp.ClientOptions{
		ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"value": "blue"}}, nil
		},
		ProgressNotificationHandler: func(_ context.Context, req *mcp.ProgressNotificationClientRequest) {
			if progress := s.progress.Load(); progress != nil {
				(*progress)(int(req.Params.Progress))
			}
		},
	})
	transport := &mcp.StreamableClientTransport{Endpoint: s.endpoint, OAuthHandler: s.handler, HTTPClient: s.http}
	session, err := client.Connect(ctx, transport,
		&mcp.ClientSessionOptions{ProtocolVersion: s.revision})
	if err != nil {
		return "", err
	}
	s.session = session
	return session.InitializeResult().ProtocolVersion, nil
}

// become sets the user who signs in next, if the server asks for that.
func (s *goSession) become(_ context.Context, u user) error {
	s.user = u
	return nil
}

func (s *goSession) tools(ctx context.Context) ([]string, error) { return toolNames(ctx, s.session) }

func toolNames(ctx context.Context, session *mcp.ClientSession) ([]string, error) {
	var names []string
	for tool, err := range session.Tools(ctx, nil) {
		if err != nil {
			return nil, err
		}
		names = append(names, tool.Name)
	}
	return names, nil
}

func (s *goSession) call(ctx context.Context, tool string, input map[string]any) (*mcp.CallToolResult, error) {
	return s.session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: input})
}

func (s *goSession) close(context.Context) error { return s.session.Close() }
