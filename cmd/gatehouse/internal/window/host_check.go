package window

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// checkSender returns why r must be rejected, or "". The API can mint any token of the
// local Clerk, so no other web page may reach it: neither by DNS rebinding, which the Host
// header reveals, nor by a cross-origin request, which Origin and Sec-Fetch-Site reveal.
// Programs other than browsers send neither of the latter.
func checkSender(r *http.Request) string {
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && !wellknown.IsLoopback(addr.String()) {
		return fmt.Sprintf("got a connection to %q, want one to a loopback address", addr)
	}
	if !wellknown.IsLoopback(r.Host) {
		return fmt.Sprintf("got Host %s, want a loopback host: localhost, 127.0.0.1 or [::1]", quote.String(r.Host))
	}
	if origin := r.Header.Get("Origin"); origin != "" && !isOrigin(origin, r.Host) {
		return fmt.Sprintf("got Origin %s, want none or that of the window", quote.String(origin))
	}
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "", "same-origin", "none":
		return ""
	default:
		if isNavigation(r) {
			return ""
		}
		return fmt.Sprintf("got Sec-Fetch-Site %s, want same-origin", quote.String(site))
	}
}

// isNavigation reports whether the user follows a link to the page itself. That is safe
// from any site: it changes nothing, and no script of the site can read the page.
func isNavigation(r *http.Request) bool {
	return r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" && !strings.HasPrefix(r.URL.Path, Path+"api/")
}

func isOrigin(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && strings.EqualFold(u.Host, host)
}

// setSecurityHeaders sets the headers of every response. Scripts and styles are files of
// this origin, never inline, and scripts cannot turn text into markup.
func setSecurityHeaders(h http.Header) {
	h.Set("Content-Security-Policy", strings.Join([]string{
		"default-src 'none'",
		"script-src 'self'",
		"style-src 'self'",
		"img-src 'self'",
		"connect-src 'self'",
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
		"trusted-types 'none'",
	}, "; "))
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}
