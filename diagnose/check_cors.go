package diagnose

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

// samplePage is the origin of the requests that ask about CORS if Config.Origin is empty.
const samplePage = "https://page.example"

// pageOrigin is the origin of the web page as which the server is asked.
func (d *doctor) pageOrigin() string {
	if d.cfg.Origin != "" {
		return d.cfg.Origin
	}
	return samplePage
}

// preflightHeader returns the header of a preflight (Fetch, "CORS-preflight request").
func preflightHeader(origin, method, headers string) http.Header {
	return http.Header{
		"Origin":                         {origin},
		"Access-Control-Request-Method":  {method},
		"Access-Control-Request-Headers": {headers},
	}
}

// allowsOrigin reports whether an answer may be read by pages of the origin.
func allowsOrigin(a *answer, origin string) bool {
	got := a.header.Get("Access-Control-Allow-Origin")
	return a.err == nil && (got == "*" || got == origin)
}

// headerList returns the values of a header that is a list.
func headerList(a *answer, name string) []string {
	var names []string
	for _, value := range a.header.Values(name) {
		for item := range strings.SplitSeq(value, ",") {
			names = append(names, strings.TrimSpace(item))
		}
	}
	return names
}

// checkCORS judges the answers to a page of another origin. A server that allows no such page
// has no fault, unless the user asks about one: most clients are not web pages.
func (d *doctor) checkCORS(o *otherAnswers) {
	origin := d.pageOrigin()
	allowed := allowsOrigin(o.preflight, origin) && o.preflight.status >= 200 && o.preflight.status <= 299
	evidence := fmt.Sprintf("%s; the request had Origin: %s; Access-Control-Allow-Origin: %s", o.preflight, origin,
		quote.String(o.preflight.header.Get("Access-Control-Allow-Origin")))
	d.checkDocumentCORS()
	switch {
	case allowed:
		d.checkAllowedPage(o, origin)
	case o.preflight.err == nil && o.preflight.status == http.StatusUnauthorized:
		d.found("cors.preflight", evidence)
	case d.cfg.Origin != "":
		d.found("cors.origin", evidence, "origin", origin)
	default:
		d.ok("cors", "pages of other origins may not use the endpoint: %s; to check one of yours, pass its origin with "+
			"--origin", o.preflight)
	}
}

// checkAllowedPage judges an endpoint that a page may use: whether it gets all that it needs.
func (d *doctor) checkAllowedPage(o *otherAnswers, origin string) {
	d.observed.CORS.Endpoint = true
	headers := headerList(o.preflight, "Access-Control-Allow-Headers")
	evidence := fmt.Sprintf("%s; Access-Control-Allow-Headers: %s", o.preflight, quote.String(strings.Join(headers, ", ")))
	for _, name := range []string{"Authorization", "Content-Type", "MCP-Protocol-Version"} {
		if !contains(headers, name) && (name == "Authorization" || !contains(headers, "*")) {
			d.observed.CORS.Endpoint = false
			d.found("cors.headers", evidence, "header", name)
			break
		}
	}
	if methods := headerList(o.preflight, "Access-Control-Allow-Methods"); len(methods) > 0 &&
		!contains(methods, "POST") && !contains(methods, "*") {
		d.observed.CORS.Endpoint = false
		d.found("cors.method", fmt.Sprintf("%s; Access-Control-Allow-Methods: %s", o.preflight,
			quote.String(strings.Join(methods, ", "))))
	}
	if o.fromPage.err == nil && !allowsOrigin(o.fromPage, origin) {
		d.observed.CORS.Endpoint = false
		d.found("cors.unauthorized", fmt.Sprintf("%s; the request had Origin: %s", o.fromPage, origin))
	} else if exposed := headerList(o.fromPage, "Access-Control-Expose-Headers"); !contains(exposed, "*") {
		for _, name := range []string{"WWW-Authenticate", "Mcp-Session-Id"} {
			if !contains(exposed, name) {
				d.found("cors.expose", fmt.Sprintf("%s; Access-Control-Expose-Headers: %s", o.fromPage,
					quote.String(strings.Join(exposed, ", "))),
					"header", name)
				break
			}
		}
	}
	d.ok("cors", "%s; the request had Origin: %s", o.preflight, origin)
}

// checkDocumentCORS judges whether a page can read the metadata. It was fetched without an
// Origin, which servers that allow every origin answer as well.
func (d *doctor) checkDocumentCORS() {
	for i, r := range d.observed.Documents {
		if !r.Usable() {
			continue
		}
		got := d.documentAnswers[i].header.Get("Access-Control-Allow-Origin")
		d.observed.CORS.Documents = got == "*" || got == d.pageOrigin()
		if !d.observed.CORS.Documents && d.cfg.Origin != "" {
			d.found("cors.documents", fmt.Sprintf("GET %s: Access-Control-Allow-Origin: %s", r.URL, quote.String(got)))
		}
		return
	}
}

// checkIssuerCORS judges whether a page of Config.Origin can sign in at the issuer.
func (d *doctor) checkIssuerCORS(ctx context.Context) {
	if d.cfg.Origin == "" || d.endpoint == nil {
		return
	}
	m := d.observed.Issuer.Metadata
	metadata := d.prober.send(ctx, request{
		method: http.MethodGet, url: m.URL, header: http.Header{"Origin": {d.cfg.Origin}}, document: true,
		foreign: !d.isLoopbackTarget(),
	})
	d.observed.CORS.Issuer = true
	d.judgeIssuerCORS("metadata", metadata)
	for _, e := range []struct{ what, url string }{
		{"registration endpoint", m.RegistrationEndpoint}, {"token endpoint", m.TokenEndpoint},
	} {
		if e.url != "" && d.checkNamed(e.url) == "" {
			d.judgeIssuerCORS(e.what, d.prober.send(ctx, request{
				method: http.MethodOptions, url: e.url, header: preflightHeader(d.cfg.Origin, http.MethodPost, "content-type"),
				foreign: !d.isLoopbackTarget(),
			}))
		}
	}
}

func (d *doctor) judgeIssuerCORS(what string, a *answer) {
	if allowsOrigin(a, d.cfg.Origin) && a.status >= 200 && a.status <= 299 {
		return
	}
	d.observed.CORS.Issuer = false
	d.found("cors.issuer", fmt.Sprintf("%s; the request had Origin: %s; Access-Control-Allow-Origin: %s", a, d.cfg.Origin,
		quote.String(a.header.Get("Access-Control-Allow-Origin"))), "origin", d.cfg.Origin, "what", what)
}
