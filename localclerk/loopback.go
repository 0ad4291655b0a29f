package localclerk

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// isLoopbackHost reports whether a host name without port, brackets removed,
// always means this machine (RFC 6761 section 6.3 for the localhost names).
func isLoopbackHost(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Zone() == "" && addr.Unmap().IsLoopback()
}

func isLoopbackAddr(addr net.Addr) bool {
	if _, ok := addr.(*net.UnixAddr); ok {
		return true
	}
	host, _, err := net.SplitHostPort(addr.String())
	return err == nil && isLoopbackHost(host)
}

// onlyLocal lets nothing in that is not of this machine.
func requireLoopback(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if problem := loopbackProblem(r); problem != "" {
			recordError(r, "host_invalid", problem, "use the issuer's own URL")
			http.Error(w, problem, http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// notLocal returns why r may not be answered, or "".
func loopbackProblem(r *http.Request) string {
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && !isLoopbackAddr(addr) {
		return fmt.Sprintf("this local Clerk answers loopback connections only; got one on %q", addr)
	}
	if !isLoopbackHost(hostname(r.Host)) {
		return fmt.Sprintf("this local Clerk answers loopback hosts only; got Host %q, want localhost, 127.0.0.1 or [::1]", r.Host)
	}
	return ""
}

// hostname strips the port and the brackets of an IPv6 address from a Host
// header or URL host.
func hostname(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
}
