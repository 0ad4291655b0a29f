package signin

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"golang.org/x/oauth2"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/savedsignin"
)

// newTokens converts a token response for storage. If the response names no scope,
// the requested scope was granted (RFC 6749 section 5.1).
func newTokens(token *oauth2.Token, requestedScope string) *savedsignin.Tokens {
	scope, ok := token.Extra("scope").(string)
	if !ok {
		scope = requestedScope
	}
	return &savedsignin.Tokens{
		Access:  savedsignin.Secret(token.AccessToken),
		Type:    token.TokenType,
		Refresh: savedsignin.Secret(token.RefreshToken),
		Expiry:  token.Expiry,
		Scope:   scope,
	}
}

// tokenSource returns the access token of a saved sign-in, and refreshes it shortly
// before it expires. It is an [oauth2.TokenSource] that returns neither a token nor an
// error if only a new sign-in helps: the request is then sent without a token, and the
// server's 401 starts the sign-in.
type tokenSource struct {
	ctx   context.Context // see Client.ctx
	http  *http.Client
	store *savedsignin.Store
	ui    UI

	mu     sync.Mutex
	saved  *savedsignin.SignIn
	forced bool  // forceRefresh was called
	err    error // why the refresh failed; it is not tried again in this run
}

func (c *Client) newTokenSource(saved *savedsignin.SignIn) *tokenSource {
	return &tokenSource{ctx: c.ctx, http: tokenClient(c.http), store: c.config.Store, ui: c.ui, saved: saved}
}

// Token implements [oauth2.TokenSource].
func (t *tokenSource) Token() (*oauth2.Token, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if token := t.current(); token == nil || token.Valid() {
		return token, nil
	}
	if t.err == nil {
		t.err = t.refresh()
	}
	if t.err != nil {
		return nil, t.err
	}
	return t.current(), nil
}

// forceRefresh refreshes tokens that look valid but that the server rejected, and
// reports whether there is a new token. It does so only once. It returns false if t is
// nil.
func (t *tokenSource) forceRefresh() bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.forced || t.current() == nil {
		return false
	}
	t.forced = true
	return t.refresh() == nil && t.current() != nil
}

// scopes returns the scopes of the access token.
func (t *tokenSource) scopes() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.saved.Tokens.Scopes()
}

// current returns the saved token, expired or not. The caller holds mu.
func (t *tokenSource) current() *oauth2.Token {
	tokens := t.saved.Tokens
	if tokens == nil {
		return nil
	}
	return &oauth2.Token{
		AccessToken:  string(tokens.Access),
		TokenType:    tokens.Type,
		RefreshToken: string(tokens.Refresh),
		Expiry:       tokens.Expiry,
	}
}

// refresh replaces the tokens with those that another program received meanwhile, or
// with new ones from the token endpoint. Tokens that cannot be refreshed are dropped.
// The caller holds mu.
func (t *tokenSource) refresh() error {
	old := t.saved.Tokens
	if old.Refresh == "" {
		t.ui.Step("the saved access token has expired or was rejected, and there is no refresh token")
		t.saved.Tokens = nil
		return nil
	}
	t.ui.Begin("refreshing the access token")
	unlock, err := t.store.Lock(t.ctx, t.saved.Account, t.saved.Issuer)
	if err != nil {
		return err
	}
	defer unlock()
	newest, err := t.store.Load(t.saved.Account, t.saved.Issuer)
	if err == nil && newest != nil && newest.Tokens != nil && newest.Tokens.Access != old.Access {
		t.ui.Step("using the access token that another gatehouse refreshed")
		t.saved = newest
		return nil
	}
	token, err := t.requestRefresh(old)
	var wrongForm *failure.Error
	switch {
	case isPermanentRejection(err):
		t.ui.Step("the refresh token is not valid any more: a new sign-in is needed")
		t.saved.Tokens = nil
	case errors.As(err, &wrongForm):
		return failure.New(wrongForm.Hint+"; the sign-in stays saved", "refreshing the sign-in at %q: %w", t.saved.Issuer, wrongForm)
	case err != nil:
		return failure.New("check that the authorization server is running; the sign-in stays saved, and --logout deletes it",
			"refreshing the sign-in at %q: %w", t.saved.Issuer, err)
	default:
		t.saved.Tokens = newTokens(token, old.Scope)
	}
	if err := t.store.Save(t.saved); err != nil {
		t.ui.Note("warning: the next call has to sign in again: %v", err)
	}
	return nil
}

// requestRefresh sends the refresh token to the token endpoint (RFC 6749 section 6).
func (t *tokenSource) requestRefresh(old *savedsignin.Tokens) (*oauth2.Token, error) {
	config := &oauth2.Config{
		ClientID:     t.saved.Client.ID,
		ClientSecret: string(t.saved.Client.Secret),
		Endpoint: oauth2.Endpoint{
			TokenURL:  t.saved.TokenEndpoint,
			AuthStyle: oauth2.AuthStyle(t.saved.TokenEndpointStyle),
		},
	}
	ctx := context.WithValue(t.ctx, oauth2.HTTPClient, t.http)
	return config.TokenSource(ctx, &oauth2.Token{RefreshToken: string(old.Refresh)}).Token()
}

// isPermanentRejection reports whether the token endpoint rejected the refresh token or
// the client, so that only a new sign-in helps. An outage is not permanent.
func isPermanentRejection(err error) bool {
	var rejected *oauth2.RetrieveError
	if !errors.As(err, &rejected) || rejected.Response == nil {
		return false
	}
	if rejected.ErrorCode == "invalid_grant" {
		return true // some servers send it with status 200
	}
	switch rejected.Response.StatusCode {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		return true
	}
	return false
}
