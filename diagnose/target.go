package diagnose

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
)

const maxTarget = 2048 // bytes

// TargetError is the error of a target that [Run] cannot check. Its text does not contain
// the target, which may be a secret.
type TargetError struct{ Problem, Fix string }

func (e *TargetError) Error() string { return e.Problem + "; " + e.Fix }

// secretShape matches what is a secret and not a target: keys and tokens of Clerk, and JWTs.
var secretShape = regexp.MustCompile(`^(sk_|ak_|mt_|oat_|Bearer |[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.)`)

// checkTarget returns an error if raw cannot be a target at all.
func checkTarget(raw string) error {
	switch {
	case len(raw) > maxTarget:
		return &TargetError{fmt.Sprintf("the target is %d bytes long, want at most %d", len(raw), maxTarget), "pass a URL"}
	case strings.HasPrefix(raw, "sk_"):
		return &TargetError{"the target is a secret key of Clerk",
			"pass the publishable key (pk_…) or the Frontend API URL; the secret key belongs in CLERK_SECRET_KEY or in a file"}
	case secretShape.MatchString(raw) && !strings.Contains(raw, "://") && !looksLikeHost(raw):
		return &TargetError{"the target is a token or a key, want a URL",
			"pass the URL of the MCP endpoint, like https://mcp.example.com/mcp"}
	case strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return &TargetError{"the target contains white space or control characters",
			"pass one URL, like https://mcp.example.com/mcp"}
	}
	return nil
}

var hostShape = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}(:\d+)?(/.*)?$`)

// looksLikeHost reports whether raw may be a URL whose scheme was forgotten.
func looksLikeHost(raw string) bool {
	return hostShape.MatchString(raw) || strings.HasPrefix(raw, "localhost")
}

// resolve finds out what the target is, and sets endpoint or issuer. If the form of the
// target has a fault, it adds the finding and sets neither.
func (d *doctor) resolve(ctx context.Context, raw string) error {
	d.target = raw
	if raw == "" {
		d.resolveEnvironment()
		return nil
	}
	if err := checkTarget(raw); err != nil {
		return err
	}
	_, d.query, _ = strings.Cut(raw, "?")
	switch {
	case strings.HasPrefix(raw, "pk_"):
		d.resolveClerk(clerk.New(clerk.Config{PublishableKey: raw}))
		return nil
	case isClerkAddress(raw):
		d.resolveClerk(clerk.New(clerk.Config{FrontendAPIURL: raw}))
		return nil
	}
	u := d.checkURL(raw)
	if u == nil {
		return nil
	}
	if issuer, ok := wellknown.IssuerOf(raw); ok {
		d.issuer = issuer
	} else if isIssuerHost(u) || d.answersAsIssuer(ctx, u) {
		d.issuer = raw
	} else {
		d.endpoint = u
	}
	d.ok("url", "%s", withoutQuery(d.subject()))
	return nil
}

// subject is the URL under examination.
func (d *doctor) subject() string {
	if d.endpoint != nil {
		return d.endpoint.String()
	}
	return d.issuer
}

// checkURL checks the form of the URL of an endpoint or an issuer. It returns nil if it has
// a fault. A slash at the end, and a query, may be right.
func (d *doctor) checkURL(raw string) *url.URL {
	const example = `write it like "https://mcp.example.com/mcp"`
	if !strings.Contains(raw, "://") {
		fix := example
		if looksLikeHost(raw) {
			fix = fmt.Sprintf("write %q", schemeFor(raw)+raw)
		}
		d.found("url.form", fmt.Sprintf("got %q", raw), "problem", "has no scheme", "fix", fix)
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		d.found("url.form", fmt.Sprintf("got %q", wellknown.Redacted(raw)), "problem", "is not a URL", "fix", example)
		return nil
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	plain := *u
	plain.RawQuery, plain.ForceQuery = "", false
	plain.Path, plain.RawPath = strings.TrimSuffix(plain.Path, "/"), ""
	if u.Scheme == "http" && !wellknown.IsLoopback(u.Host) {
		plain.Scheme = "https"
		d.found("url.plain_http", fmt.Sprintf("got %q", wellknown.Redacted(raw)), "url", plain.String()+slashOf(u))
		return nil
	}
	if endpoint, ok := endpointOfDocument(u); ok {
		d.found("url.document", fmt.Sprintf("got %q", raw), "url", endpoint)
		return nil
	}
	var fault *wellknown.Fault
	if err := wellknown.Issuer(plain.String()); errors.As(err, &fault) {
		d.found("url.form", fmt.Sprintf("got %q", wellknown.Redacted(raw)), "problem", fault.Problem, "fix", fault.Fix)
		return nil
	}
	return u
}

func schemeFor(raw string) string {
	host, _, _ := strings.Cut(raw, "/")
	if wellknown.IsLoopback(host) {
		return "http://"
	}
	return "https://"
}

func slashOf(u *url.URL) string {
	if strings.HasSuffix(u.Path, "/") {
		return "/"
	}
	return ""
}

// endpointOfDocument returns the endpoint whose protected resource metadata has the URL u.
func endpointOfDocument(u *url.URL) (string, bool) {
	before, after, ok := strings.Cut(u.String(), wellknown.ProtectedResourcePath)
	return before + after, ok
}

// isClerkAddress reports whether raw is an address of Clerk, be it the Frontend API or one
// that users take for it. An address of a Frontend API has no path, except that of a proxy.
func isClerkAddress(raw string) bool {
	rest := strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(raw), "https://"), "http://")
	host, path, _ := strings.Cut(rest, "/")
	if path != "" && path != "__clerk" && host != "dashboard.clerk.com" {
		return false
	}
	switch {
	case host == "clerk.com", strings.HasSuffix(host, ".clerk.com") && !strings.HasPrefix(host, "clerk."),
		host == "accounts.dev":
		return true
	case strings.HasSuffix(host, ".accounts.dev"), strings.HasPrefix(host, "clerk."):
		return true
	}
	return false
}

// resolveClerk takes the Frontend API URL of a Clerk instance as the issuer.
func (d *doctor) resolveClerk(p gatehouse.Provider) {
	if p.Err != nil {
		what := "URL"
		if strings.HasPrefix(d.target, "pk_") {
			what = "publishable key"
		}
		for _, ce := range configErrors(p.Err) {
			d.found("url.clerk", fmt.Sprintf("got %q", wellknown.Redacted(d.target)), "what", what, "problem", ce.Problem,
				"fix", ce.Fix)
		}
		return
	}
	d.issuer = p.Issuer
	d.ok("url", "the Frontend API URL of the Clerk instance is %s", p.Issuer)
}

// configErrors returns the configuration errors in err.
func configErrors(err error) []*gatehouse.ConfigError {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var list []*gatehouse.ConfigError
		for _, e := range joined.Unwrap() {
			list = append(list, configErrors(e)...)
		}
		return list
	}
	var ce *gatehouse.ConfigError
	if errors.As(err, &ce) {
		return []*gatehouse.ConfigError{ce}
	}
	return []*gatehouse.ConfigError{{Problem: err.Error(), Fix: "correct it"}}
}

// issuerHosts matches the issuers of providers whose documents need not be asked.
var issuerHosts = []*regexp.Regexp{
	regexp.MustCompile(`^login\.microsoftonline\.(com|us)/`),
	regexp.MustCompile(`^sts\.windows\.net/`),
	regexp.MustCompile(`^accounts\.google\.com/?$`),
	regexp.MustCompile(`^cognito-idp\.[a-z0-9-]+\.amazonaws\.com/`),
	regexp.MustCompile(`^[a-z0-9.-]+\.auth0\.com/?$`),
	regexp.MustCompile(`^[a-z0-9.-]+\.okta(preview)?\.com(/oauth2/[^/]+)?/?$`),
	regexp.MustCompile(`/realms/[^/]+/?$`),
}

func isIssuerHost(u *url.URL) bool {
	text := u.Host + u.Path
	return slices.ContainsFunc(issuerHosts, func(r *regexp.Regexp) bool { return r.MatchString(text) })
}

// answersAsIssuer asks a URL that could be either, and reports whether it is an issuer: it
// has authorization server metadata, and does not ask for a token like an MCP endpoint.
func (d *doctor) answersAsIssuer(ctx context.Context, u *url.URL) bool {
	if strings.HasSuffix(u.Path, "/mcp") || strings.HasSuffix(u.Path, "/sse") || u.RawQuery != "" {
		return false
	}
	candidates := wellknown.Candidates(u.String())
	if len(candidates) == 0 {
		return false
	}
	d.progress("finding out what %s is", u.Host)
	answers := make([]*answer, len(candidates))
	var resource *answer
	functions := []func(){
		func() { d.first = d.prober.send(ctx, initializeRequest(u.String(), nil)) },
		func() { resource = d.prober.get(ctx, originOf(u)+wellknown.ProtectedResource(withoutSlash(u)), false) },
	}
	for i, c := range candidates {
		functions = append(functions, func() { answers[i] = d.prober.get(ctx, c, false) })
	}
	all(functions...)
	if d.first.err == nil && (d.first.status == 401 || d.first.header.Get("Www-Authenticate") != "" || isMCPAnswer(d.first)) {
		return false
	}
	if hasMember(resource, "resource") {
		return false // an MCP server that passes the metadata of its issuer on
	}
	return slices.ContainsFunc(answers, func(a *answer) bool { return hasMember(a, "issuer") })
}

// hasMember reports whether an answer is a JSON object with the member.
func hasMember(a *answer, name string) bool {
	members, problem := objectOf(a)
	_, ok := members[name]
	return problem == "" && ok
}
