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

// person is somebody who signs in at the local Clerk.
type person struct {
	username, name, email string
	organization          string // to choose on the consent page, by name; empty for the first
	denies                bool   // presses Deny on the consent page
}

var (
	ada   = person{username: "ada", name: "Ada Lovelace", email: "ada@example.com"}
	grace = person{username: "grace", name: "Grace Hopper", email: "grace@example.com"}
)

// denying is p in another mood.
func (p person) denying() person {
	p.denies = true
	return p
}

func (p person) consent() string {
	if p.denies {
		return "deny"
	}
	return "allow"
}

// maxPage bounds what is read of an answer that should have been a redirect.
const maxPage = 4 << 10

// visit follows an authorization URL and returns where the answer was sent.
func (p person) visit(ctx context.Context, link string) (*url.URL, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set(localclerk.SignInHeader, p.username)
	req.Header.Set(localclerk.ConsentHeader, p.consent())
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	to, err := resp.Location()
	if err != nil {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxPage))
		return nil, fmt.Errorf("authorization endpoint answered %s, want a redirect: %s", resp.Status, body)
	}
	return to, nil
}

// signIn follows an authorization URL all the way to the client that waits at
// the redirect URI.
func (p person) signIn(ctx context.Context, link string) error {
	to, err := p.visit(ctx, link)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to.String(), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("going back to the client: %w", err)
	}
	return resp.Body.Close()
}
