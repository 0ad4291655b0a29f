package window

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// refusal returns why r may not be answered, or "". The window can do anything
// with the local Clerk, so no other page may reach it: not by DNS rebinding
// (Host), and not by a request across origins (Origin, Sec-Fetch-Site). Programs
// that are no browsers send neither of the latter.
func refusal(r *http.Request) string {
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && !isLoopback(addr.String()) {
		return fmt.Sprintf("the window answers loopback connections only; got one on %q", addr)
	}
	if !isLoopback(r.Host) {
		return fmt.Sprintf("the window answers loopback hosts only; got Host %q, want localhost, 127.0.0.1 or [::1]", r.Host)
	}
	if origin := r.Header.Get("Origin"); origin != "" && !isOrigin(origin, r.Host) {
		return fmt.Sprintf("got a request from the origin %q, want none or the window's own", origin)
	}
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "", "same-origin", "none":
		return ""
	default:
		if isNavigation(r) {
			return ""
		}
		return fmt.Sprintf("got a request with Sec-Fetch-Site %q, want same-origin", site)
	}
}

// isNavigation reports whether a person follows a link to the page itself,
// which is harmless from anywhere: it changes nothing and no script reads it.
func isNavigation(r *http.Request) bool {
	return r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" && !strings.HasPrefix(r.URL.Path, Path+"api/")
}

func isOrigin(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && strings.EqualFold(u.Host, host)
}

// isLoopback reports whether a host, with or without port, is this machine.
func isLoopback(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Zone() == "" && addr.Unmap().IsLoopback()
}

// protect sets what every answer carries. Scripts and styles are files of this
// origin; nothing is inline, and no script may make markup out of text.
func protect(h http.Header) {
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

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		writeError(w, http.StatusInternalServerError, "encoding the answer")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}

func writeError(w http.ResponseWriter, status int, problem string) {
	writeJSON(w, status, struct {
		Error string `json:"error"`
	}{problem})
}
