package diagnose

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

// checkAuthorizationServers judges the issuer that the metadata names, and sets it. Clients
// use the first one.
func (d *doctor) checkAuthorizationServers() {
	document := d.document()
	if d.blocked("issuer") {
		return
	}
	if document == nil || len(document.AuthorizationServers) == 0 {
		d.skip("issuer", "the metadata names none", "")
		return
	}
	issuer := document.AuthorizationServers[0]
	d.observed.Issuer.Expected = issuer
	evidence := fmt.Sprintf("authorization_servers in %s: %s", document.URL, quote.List(document.AuthorizationServers))
	if !d.checkIssuerForm(issuer, evidence) {
		return
	}
	d.issuer = issuer
	if d.settings.issuer != "" && d.settings.issuer != issuer {
		d.found("config.other_issuer", fmt.Sprintf("%s; %s names %q", evidence, d.settings.issuerVariable, d.settings.issuer),
			"variable", d.settings.issuerVariable)
	}
	d.ok("issuer", "%s", evidence)
}

// checkIssuerForm reports an issuer that clients cannot use.
func (d *doctor) checkIssuerForm(issuer, evidence string) bool {
	e, ok := issuerProblem(issuer, d.targetReach())
	if ok {
		d.foundProblem(e, evidence)
	}
	return !ok
}

// kindOf recognizes the product behind an issuer, by its host or by what its metadata says.
func kindOf(issuer string, s observedServer, documentation string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return ""
	}
	host := strings.ToLower(u.Hostname())
	switch {
	case strings.HasSuffix(host, ".clerk.accounts.dev"), strings.HasPrefix(host, "clerk."), u.Path == "/__clerk",
		strings.HasPrefix(documentation, "https://clerk.com/"):
		return "clerk"
	case host == "login.microsoftonline.com", host == "login.microsoftonline.us", host == "sts.windows.net",
		strings.HasSuffix(host, ".ciamlogin.com"):
		return "entra"
	case strings.HasSuffix(host, ".okta.com"), strings.HasSuffix(host, ".oktapreview.com"):
		return "okta"
	case host == "accounts.google.com":
		return "google"
	case strings.HasPrefix(host, "cognito-idp."):
		return "cognito"
	case strings.Contains(s.AuthorizationEndpoint, "/application/o/authorize"):
		return "authentik"
	}
	return ""
}
