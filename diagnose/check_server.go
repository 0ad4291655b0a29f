package diagnose

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// examineIssuer makes the checks of the authorization server.
func (d *doctor) examineIssuer(ctx context.Context) {
	is := &d.observed.Issuer
	is.Expected = d.issuer
	u, err := url.Parse(d.issuer)
	if err != nil {
		return
	}
	d.progress("reading the metadata of %s", u.Host)
	answers := d.fetchServerMetadata(ctx)
	if !d.checkIssuerReachable(ctx, answers) {
		is.Kind = kindOf(d.issuer, observedServer{}, "")
		return
	}
	if d.endpoint == nil {
		d.observed.Reachable = true
	}
	d.chooseMetadata(answers)
	d.checkServerMetadata(answers)
	if d.has("server", Fault) {
		return
	}
	d.checkPKCE()
	d.checkRegistration(ctx)
	d.checkScopes()
	d.checkEntra()
	d.checkKeys(ctx)
	d.checkIssuerCORS(ctx)
}

// fetchServerMetadata asks for the metadata at every URL at which clients look for it (RFC
// 8414 section 3.1; OpenID Connect Discovery 1.0 section 4).
func (d *doctor) fetchServerMetadata(ctx context.Context) []*answer {
	candidates := wellknown.Candidates(d.issuer)
	answers := make([]*answer, len(candidates))
	var functions []func()
	for i, c := range candidates {
		functions = append(functions, func() { answers[i] = d.prober.get(ctx, c, !d.isLoopbackTarget()) })
	}
	all(functions...)
	return answers
}

// checkIssuerReachable judges whether an answer came from the issuer. An issuer that is the
// target itself is judged like an endpoint.
func (d *doctor) checkIssuerReachable(ctx context.Context, answers []*answer) bool {
	for _, a := range answers {
		if a.err == nil {
			d.issuerSkew = d.skew(a)
			if d.endpoint == nil {
				return d.checkConnection(ctx, a)
			}
			return true
		}
	}
	if len(answers) == 0 {
		return false
	}
	a := answers[0]
	if d.endpoint == nil {
		return d.checkConnection(ctx, a)
	}
	u, _ := url.Parse(a.request.url)
	id := "issuer.unreachable"
	if strings.HasPrefix(networkProblem(a.err, u, d.cfg.Now()), "tls.") {
		id = "issuer.tls"
	}
	d.found(id, evidenceOf(a))
	return false
}

// chooseMetadata sets the documents, and the one that clients use: the first that they can
// read.
func (d *doctor) chooseMetadata(answers []*answer) {
	is := &d.observed.Issuer
	forms := []string{formOAuth, formOpenID, formOpenIDSuffix}
	for i, a := range answers {
		s := readServer(forms[i], a)
		is.Documents = append(is.Documents, s)
		if s.Usable() && s.Issuer != "" && !is.Metadata.Usable() {
			is.Metadata = s
			members, _ := objectOf(a)
			is.Kind = kindOf(d.issuer, s, text(members, "service_documentation"))
			d.metadataAnswer = a
		}
	}
	if !is.Metadata.Usable() {
		is.Kind = kindOf(d.issuer, observedServer{}, "")
		return
	}
	is.S256 = slices.Contains(is.Metadata.ChallengeMethods, "S256")
	is.CIMD = is.Metadata.CIMD
	is.PublicClients = slices.Contains(is.Metadata.AuthMethods, "none")
	is.RegistrationOpen = is.Metadata.RegistrationEndpoint != ""
}

// checkServerMetadata judges the metadata of the issuer.
func (d *doctor) checkServerMetadata(answers []*answer) {
	is := &d.observed.Issuer
	if !is.Metadata.Usable() {
		d.checkNoServerMetadata(answers)
		return
	}
	m := is.Metadata
	evidence := fmt.Sprintf("GET %s: issuer %s", m.URL, quote.String(m.Issuer))
	switch {
	case strings.Contains(m.Issuer, "{tenantid}"):
		d.found("server.tenant", evidence)
	case m.Issuer != d.issuer:
		d.checkIssuerMismatch(m, evidence)
		return
	}
	if d.isFacade(m) {
		d.found("server.rewritten", fmt.Sprintf("%s, and its authorization_endpoint is %s", evidence,
			quote.String(m.AuthorizationEndpoint)))
		return
	}
	if !hasMedia(d.metadataAnswer, "application/json") {
		d.found("server.type", d.metadataAnswer.String())
	}
	d.checkMembers(m, evidence)
	d.ok("server", "%s", evidence)
}

// isFacade reports whether the MCP server serves the metadata of another server under its own
// name: its endpoints are elsewhere, and that server says that it names itself in answers.
func (d *doctor) isFacade(m observedServer) bool {
	return d.endpoint != nil && m.IssParameter && sameOrigin(m.Issuer, d.resource()) &&
		m.AuthorizationEndpoint != "" && !sameOrigin(m.AuthorizationEndpoint, m.Issuer)
}

// checkMembers judges the members that a sign-in needs.
func (d *doctor) checkMembers(m observedServer, evidence string) {
	for _, member := range []struct {
		name, url string
		required  bool
	}{
		{"authorization_endpoint", m.AuthorizationEndpoint, true},
		{"token_endpoint", m.TokenEndpoint, true},
		{"registration_endpoint", m.RegistrationEndpoint, false},
		{"revocation_endpoint", m.RevocationEndpoint, false},
	} {
		if member.url == "" {
			if member.required {
				d.found("server.incomplete", evidence, "member", member.name)
			}
			continue
		}
		if problem := d.checkNamed(member.url); problem != "" {
			d.found("server.endpoint", fmt.Sprintf("%s; %s %s %s", evidence, member.name, quote.String(member.url),
				problem), "member", member.name)
		}
	}
	if m.ResponseTypes != nil && !slices.Contains(m.ResponseTypes, "code") {
		d.found("server.no_code", fmt.Sprintf("%s; response_types_supported %s", evidence, quote.List(m.ResponseTypes)))
	}
}

// checkNoServerMetadata judges an issuer without metadata that clients can read.
func (d *doctor) checkNoServerMetadata(answers []*answer) {
	for _, s := range d.observed.Issuer.Documents {
		if s.Usable() { // but without an issuer
			d.found("server.no_issuer", "GET "+s.URL+": no issuer", "issuer", d.issuer)
			return
		}
	}
	for _, a := range answers {
		to := a.location()
		switch {
		case a.err != nil || a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed:
			continue
		case to != nil:
			d.found("server.redirect", a.String(), "location", withoutQuery(originOf(to)))
		case a.status >= 500 || a.status == http.StatusTooManyRequests:
			d.found("server.error", a.String())
		case a.status == http.StatusOK && a.isHTML():
			d.found("server.html", a.String(), "url", a.request.url)
		case a.status == http.StatusOK:
			d.found("server.not_json", a.String(), "url", a.request.url)
		default:
			continue
		}
		return
	}
	var asked []string
	for _, a := range answers {
		asked = append(asked, a.String())
	}
	d.found("server.missing", strings.Join(asked, "; "), "issuer", d.issuer, "fix", issuerFix(d.issuer))
}

// issuerFix says where to look up the issuer.
func issuerFix(issuer string) string {
	u, err := url.Parse(issuer)
	if err == nil && kindOf(issuer, observedServer{}, "") == "clerk" {
		return "copy the Frontend API URL from the Clerk Dashboard (Configure → API keys)"
	}
	if err == nil && u.Path == "" {
		return "check the issuer in the configuration of the server; many issuers have a path, such as /realms/NAME of " +
			"Keycloak, " +
			"/oauth2/default of Okta or /api/auth of Better Auth"
	}
	return "check the issuer in the configuration of the server, character by character; its provider documents it as " +
		"issuer, " +
		"authority or domain"
}

// checkIssuerMismatch judges metadata that names another issuer (RFC 8414 section 3.3).
func (d *doctor) checkIssuerMismatch(m observedServer, evidence string) {
	evidence += fmt.Sprintf(", want %s", quote.String(d.issuer))
	switch {
	case strings.TrimSuffix(m.Issuer, "/") == strings.TrimSuffix(d.issuer, "/"):
	case d.endpoint != nil && sameOrigin(d.issuer, d.resource()) && !sameOrigin(m.Issuer, d.issuer):
		d.found("server.rewritten", evidence)
		return
	}
	d.foundProblem(ExplainOtherIssuer(m.Issuer, d.issuer), evidence)
}

// checkPKCE judges whether S256 is listed (MCP authorization, "Authorization Code
// Protection").
func (d *doctor) checkPKCE() {
	m := d.observed.Issuer.Metadata
	evidence := fmt.Sprintf("code_challenge_methods_supported of %s: %s", m.URL, quote.List(m.ChallengeMethods))
	switch {
	case d.observed.Issuer.S256:
		d.ok("pkce", "%s", evidence)
	default:
		d.foundProblem(ExplainPKCE(d.issuer, ""), evidence)
	}
}
