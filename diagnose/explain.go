package diagnose

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
)

// Explain returns the row of the table of findings with an ID of [Explanations]. values are
// names of its placeholders, each followed by the value that replaces it. It panics if the table
// has no such ID. The functions below choose the ID for what a client has seen.
func Explain(id string, values ...string) Explanation {
	p := problemOf(id)
	var pairs []string
	for i := 0; i+1 < len(values); i += 2 {
		pairs = append(pairs, "{"+values[i]+"}", quote.Clip(values[i+1], maxText/4))
	}
	fill := strings.NewReplacer(pairs...).Replace
	return Explanation{id, p.level, fill(p.title), fill(p.consequence), fill(p.fix)}
}

// properNames are words that keep their spelling within a sentence.
var properNames = []string{"Clerk"}

// Clause returns the title as it is written within a sentence: it begins with a small letter,
// unless its first word is a name.
func (e Explanation) Clause() string {
	if word, _, _ := strings.Cut(e.Title, " "); slices.Contains(properNames, word) {
		return e.Title
	}
	return lowerFirst(e.Title)
}

// ExplainNetwork explains why no answer came from u. ok is false if err does not say that, or if
// a context ended.
func ExplainNetwork(err error, u *url.URL) (e Explanation, ok bool) {
	id := networkProblem(err, u, time.Now())
	if id == brokenConnection || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return Explanation{}, false
	}
	other := *u
	other.Scheme = map[string]string{"https": "http", "http": "https"}[u.Scheme]
	return Explain(id, "host", u.Host, "url", other.String()), true
}

// ExplainResource explains the difference between got, the resource of the protected resource
// metadata, and want, the URL of the endpoint (RFC 9728 section 3.3). ok is false if the two are
// equal or want is not a URL.
func ExplainResource(got, want string) (e Explanation, ok bool) {
	w, err := url.Parse(want)
	if err != nil || got == want {
		return Explanation{}, false
	}
	return resourceProblem(got, w), true
}

// ExplainEndpoint explains an answer of the MCP endpoint to a request without a token that is
// neither a 401 nor an answer of MCP. ok is false if the table has no problem with its status.
func ExplainEndpoint(status int, isHTML bool) (e Explanation, ok bool) {
	switch {
	case status == http.StatusBadGateway, status == http.StatusGatewayTimeout:
		return Explain("endpoint.gateway"), true
	case status == http.StatusServiceUnavailable:
		return Explain("endpoint.unavailable"), true
	case status >= http.StatusInternalServerError:
		return Explain("endpoint.error"), true
	case status == http.StatusTooManyRequests:
		return Explain("endpoint.rate_limited"), true
	case status == http.StatusForbidden:
		return Explain("endpoint.forbidden"), true
	case isHTML:
		return Explain("endpoint.html"), true
	case status == http.StatusMethodNotAllowed:
		return Explain("endpoint.method"), true
	case status == http.StatusNotFound:
		return Explain("endpoint.not_found", "fix", "check the path: most servers have the endpoint at /mcp; and check that "+
			"the server runs the version that you expect"), true
	case status == http.StatusBadRequest:
		return Explain("endpoint.bad_request"), true
	case status < http.StatusMultipleChoices:
		return Explain("endpoint.not_mcp"), true
	}
	return Explanation{}, false
}

// ExplainMetadataAnswer explains an answer from address, the URL of the protected resource
// metadata, that is not usable metadata. A status of 0 means that there was no answer. ok is
// false if the answer says only that there is no document.
func ExplainMetadataAnswer(status int, isHTML bool, address string) (e Explanation, ok bool) {
	switch {
	case status == 0 || status >= http.StatusInternalServerError || status == http.StatusTooManyRequests:
		return Explain("metadata.error", "fix",
			"check that the server answers at "+withoutQuery(address)+"; its log has the cause"), true
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return Explain("metadata.protected"), true
	case status == http.StatusOK && isHTML:
		return Explain("metadata.html"), true
	case status == http.StatusOK:
		return Explain("metadata.not_json"), true
	}
	return Explanation{}, false
}

// ExplainNoMetadata explains an endpoint without protected resource metadata.
func ExplainNoMetadata(endpoint *url.URL) Explanation {
	return Explain("metadata.missing", "metadata", metadataURLOf(endpoint),
		"root", originOf(endpoint)+wellknown.ProtectedResourcePath)
}

// ExplainRedirect explains the redirect of the endpoint to another URL.
func ExplainRedirect(endpoint, to *url.URL) Explanation {
	location := withoutQuery(to.String())
	plain := *endpoint
	plain.RawQuery = ""
	samePath := strings.TrimSuffix(to.Path, "/") == strings.TrimSuffix(endpoint.Path, "/")
	sameHost := strings.EqualFold(to.Hostname(), endpoint.Hostname())
	switch {
	case sameHost && endpoint.Scheme == "https" && to.Scheme == "http":
		return Explain("endpoint.downgrade", "url", plain.String())
	case loginPath.MatchString(to.Path) && !samePath:
		return Explain("endpoint.login_page", "location", location)
	case sameHost && samePath && to.Path != endpoint.Path:
		return Explain("endpoint.slash_redirect", "location", location)
	}
	return Explain("endpoint.redirect", "location", location)
}

// ExplainChallenge explains the worst problem of the challenge in h, the header of a 401 of the
// endpoint to a request without a token. fromGuard says that the body of the 401 is that of the
// guard of Gatehouse. ok is false if the challenge has no problem.
func ExplainChallenge(h http.Header, endpoint *url.URL, fromGuard bool) (e Explanation, ok bool) {
	problems := challengeProblems(h, endpoint, fromGuard)
	if len(problems) == 0 {
		return Explanation{}, false
	}
	return problems[0], true
}

// ExplainMetadataURL explains what is wrong with raw, the resource_metadata in the challenge of
// the endpoint. ok is false if nothing is.
func ExplainMetadataURL(raw string, endpoint *url.URL) (e Explanation, ok bool) {
	public := *endpoint
	public.RawQuery = ""
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return Explain("challenge.relative", "metadata", metadataURLOf(endpoint)), true
	case reachOf(u.Host) < reachOf(endpoint.Host):
		return Explain("challenge.local", "url", public.String()), true
	case u.Scheme == "http" && (endpoint.Scheme == "https" || !wellknown.IsLoopback(u.Host)):
		return Explain("challenge.plain_http", "url", public.String()), true
	case !sameMachine(u, endpoint):
		return Explain("challenge.other_host", "url", public.String()), true
	}
	return Explanation{}, false
}

// ExplainIssuer explains why clients cannot use issuer, which the protected resource metadata of
// the server at the URL owner names. ok is false if they can.
func ExplainIssuer(issuer, owner string) (e Explanation, ok bool) {
	reach := internet
	if u, err := url.Parse(owner); err == nil {
		reach = reachOf(u.Host)
	}
	return issuerProblem(issuer, reach)
}

// ExplainMissingMetadata explains an issuer without authorization server metadata.
func ExplainMissingMetadata(issuer string) Explanation {
	return Explain("server.missing", "issuer", issuer, "fix", issuerFix(issuer))
}

// ExplainOtherIssuer explains the metadata of issuer that names got as the issuer (RFC 8414
// section 3.3).
func ExplainOtherIssuer(got, issuer string) Explanation {
	if strings.TrimSuffix(got, "/") == strings.TrimSuffix(issuer, "/") {
		return Explain("server.issuer_slash", "want", got)
	}
	return Explain("server.issuer", "want", got)
}

// ExplainNoRegistration explains metadata of an issuer that offers no way to register.
// documentation is service_documentation of the metadata, by which Clerk is recognized.
func ExplainNoRegistration(issuer, documentation string) Explanation {
	kind := kindOf(issuer, observedServer{}, documentation)
	if p, ok := handMade[kind]; ok {
		return Explain("registration.by_hand", "provider", p[0], "page", p[1])
	}
	if kind == "clerk" {
		return Explain("registration.closed_clerk")
	}
	return Explain("registration.closed")
}

// ExplainPKCE explains metadata of an issuer that does not list S256. documentation is its
// service_documentation.
func ExplainPKCE(issuer, documentation string) Explanation {
	switch kindOf(issuer, observedServer{}, documentation) {
	case "entra", "cognito":
		return Explain("pkce.unlisted")
	}
	return Explain("pkce.missing")
}

// ExplainScopes explains the scopes that a server asks for and that are not in supported, the
// scopes_supported of the issuer. ok is false if there are none, or the issuer lists no scopes.
func ExplainScopes(asked, supported []string, issuer, documentation string) (e Explanation, ok bool) {
	missing := without(asked, supported)
	switch {
	case supported == nil || len(missing) == 0:
		return Explanation{}, false
	case kindOf(issuer, observedServer{}, documentation) == "clerk" && slices.Equal(missing, []string{clerk.OrganizationScope}):
		return Explain("scopes.organization"), true
	}
	return Explain("scopes.unknown", "scopes", strings.Join(missing, ", ")), true
}

// ExplainInvalidScope explains the error invalid_scope of an issuer, whose description is said, to a
// client that asked for scopes. supported are the scopes_supported of the issuer, nil if it lists
// none, and documentation is its service_documentation.
func ExplainInvalidScope(said string, asked, supported []string, issuer, documentation string) Explanation {
	if e, ok := ExplainScopes(asked, supported, issuer, documentation); ok {
		return e
	}
	named := slices.DeleteFunc(slices.Clone(asked), func(scope string) bool {
		return !strings.Contains(said, "'"+scope+"'") && !strings.Contains(said, `"`+scope+`"`)
	})
	if len(named) == 0 {
		named = asked
	}
	scopes := strings.Join(named, ", ")
	if scopes == "" {
		scopes = "the scope"
	}
	return Explain("signin.invalid_scope", "scopes", scopes)
}

// issuerProblem explains why clients of a server with a reach cannot use an issuer.
func issuerProblem(issuer string, server reach) (e Explanation, ok bool) {
	if name, ok := wellknown.IssuerOf(issuer); ok {
		return Explain("issuer.document", "issuer", name), true
	}
	if u, err := url.Parse(issuer); err == nil && u.Host != "" {
		switch {
		case reachOf(u.Host) < server:
			return Explain("issuer.local"), true
		case u.Scheme == "http" && !wellknown.IsLoopback(u.Host):
			return Explain("issuer.plain_http"), true
		}
	}
	var fault *wellknown.Fault
	if errors.As(wellknown.Issuer(issuer), &fault) {
		return Explain("issuer.form", "issuer", quote.String(issuer), "problem", fault.Problem, "fix", fault.Fix), true
	}
	return Explanation{}, false
}
