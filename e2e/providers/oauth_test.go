//go:build providers && unix

package providers

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// redirectURI is a redirect URI without a listener: the response is read from the redirect
// itself.
const redirectURI = "http://127.0.0.1:53682/callback"

// authorizationServer is what the tests need of the metadata of an authorization server.
type authorizationServer struct {
	Issuer                string `json:"issuer"`
	AuthorizationEndpoint string `json:"authorization_endpoint"`
	TokenEndpoint         string `json:"token_endpoint"`
	RegistrationEndpoint  string `json:"registration_endpoint"`
	IntrospectionEndpoint string `json:"introspection_endpoint"`
	JWKSURI               string `json:"jwks_uri"`
}

// discover fetches a metadata document.
func discover(t testing.TB, documentURL string) authorizationServer {
	t.Helper()
	return getJSON[authorizationServer](t, documentURL)
}

// getJSON fetches a JSON document.
func getJSON[T any](t testing.TB, documentURL string) T {
	t.Helper()
	resp, err := get(within(t, stepTime), documentURL)
	if err != nil {
		t.Fatal(err)
	}
	v, err := decode[T](resp)
	if err != nil {
		t.Fatalf("%s: %v", documentURL, err)
	}
	return v
}

// getDocument fetches a JSON document, or nil if the server has none at this URL.
func getDocument(t testing.TB, documentURL string) map[string]any {
	t.Helper()
	resp, err := get(within(t, stepTime), documentURL)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode == http.StatusNotFound {
		resp.Body.Close()
		return nil
	}
	document, err := decode[map[string]any](resp)
	if err != nil {
		t.Fatalf("%s: %v", documentURL, err)
	}
	return document
}

// decode reads the JSON of an answer, whose status must be 200 or 201.
func decode[T any](resp *http.Response) (v T, err error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return v, err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		return v, fmt.Errorf("%s: %s", resp.Status, body)
	}
	return v, json.Unmarshal(body, &v)
}

// oauthClient is a client that is registered at an authorization server.
type oauthClient struct {
	server authorizationServer
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"` // empty for a public client
}

// register registers a public client dynamically (RFC 7591). scope may be empty.
func (s authorizationServer) register(ctx context.Context, scope string) (oauthClient, error) {
	metadata := map[string]any{
		"client_name":                "Gatehouse provider tests",
		"application_type":           "native",
		"redirect_uris":              []string{redirectURI},
		"grant_types":                []string{"authorization_code", "refresh_token"},
		"response_types":             []string{"code"},
		"token_endpoint_auth_method": "none",
	}
	if scope != "" {
		metadata["scope"] = scope
	}
	body, err := json.Marshal(metadata)
	if err != nil {
		return oauthClient{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.RegistrationEndpoint, bytes.NewReader(body))
	if err != nil {
		return oauthClient{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return oauthClient{}, err
	}
	c, err := decode[oauthClient](resp)
	if err != nil {
		return oauthClient{}, fmt.Errorf("registering a client: %w", err)
	}
	c.server = s
	return c, nil
}

// tokens is the answer of a token endpoint.
type tokens struct {
	Access  string `json:"access_token"`
	ID      string `json:"id_token"`
	Refresh string `json:"refresh_token"`
	Scope   string `json:"scope"`
}

// signIn signs the user of b in with the authorization code grant and PKCE. parameters are
// added to the authorization request; resource is added to the token request too (RFC 8707).
func (c oauthClient) signIn(ctx context.Context, b *browser, parameters url.Values) (tokens, error) {
	verifier := rand.Text() + rand.Text() // at least 43 characters (RFC 7636 section 4.1)
	challenge := sha256.Sum256([]byte(verifier))
	state := rand.Text()
	query := url.Values{
		"response_type":         {"code"},
		"client_id":             {c.ID},
		"redirect_uri":          {redirectURI},
		"state":                 {state},
		"code_challenge":        {base64.RawURLEncoding.EncodeToString(challenge[:])},
		"code_challenge_method": {"S256"},
	}
	for name, values := range parameters {
		query[name] = values
	}
	redirect, err := b.authorize(ctx, c.server.AuthorizationEndpoint+"?"+query.Encode())
	if err != nil {
		return tokens{}, err
	}
	answer := redirect.Query()
	if answer.Has("error") {
		return tokens{}, fmt.Errorf("%s: %s", answer.Get("error"), answer.Get("error_description"))
	}
	if got := answer.Get("state"); got != state {
		return tokens{}, fmt.Errorf("got state %q, want %q", got, state)
	}
	grant := url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {answer.Get("code")},
		"redirect_uri":  {redirectURI},
		"code_verifier": {verifier},
	}
	if resource := parameters.Get("resource"); resource != "" {
		grant.Set("resource", resource)
	}
	return c.grant(ctx, grant)
}

// grant sends a token request. The client authenticates with its secret, if it has one.
func (c oauthClient) grant(ctx context.Context, form url.Values) (tokens, error) {
	resp, err := c.post(ctx, c.server.TokenEndpoint, form)
	if err != nil {
		return tokens{}, err
	}
	answer, err := decode[tokens](resp)
	if err != nil {
		return tokens{}, fmt.Errorf("token request: %w", err)
	}
	return answer, nil
}

// post sends a form as the client.
func (c oauthClient) post(ctx context.Context, endpoint string, form url.Values) (*http.Response, error) {
	if c.Secret == "" {
		form.Set("client_id", c.ID)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if c.Secret != "" {
		req.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(c.Secret))
	}
	return http.DefaultClient.Do(req)
}

// jwt is a decoded token. Its signature is not checked.
type jwt struct {
	Header map[string]any `json:"header"`
	Claims map[string]any `json:"claims"`
}

// decodeJWT decodes the header and the claims of a JWT.
func decodeJWT(t testing.TB, token string) jwt {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("the token has %d parts, want the 3 of a JWT", len(parts))
	}
	var decoded jwt
	for i, target := range []*map[string]any{&decoded.Header, &decoded.Claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(text, target)
		}
		if err != nil {
			t.Fatalf("reading the token: %v", err)
		}
	}
	return decoded
}
