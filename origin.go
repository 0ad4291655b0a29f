package gatehouse

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// Headers of the MCP transports that a browser client sends and reads
// (basic/transports, and SEP-2243 for Mcp-Param-*).
const (
	corsMethods = "GET, POST, DELETE, OPTIONS"
	corsHeaders = "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Session-Id, Mcp-Method, Mcp-Name, Last-Event-ID"
	corsExpose  = "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After"
	corsMaxAge  = "7200"

	maxRequestedHeaders = 64
)

// arrivedOnLoopback reports whether the connection of r came in on a loopback
// address. Without a connection to ask, as in unit tests, it did not.
func arrivedOnLoopback(r *http.Request) bool {
	switch addr := r.Context().Value(http.LocalAddrContextKey).(type) {
	case *net.TCPAddr:
		return addr.IP.IsLoopback()
	case net.Addr:
		return wellknown.IsLoopback(addr.String())
	}
	return false
}

// hostAllowed defends a server on loopback against DNS rebinding: a page whose
// name resolves to 127.0.0.1 sends that name as Host.
func (g *Guard) hostAllowed(r *http.Request) bool {
	if !g.loopback && !arrivedOnLoopback(r) {
		return true
	}
	return strings.EqualFold(r.Host, g.resources[0].host) || wellknown.IsLoopback(r.Host)
}

// originAllowed follows the MCP transports: an Origin that is there must be one
// that is expected. Clients that are not browsers send none.
func (g *Guard) originAllowed(origin string) bool {
	if slices.Contains(g.AllowedOrigins, "*") || slices.Contains(g.AllowedOrigins, origin) || origin == g.origin {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && g.loopback && (u.Scheme == "http" || u.Scheme == "https") && wellknown.IsLoopback(u.Host)
}

// allowOrigin lets a page of the allowed origin read the answer, refusals
// included: a sign-in begins with one. Credentials stay off; there are no cookies.
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

// preflight answers before any token is looked at: browsers never send one here.
func preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Access-Control-Request-Headers")
	h.Set("Access-Control-Allow-Methods", corsMethods)
	h.Set("Access-Control-Allow-Headers", corsHeaders+requestedParams(r))
	h.Set("Access-Control-Max-Age", corsMaxAge)
	w.WriteHeader(http.StatusNoContent)
}

// requestedParams echoes the Mcp-Param-* names that the browser asks for; they
// depend on the tool and cannot be listed beforehand.
func requestedParams(r *http.Request) string {
	var b strings.Builder
	names := strings.SplitN(r.Header.Get("Access-Control-Request-Headers"), ",", maxRequestedHeaders+1)
	for _, name := range names[:min(len(names), maxRequestedHeaders)] {
		name = strings.TrimSpace(name)
		if len(name) > len("mcp-param-") && strings.EqualFold(name[:len("mcp-param-")], "mcp-param-") && isToken68(strings.ReplaceAll(name, "-", "")) {
			b.WriteString(", ")
			b.WriteString(name)
		}
	}
	return b.String()
}
