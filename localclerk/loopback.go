package localclerk

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// isLoopbackHost reports whether host always refers to this machine. host has no
// port and no brackets. For the localhost names see RFC 6761 section 6.3.
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

// requireLoopback responds 403 to every request that is not from this machine.
func requireLoopback(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if problem := loopbackProblem(r); problem != "" {
			recordError(r, "host_invalid", problem, "use the URL of the issuer")
			http.Error(w, problem, http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// loopbackProblem returns why r is not accepted, or "". It checks the local
// address of the connection, because the handler may be served on a listener
// that also accepts connections from the network.
func loopbackProblem(r *http.Request) string {
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && !isLoopbackAddr(addr) {
		return fmt.Sprintf("this local Clerk accepts loopback connections only; got one on %q", addr)
	}
	if !isLoopbackHost(hostname(r.Host)) {
		return fmt.Sprintf("this local Clerk accepts loopback hosts only; got Host %q, want localhost, 127.0.0.1 or [::1]", r.Host)
	}
	return ""
}

// hostname returns a Host header or URL host without its port and without the
// brackets of an IPv6 address.
func hostname(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
}
