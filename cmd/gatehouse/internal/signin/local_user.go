package signin

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// signInLocally signs in as the user of the account at a local Clerk, without a
// browser. The caller has checked that the authorization endpoint is on this machine.
func (c *Client) signInLocally(ctx context.Context, authURL, redirectURI string) (authResponse, error) {
	account := c.config.Account
	c.ui.Begin("signing in as " + account.User)
	header := http.Header{localclerk.SignInHeader: {account.User}}
	if account.Organization != "" {
		header.Set(localclerk.OrganizationHeader, account.Organization)
	}
	resp, err := c.visit(ctx, authURL, header)
	if err != nil {
		return authResponse{}, err
	}
	defer resp.Body.Close()
	location := resp.Header.Get("Location")
	if query, ok := strings.CutPrefix(location, redirectURI+"?"); ok {
		c.ui.Step("signed in as %s, without a browser", account.User)
		return parseAuthResponse(query)
	}
	body, err := trace.Peek(resp, trace.MaxErrorBody)
	if err != nil {
		return authResponse{}, err
	}
	hint := `--user works with the local Clerk of "gatehouse dev", which prints its users when it starts`
	if account.Organization != "" && resp.StatusCode == http.StatusBadRequest {
		hint += "; --org names one of the user's organizations"
	}
	said := fmt.Sprintf("%d%s", resp.StatusCode, trace.IfSet(": %s", trace.ErrorText(resp, body)))
	if target := trace.RedirectTarget(location); target != "" {
		said = fmt.Sprintf("%d%s, want a redirect to this program", resp.StatusCode, target)
	}
	return authResponse{}, failure.New(hint, "signing in as %q: authorization server answered %s", account.User, said)
}
