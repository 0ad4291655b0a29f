package main

import (
	"context"
	"net/http"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// askLocalClerk signs in as the user of the account without a browser. The
// caller has made sure that the authorization endpoint is on this machine.
func (s *signIn) askLocalClerk(ctx context.Context, authURL string, door *door) (authResponse, error) {
	s.con.begin("signing in as " + s.account.User)
	header := http.Header{localclerk.SignInHeader: {s.account.User}}
	if s.account.Organization != "" {
		header.Set(localclerk.OrganizationHeader, s.account.Organization)
	}
	resp, err := s.visit(ctx, authURL, header)
	if err != nil {
		return authResponse{}, err
	}
	defer resp.Body.Close()
	location := resp.Header.Get("Location")
	query, ours := strings.CutPrefix(location, door.redirectURI+"?")
	if ours {
		s.con.step("signed in as %s, without a browser", s.account.User)
		return readAuthResponse(query)
	}
	body, err := peek(resp, maxRefusal)
	if err != nil {
		return authResponse{}, err
	}
	const hint = `--user is for the local Clerk of "gatehouse dev"; its users are listed where it was started`
	return authResponse{}, fail(hint, "signing in as %q: authorization server answered %d%s%s, want a redirect back",
		s.account.User, resp.StatusCode, towards(location), ifSet(": %s", refusal(resp, body)))
}
