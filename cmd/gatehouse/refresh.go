package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

	"golang.org/x/oauth2"
)

// newTokens returns what to keep of a token answer. asked are the scopes that
// were asked for, which are granted where the answer names none (RFC 6749,
// section 5.1).
func newTokens(token *oauth2.Token, asked string) *tokens {
	scope, ok := token.Extra("scope").(string)
	if !ok {
		scope = asked
	}
	return &tokens{
		Access:  secret(token.AccessToken),
		Type:    token.TokenType,
		Refresh: secret(token.RefreshToken),
		Expiry:  token.Expiry,
		Scope:   scope,
	}
}

func (t *tokens) oauth2() *oauth2.Token {
	return &oauth2.Token{
		AccessToken:  string(t.Access),
		TokenType:    t.Type,
		RefreshToken: string(t.Refresh),
		Expiry:       t.Expiry,
	}
}

// tokenSource hands out the access token of a kept sign-in, and refreshes it when
// it is about to expire. It is an [oauth2.TokenSource] that returns no token and no
// error where only a new sign-in helps: the request then goes out without one, and
// the server's answer starts it.
type tokenSource struct {
	ctx   context.Context
	http  *http.Client
	store *store
	con   *console

	mu      sync.Mutex
	kept    *kept
	renewed bool // by renew
}

func (s *signIn) newTokenSource(k *kept) *tokenSource {
	return &tokenSource{ctx: s.ctx, http: s.http, store: s.store, con: s.con, kept: k}
}

// Token implements [oauth2.TokenSource].
func (t *tokenSource) Token() (*oauth2.Token, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if token := t.current(); token == nil || token.Valid() {
		return token, nil
	}
	if err := t.refresh(); err != nil {
		return nil, err
	}
	return t.current(), nil
}

// renew refreshes the tokens although they look valid, for a server that refused
// them, and reports whether there are new ones. It works once.
func (t *tokenSource) renew() bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.renewed || t.current() == nil {
		return false
	}
	t.renewed = true
	return t.refresh() == nil && t.current() != nil
}

// scopes are those of the access token.
func (t *tokenSource) scopes() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kept.Tokens == nil {
		return nil
	}
	return strings.Fields(t.kept.Tokens.Scope)
}

// current is the token as it stands. The caller holds mu.
func (t *tokenSource) current() *oauth2.Token {
	if t.kept.Tokens == nil {
		return nil
	}
	return t.kept.Tokens.oauth2()
}

// refresh takes new tokens: those that another program got meanwhile, or new ones
// of the token endpoint. Tokens that cannot be refreshed are given up. The caller
// holds mu.
func (t *tokenSource) refresh() error {
	old := t.kept.Tokens
	if old.Refresh == "" {
		t.con.step("the kept access token is of no use any more, and there is no refresh token")
		t.kept.Tokens = nil
		return nil
	}
	t.con.begin("refreshing the access token")
	unlock, err := t.store.lock(t.ctx, t.kept.Account, t.kept.Issuer)
	if err != nil {
		return err
	}
	defer unlock()
	if now, err := t.store.load(t.kept.Account, t.kept.Issuer); err == nil && now != nil && now.Tokens != nil && now.Tokens.Access != old.Access {
		t.con.step("took the access token that another gatehouse refreshed")
		t.kept = now
		return nil
	}
	token, err := t.ask(old)
	switch {
	case refusedForGood(err):
		t.con.step("the refresh token is of no use any more: a new sign-in is needed")
		t.kept.Tokens = nil
	case err != nil:
		return fail("is the authorization server running? the sign-in is kept; --logout forgets it", "refreshing the sign-in at %q: %w", t.kept.Issuer, err)
	default:
		t.kept.Tokens = newTokens(token, old.Scope)
	}
	if err := t.store.save(t.kept); err != nil {
		t.con.note("warning: the next call has to sign in again: %v", err)
	}
	return nil
}

// ask sends the refresh token to the token endpoint (RFC 6749, section 6).
func (t *tokenSource) ask(old *tokens) (*oauth2.Token, error) {
	config := &oauth2.Config{
		ClientID:     t.kept.Client.ID,
		ClientSecret: string(t.kept.Client.Secret),
		Endpoint: oauth2.Endpoint{
			TokenURL:  t.kept.TokenEndpoint,
			AuthStyle: oauth2.AuthStyle(t.kept.TokenEndpointStyle),
		},
	}
	ctx := context.WithValue(t.ctx, oauth2.HTTPClient, t.http)
	return config.TokenSource(ctx, &oauth2.Token{RefreshToken: string(old.Refresh)}).Token()
}

// refusedForGood reports whether the token endpoint knows the refresh token or the
// client no longer, which only a new sign-in mends. An outage does not.
func refusedForGood(err error) bool {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.Response == nil {
		return false
	}
	switch refused.Response.StatusCode {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		return true
	}
	return false
}
