//go:build e2e && unix

package e2e

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// TestOtherKinds brings tokens to the server that are good for something else.
// Clerk signs all of its kinds with one key, under one issuer.
func TestOtherKinds(t *testing.T) {
	t.Parallel()
	h := openHouse(t)
	for _, test := range []struct {
		name       string
		token      func(t *testing.T) string
		wantStatus int
		wantWhy    string
	}{
		{"control", minted(h, localclerk.OAuthToken, false), http.StatusOK, ""},
		{"control, opaque", minted(h, localclerk.OAuthToken, true), http.StatusOK, ""},
		{"session token", minted(h, localclerk.SessionToken, false), http.StatusUnauthorized, "This is a session token, not an OAuth access token."},
		{"template token", minted(h, localclerk.TemplateToken, false), http.StatusUnauthorized, "This is a JWT template token, not an OAuth access token."},
		{"M2M token", minted(h, localclerk.M2MToken, false), http.StatusUnauthorized, "This is an M2M token, not an OAuth access token."},
		{"M2M token, opaque", minted(h, localclerk.M2MToken, true), http.StatusUnauthorized, "This is an opaque M2M token, not an OAuth access token."},
		// Without a nonce nothing but its audience, a client, gives it away.
		{"ID token", minted(h, localclerk.IDToken, false), http.StatusUnauthorized, "not for this server."},
		{"API key", minted(h, localclerk.APIKey, false), http.StatusUnauthorized, "This is an API key, not an OAuth access token."},
		{"another instance's", elsewhere, http.StatusUnauthorized, `The token is from "http://localhost:1",`},
	} {
		t.Run(test.name, func(t *testing.T) {
			before, err := lastStep(within(t, windowTime), h)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := present(within(t, stepTime), h, test.token(t))
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != test.wantStatus {
				t.Errorf("got %s, want %d", resp.Status, test.wantStatus)
			}
			if test.wantWhy == "" {
				return
			}
			if challenge := resp.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="invalid_token"`) {
				t.Errorf("got the challenge %q, want invalid_token", challenge)
			}
			checkFailed(t, h, before, test.wantWhy, "")
		})
	}
}

// minted has the window mint a token of ada's.
func minted(h *house, kind localclerk.TokenKind, opaque bool) func(t *testing.T) string {
	return func(t *testing.T) string {
		t.Helper()
		answer, err := tell[struct {
			Token string `json:"token"`
		}](within(t, windowTime), h, "mint", map[string]any{"kind": kind, "user": ada.username, "opaque": opaque})
		if err != nil {
			t.Fatal(err)
		}
		return answer.Token
	}
}

// elsewhere mints an access token of an instance that has nothing to do with the
// house.
func elsewhere(t *testing.T) string {
	t.Helper()
	clerk, err := localclerk.New(localclerk.Config{Issuer: "http://localhost:1"})
	if err != nil {
		t.Fatal(err)
	}
	token, err := clerk.IssueToken(localclerk.Token{})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// present begins a session with a token, and returns the answer without its body.
func present(ctx context.Context, h *house, token string) (*http.Response, error) {
	const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},` +
		`"clientInfo":{"name":"by hand","version":"1.0.0"}}}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url(), strings.NewReader(initialize))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	return resp, resp.Body.Close()
}
