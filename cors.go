package gatehouse

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// Headers of the MCP transports that a browser client sends and reads (basic/transports).
const (
	corsMethods = "GET, POST, DELETE, OPTIONS"
	corsHeaders = "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Session-Id, Mcp-Method, Mcp-Name, Last-Event-ID, " +
		"traceparent, tracestate, baggage" // W3C Trace Context, W3C Baggage
	corsExpose = "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After"
	corsMaxAge = "7200" // seconds

	// corsParamPrefix begins the headers that carry arguments of a tool (SEP-2243).
	corsParamPrefix = "mcp-param-"
	// maxRequestedHeaders is how many names of Access-Control-Request-Headers are read.
	maxRequestedHeaders = 64
)

// originAllowed is the second half of check 1: if a request has an Origin, it must be an
// allowed one (MCP, basic/transports). Only browsers send Origin.
func (g *Guard) originAllowed(origin string) bool {
	if slices.Contains(g.AllowedOrigins, "*") || slices.Contains(g.AllowedOrigins, origin) || origin == g.origin {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && g.loopback && (u.Scheme == "http" || u.Scheme == "https") && wellknown.IsLoopback(u.Host)
}

// originError describes a rejected Origin for the log.
func (g *Guard) originError(origin string) error {
	return fmt.Errorf("got Origin %s, want %s", quote.String(origin), quote.OneOf(append([]string{g.origin}, g.AllowedOrigins...)))
}

// validateHeaders checks [Config.AllowedHeaders] and sets s.corsHeaders.
func (s *settings) validateHeaders(f *faults) {
	s.corsHeaders = corsHeaders
	for _, name := range s.AllowedHeaders {
		switch {
		case name == "":
			f.addEmpty("AllowedHeaders", "name")
		case name == "*":
			f.add("AllowedHeaders", name, "does not allow Authorization in any browser", "list the headers")
		case !isHeaderName(name):
			f.add("AllowedHeaders", name, "is not the name of a header", `write it like "X-Tenant"`)
		case isForbiddenHeader(name):
			f.add("AllowedHeaders", name, "is a header that web pages cannot set", "remove it")
		default:
			s.corsHeaders += ", " + name
		}
	}
}

// isHeaderName reports whether name has the letters of the names of headers.
func isHeaderName(name string) bool { return isToken68(name) && !strings.ContainsAny(name, "=/") }

// isForbiddenHeader reports whether browsers do not let a page set the header (Fetch,
// "forbidden request-header").
func isForbiddenHeader(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, "sec-") || strings.HasPrefix(name, "proxy-") || slices.Contains([]string{
		"accept-charset", "accept-encoding", "access-control-request-headers", "access-control-request-method",
		"access-control-request-private-network", "connection", "content-length", "cookie", "cookie2", "date", "dnt",
		"expect", "host", "keep-alive", "origin", "referer", "set-cookie", "te", "trailer", "transfer-encoding",
		"upgrade", "via",
	}, name)
}

// allowOrigin lets a page of the allowed origin read the answer. That includes
// rejections, since a sign-in begins with one. Credentials in the sense of CORS stay
// disabled, since the guard uses no cookies.
func allowOrigin(h http.Header, origin string) {
	h.Add("Vary", "Origin")
	if origin != "" {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", corsExpose)
	}
}

func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// preflight answers a preflight request (check 2). Browsers send no token with those.
func (g *Guard) preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Access-Control-Request-Headers")
	h.Set("Access-Control-Allow-Methods", corsMethods)
	h.Set("Access-Control-Allow-Headers", g.corsHeaders+requestedParams(r))
	h.Set("Access-Control-Max-Age", corsMaxAge)
	w.WriteHeader(http.StatusNoContent)
}

// requestedParams returns the Mcp-Param-* names that the browser requests, each after
// ", ". They depend on the tool, so a fixed list cannot name them.
func requestedParams(r *http.Request) string {
	var b strings.Builder
	names := strings.SplitN(r.Header.Get("Access-Control-Request-Headers"), ",", maxRequestedHeaders+1)
	for _, name := range names[:min(len(names), maxRequestedHeaders)] {
		if name = strings.TrimSpace(name); isParamHeader(name) {
			b.WriteString(", ")
			b.WriteString(name)
		}
	}
	return b.String()
}

func isParamHeader(name string) bool {
	return len(name) > len(corsParamPrefix) &&
		strings.EqualFold(name[:len(corsParamPrefix)], corsParamPrefix) &&
		isToken68(strings.ReplaceAll(name, "-", ""))
}
