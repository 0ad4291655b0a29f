package localclerk

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// listen starts a Server whose issuer is the URL on which it listens.
func listen(t *testing.T, change func(*Settings)) *Server {
	t.Helper()
	settings := DefaultSettings()
	if change != nil {
		change(&settings)
	}
	front := httptest.NewUnstartedServer(nil)
	s, err := New(Config{Issuer: "http://" + front.Listener.Addr().String(), Settings: &settings, SigningKey: testKey()})
	if err != nil {
		t.Fatal(err)
	}
	front.Config.Handler = s
	front.Start()
	t.Cleanup(front.Close)
	return s
}

// signInAs is an auth.AuthorizationCodeFetcher that needs no browser.
func signInAs(user string) auth.AuthorizationCodeFetcher {
	return func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
		r, err := http.NewRequestWithContext(ctx, "GET", args.URL, nil)
		if err != nil {
			return nil, err
		}
		r.Header.Set(SignInHeader, user)
		response, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		to, err := url.Parse(response.Header.Get("Location"))
		if err != nil {
			return nil, err
		}
		query := to.Query()
		if query.Has("error") {
			return nil, errors.New(query.Get("error_description"))
		}
		return &auth.AuthorizationResult{Code: query.Get("code"), State: query.Get("state"), Iss: query.Get("iss")}, nil
	}
}

// TestGoSDKClientSignsIn runs the OAuth client of the MCP SDK: discovery,
// registration, authorization and token request, starting from a 401.
func TestGoSDKClientSignsIn(t *testing.T) {
	t.Parallel()
	s := listen(t, func(s *Settings) { s.AudClaimEnabled = true })
	mcp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{
			"resource":              "http://" + r.Host + "/mcp",
			"authorization_servers": []string{s.Issuer()},
			"scopes_supported":      []string{"profile", "email"},
		})
	}))
	t.Cleanup(mcp.Close)
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName:   "Go SDK",
			RedirectURIs: []string{testRedirect},
			GrantTypes:   []string{"authorization_code", "refresh_token"},
		}},
		RequestRefreshToken:      true,
		AuthorizationCodeFetcher: signInAs("grace"),
	})
	if err != nil {
		t.Fatal(err)
	}
	challenged := httptest.NewRecorder()
	challenged.WriteHeader(http.StatusUnauthorized)
	request := httptest.NewRequest("POST", mcp.URL+"/mcp", nil)
	if err := handler.Authorize(t.Context(), request, challenged.Result()); err != nil {
		t.Fatal(err)
	}
	source, err := handler.TokenSource(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	token, err := source.Token()
	if err != nil {
		t.Fatal(err)
	}
	_, claims := decode(t, token.AccessToken)
	scopes := strings.Fields(claims["scope"].(string))
	slices.Sort(scopes)
	if claims["sub"] != derivedID("user_", "grace") || !slices.Equal(scopes, []string{"email", "offline_access", "profile"}) {
		t.Errorf("got claims %v", claims)
	}
	if aud, _ := claims["aud"].([]any); len(aud) != 1 || aud[0] != mcp.URL+"/mcp" {
		t.Errorf("got aud %v, want %s/mcp", claims["aud"], mcp.URL)
	}
	if token.RefreshToken == "" || token.Expiry.IsZero() {
		t.Error("no refresh token or no expiry")
	}
}
