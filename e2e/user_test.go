//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// user is a user of the local Clerk.
type user struct {
	username, name, email string
	organization          string // name of the one to choose on the consent page; empty for the first
	denies                bool   // chooses Deny on the consent page
}

var (
	ada   = user{username: "ada", name: "Ada Lovelace", email: "ada@example.com"}
	grace = user{username: "grace", name: "Grace Hopper", email: "grace@example.com"}
)

// denying returns u as a user who denies consent.
func (u user) denying() user {
	u.denies = true
	return u
}

func (u user) consent() string {
	if u.denies {
		return "deny"
	}
	return "allow"
}

// maxPage bounds what is read of a response that should have been a redirect.
const maxPage = 4 << 10

// authorize requests an authorization URL as the browser of u would, and returns the
// redirect back to the client.
func (u user) authorize(ctx context.Context, link string) (*url.URL, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set(localclerk.SignInHeader, u.username)
	req.Header.Set(localclerk.ConsentHeader, u.consent())
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	location, err := resp.Location()
	if err != nil {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxPage))
		return nil, fmt.Errorf("authorization endpoint answered %s, want a redirect: %s", resp.Status, body)
	}
	return location, nil
}

// signIn requests an authorization URL and follows the redirect to the client, which
// listens at the redirect URI.
func (u user) signIn(ctx context.Context, link string) error {
	location, err := u.authorize(ctx, link)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, location.String(), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("redirecting to the client: %w", err)
	}
	return resp.Body.Close()
}

// signInUntilHeard is like signIn, but tries again while the client does not listen yet.
func (u user) signInUntilHeard(ctx context.Context, link string) {
	for u.signIn(ctx, link) != nil && ctx.Err() == nil {
		pause(ctx)
	}
}
