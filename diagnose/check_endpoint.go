package diagnose

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// examineEndpoint makes the checks for which the endpoint is asked without a token. It sets
// the issuer that the metadata names.
func (d *doctor) examineEndpoint(ctx context.Context) {
	d.observed.Endpoint = d.resource()
	d.observed.Loopback = wellknown.IsLoopback(d.endpoint.Host)
	if d.first == nil {
		d.progress("connecting to %s", d.endpoint.Host)
		d.first = d.prober.send(ctx, initializeRequest(d.resource(), nil))
	}
	if !d.checkConnection(ctx, d.first) {
		return
	}
	d.observed.Reachable = true
	d.endpointSkew = d.skew(d.first)
	d.findChallenge(ctx)
	d.progress("reading the metadata of %s", d.endpoint.Host)
	d.observed.Challenge = readChallenge(d.challenged.header)
	d.observed.Challenge.Status = d.challenged.status
	d.fetchDocuments(ctx)
	d.checkEndpoint(ctx)
	if d.has("endpoint", Fault) {
		return
	}
	d.checkChallenge()
	d.checkDocuments()
	d.checkResource()
	d.progress("asking %s as a browser and as other clients do", d.endpoint.Host)
	d.probeOtherRequests(ctx)
	d.checkAuthorizationServers()
}

// findChallenge sets the answer that should have the challenge. A server some of whose
// operations are public answers initialize without a token, but not with an invalid one.
func (d *doctor) findChallenge(ctx context.Context) {
	d.challenged = d.first
	if !isMCPAnswer(d.first) {
		return
	}
	a := d.prober.send(ctx, initializeRequest(d.resource(), bearer(opaqueToken)))
	if a.err == nil && a.status == http.StatusUnauthorized && a.header.Get("Www-Authenticate") != "" {
		d.challenged, d.observed.Public = a, true
	}
}

// checkEndpoint judges the answer to initialize without a token, which should be 401.
func (d *doctor) checkEndpoint(ctx context.Context) {
	a := d.first
	switch {
	case a.location() != nil:
		d.checkRedirect(a)
	case a.status == http.StatusUnauthorized:
		d.ok("endpoint", "%s", a)
	case d.observed.Public:
		d.ok("endpoint", "without a token, %s; with an invalid one, %s: some operations are public", a, d.challenged)
	case isMCPAnswer(a):
		d.checkOpen(a)
	case a.status == http.StatusForbidden:
		d.checkForbidden(a)
	case a.status >= 500, a.status == http.StatusTooManyRequests:
		e, _ := ExplainEndpoint(a.status, a.isHTML())
		d.foundProblem(e, a.String())
	case a.status == http.StatusNotFound, a.status == http.StatusMethodNotAllowed, a.isHTML():
		d.checkPath(ctx, a)
	case saysUnauthorized(a):
		d.found("endpoint.rewritten_ok", a.String(), "status", fmt.Sprint(a.status))
	case a.status == http.StatusBadRequest:
		d.found("endpoint.bad_request", a.String())
	default:
		d.found("endpoint.not_mcp", a.String())
	}
}

// checkOpen judges an endpoint that answers without a token.
func (d *doctor) checkOpen(a *answer) {
	d.observed.Open = true
	evidence := a.String() + "; the request had no token"
	for _, r := range d.observed.Documents {
		if r.Usable() && r.Resource != "" {
			d.found("endpoint.open_with_metadata", evidence+"; "+r.URL+" has metadata")
			return
		}
	}
	d.found("endpoint.open", evidence)
}

func (d *doctor) checkForbidden(a *answer) {
	body := readGuardBody(a)
	switch {
	case body.Reason == "forbidden_host":
		d.found("endpoint.forbidden_host", a.String(), "host", d.endpoint.Host)
	case body.Reason == "no_credentials", body.Error == "missing_token", body.Error == "invalid_token":
		d.found("endpoint.rewritten_forbidden", a.String())
	default:
		d.found("endpoint.forbidden", a.String())
	}
}

// loginPath matches the path of a page for signing in with a browser.
var loginPath = regexp.MustCompile(
	`(?i)(^|/)(log-?in|sign-?in|sso|saml2?|auth|oauth2?|authorize|cdn-cgi/access)(/|$|\.(php|aspx?|html?)$)`)

func (d *doctor) checkRedirect(a *answer) {
	d.foundProblem(ExplainRedirect(d.endpoint, a.location()), a.String())
}

// passwordField matches a page for signing in with a browser.
var passwordField = regexp.MustCompile(`(?i)type=["']?password`)

// checkPath judges a path at which no MCP server answers, and looks for the one at which it
// does.
func (d *doctor) checkPath(ctx context.Context, a *answer) {
	if found := d.findEndpoint(ctx); found != "" {
		d.found("endpoint.not_found", a.String()+"; "+found+" answers as an MCP endpoint", "fix", "use the URL "+found)
		return
	}
	switch {
	case a.isHTML() && passwordField.Match(a.body):
		d.found("endpoint.login_page", a.String(), "location", "that page")
	default:
		e, _ := ExplainEndpoint(a.status, a.isHTML())
		d.foundProblem(e, a.String()+allowed(a))
	}
}

func allowed(a *answer) string {
	if allow := a.header.Get("Allow"); allow != "" {
		return fmt.Sprintf("; Allow: %q", allow)
	}
	return ""
}

// findEndpoint looks for the MCP endpoint at the usual paths of the host, and returns its
// URL or "". A path counts only if a path that surely does not exist answers differently:
// some servers ask for a token everywhere.
func (d *doctor) findEndpoint(ctx context.Context) string {
	origin := originOf(d.endpoint)
	var urls []string
	path := strings.TrimSuffix(d.endpoint.Path, "/")
	for _, other := range []string{path, "/mcp", path + "/mcp", "/api/mcp", ""} {
		if candidate := origin + other; candidate != d.resource() && !slices.Contains(urls, candidate) {
			urls = append(urls, candidate)
		}
	}
	answers := make([]*answer, len(urls))
	var functions []func()
	for i, u := range urls {
		functions = append(functions, func() { answers[i] = d.prober.send(ctx, initializeRequest(u, nil)) })
	}
	all(functions...)
	for i, a := range answers {
		if isMCPAnswer(a) || a.err == nil && a.status == http.StatusUnauthorized && a.header.Get("Www-Authenticate") != "" {
			return urls[i]
		}
	}
	return ""
}

// otherPath returns the endpoint with another path.
func (d *doctor) otherPath(path string) string {
	u := url.URL{Scheme: d.endpoint.Scheme, Host: d.endpoint.Host, Path: path}
	return u.String()
}
