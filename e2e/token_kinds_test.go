//go:build e2e && unix

package e2e

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// TestOtherKinds sends tokens to the server that are valid, but for another purpose. Clerk
// signs tokens of all kinds with one key, under one issuer.
func TestOtherKinds(t *testing.T) {
	t.Parallel()
	dev := startDev(t)
	for _, test := range otherKinds(dev) {
		t.Run(test.name, func(t *testing.T) {
			before, err := lastStep(within(t, windowTime), dev)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := present(within(t, stepTime), dev, test.token(t))
			if err != nil {
				t.Fatal(err)
			}
			wantStatus := http.StatusUnauthorized
			if test.wantWhy == "" {
				wantStatus = http.StatusOK
			}
			if resp.StatusCode != wantStatus {
				t.Errorf("got %s, want %d", resp.Status, wantStatus)
			}
			if wantStatus == http.StatusOK {
				return
			}
			if challenge := resp.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="invalid_token"`) {
				t.Errorf("got the challenge %q, want invalid_token", challenge)
			}
			checkFailed(t, dev, before, test.wantWhy, "")
		})
	}
}

// otherKind is a kind of token that the server must reject, or a control.
type otherKind struct {
	name    string
	token   func(t *testing.T) string
	wantWhy string // in the window; empty if the server accepts the token
}

func otherKinds(dev *devServer) []otherKind {
	return []otherKind{
		{
			name:  "control",
			token: minted(dev, localclerk.OAuthToken, false),
		},
		{
			name:  "control, opaque",
			token: minted(dev, localclerk.OAuthToken, true),
		},
		{
			name:    "session token",
			token:   minted(dev, localclerk.SessionToken, false),
			wantWhy: "This is a session token, not an OAuth access token.",
		},
		{
			name:    "template token",
			token:   minted(dev, localclerk.TemplateToken, false),
			wantWhy: "This is a JWT template token, not an OAuth access token.",
		},
		{
			name:    "M2M token",
			token:   minted(dev, localclerk.M2MToken, false),
			wantWhy: "This is an M2M token, not an OAuth access token.",
		},
		{
			name:    "M2M token, opaque",
			token:   minted(dev, localclerk.M2MToken, true),
			wantWhy: "This is an opaque M2M token, not an OAuth access token.",
		},
		{
			name:    "ID token", // without a nonce
			token:   minted(dev, localclerk.IDToken, false),
			wantWhy: "This is an ID token, not an OAuth access token.",
		},
		{
			name:    "API key",
			token:   minted(dev, localclerk.APIKey, false),
			wantWhy: "This is an API key, not an OAuth access token.",
		},
		{
			name:    "token of another instance",
			token:   otherIssuerToken,
			wantWhy: `The token is from "http://localhost:1",`,
		},
	}
}

// minted returns a function that mints a token of ada with the API of the window.
func minted(dev *devServer, kind localclerk.TokenKind, opaque bool) func(t *testing.T) string {
	return func(t *testing.T) string {
		t.Helper()
		answer, err := postWindow[struct {
			Token string `json:"token"`
		}](within(t, windowTime), dev, "mint", map[string]any{"kind": kind, "user": ada.username, "opaque": opaque})
		if err != nil {
			t.Fatal(err)
		}
		return answer.Token
	}
}

// otherIssuerToken mints an access token of another instance.
func otherIssuerToken(t *testing.T) string {
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

// present sends initialize with a token, and returns the response without its body.
func present(ctx context.Context, dev *devServer, token string) (*http.Response, error) {
	const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25",` +
		`"capabilities":{},"clientInfo":{"name":"present","version":"1.0.0"}}}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, dev.url(), strings.NewReader(initialize))
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
