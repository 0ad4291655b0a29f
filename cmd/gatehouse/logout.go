package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// logout revokes and forgets the sign-ins at a resource: all of them, or those of
// the user or the client that the account names.
func logout(ctx context.Context, con *console, a account) error {
	store, err := openStore(con)
	if err != nil {
		return err
	}
	all, err := store.at(a.Resource)
	if err != nil {
		return err
	}
	traffic := newTraffic(http.DefaultTransport, a.Resource, con)
	client := newOAuthClient(traffic)
	var errs []error
	forgotten := 0
	for _, k := range all {
		if !a.covers(k.Account) {
			continue
		}
		con.begin("revoking the sign-in at " + k.Issuer)
		traffic.learn(k.RevocationEndpoint, roleRevocation)
		if err := k.revoke(ctx, client); err != nil {
			con.note("warning: forgetting a sign-in that may still be good at %s: %v", k.Issuer, err)
		}
		if err := store.remove(k); err != nil {
			errs = append(errs, err)
			continue
		}
		forgotten++
	}
	if forgotten == 0 && len(errs) == 0 {
		con.note("nobody is signed in at %s", a.Resource)
	}
	if forgotten > 0 {
		con.note("signed out of %s", a.Resource)
	}
	return errors.Join(errs...)
}

// covers reports whether other is one of the accounts that a stands for: what a
// leaves open may be anything.
func (a account) covers(other account) bool {
	return (a.User == "" || a.User == other.User) &&
		(a.Organization == "" || a.Organization == other.Organization) &&
		(a.ClientID == "" || a.ClientID == other.ClientID)
}

// revoke has the authorization server end the sign-in (RFC 7009): the refresh
// token, which takes the access tokens along, or else the access token.
func (k *kept) revoke(ctx context.Context, client *http.Client) error {
	if k.Tokens == nil || k.RevocationEndpoint == "" {
		return nil
	}
	form := url.Values{"token": {string(k.Tokens.Refresh)}, "token_type_hint": {"refresh_token"}, "client_id": {k.Client.ID}}
	if k.Tokens.Refresh == "" {
		form.Set("token", string(k.Tokens.Access))
		form.Set("token_type_hint", "access_token")
	}
	if k.Client.Secret != "" {
		form.Set("client_secret", string(k.Client.Secret))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, k.RevocationEndpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("revoking it: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	if err != nil {
		return fmt.Errorf("revoking it: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("revoking it: %s", joinNonEmpty(": ", fmt.Sprint(resp.StatusCode), refusal(resp, body)))
	}
	return nil
}
