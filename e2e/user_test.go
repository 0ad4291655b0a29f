//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// user is a user of the local Clerk.
type user struct {
	username, name, email string
	organization          string // name of the one to choose on the consent page; empty for the first, without pages
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

// input returns u as the scripts get it.
func (u user) input() map[string]any {
	return map[string]any{"user": u.username, "name": u.name, "consent": u.consent(), "organization": u.organization}
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
	if u.organization != "" {
		return u.authorizeOnPages(ctx, link)
	}
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

var (
	transactionOnPage = regexp.MustCompile(`name="transaction" value="([^"]+)"`)
	accountOnPage     = regexp.MustCompile(`name="user" value="([^"]+)">\s*<span[^>]*>[^<]*</span>\s*<span><b>([^<]+)</b>`)
	choiceOnPage      = regexp.MustCompile(`<option value="(org_\w+)">([^<]+) \(`)
)

// authorizeOnPages is authorize on the pages of the local Clerk: u chooses the account, and then
// the organization on the consent page.
func (u user) authorizeOnPages(ctx context.Context, link string) (*url.URL, error) {
	page, location, err := visitPage(ctx, link, nil)
	if err != nil || location != nil {
		return location, err
	}
	account := choose(page, accountOnPage, u.name)
	page, _, err = visitPage(ctx, link, url.Values{"action": {"sign_in"}, "transaction": {transactionOf(page)}, "user": {account}})
	if err != nil {
		return nil, err
	}
	chosen := choose(page, choiceOnPage, u.organization)
	if account == "" || chosen == "" {
		return nil, fmt.Errorf("the pages have the account %q of %s and the organization %q of %s; the last page is %s",
			account, u.name, chosen, u.organization, page)
	}
	_, location, err = visitPage(ctx, link, url.Values{
		"action": {u.consent()}, "transaction": {transactionOf(page)}, "organization_id": {chosen},
	})
	return location, err
}

// choose returns the value on the page whose label is name, or "".
func choose(page string, pattern *regexp.Regexp, name string) string {
	for _, m := range pattern.FindAllStringSubmatch(page, -1) {
		if m[2] == name {
			return m[1]
		}
	}
	return ""
}

func transactionOf(page string) string {
	if m := transactionOnPage.FindStringSubmatch(page); m != nil {
		return m[1]
	}
	return ""
}

// visitPage requests the authorization URL, or sends a form of one of its pages. It follows
// redirects to other pages, and returns the page or the redirect to the client.
func visitPage(ctx context.Context, link string, form url.Values) (page string, toClient *url.URL, err error) {
	at, err := url.Parse(link)
	if err != nil {
		return "", nil, err
	}
	method, body := http.MethodGet, ""
	if form != nil {
		method, body = http.MethodPost, form.Encode()
		at = at.ResolveReference(&url.URL{Path: "/oauth/authorize/continue"})
	}
	for range maxRedirects {
		req, err := http.NewRequestWithContext(ctx, method, at.String(), strings.NewReader(body))
		if err != nil {
			return "", nil, err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return "", nil, err
		}
		text, err := io.ReadAll(io.LimitReader(resp.Body, maxForm))
		resp.Body.Close()
		if err != nil {
			return "", nil, err
		}
		location, err := resp.Location()
		switch {
		case err != nil && resp.StatusCode == http.StatusOK:
			return string(text), nil, nil
		case err != nil:
			return "", nil, fmt.Errorf("page answered %s: %s", resp.Status, text)
		case location.Host != at.Host:
			return "", location, nil
		}
		method, body, at = http.MethodGet, "", location
	}
	return "", nil, errors.New("the pages redirect too often")
}

const (
	maxForm      = 64 << 10 // bytes of a page
	maxRedirects = 5
)

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
