package gatehouse

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// checkHost is the first half of check 1. It protects a server on loopback against DNS
// rebinding: a web page whose host name resolves to 127.0.0.1 sends that name as Host.
func (g *Guard) checkHost(r *http.Request) error {
	if !g.loopback && !arrivedOnLoopback(r) || wellknown.IsLoopback(r.Host) {
		return nil
	}
	host := plainHost(g.resourceURL.Scheme, r.Host)
	if host == g.resources[0].host || slices.Contains(g.allowedHosts, host) {
		return nil
	}
	return fmt.Errorf("got Host %s, want %s or the name of this machine",
		quote.String(r.Host), quote.OneOf(append([]string{g.resources[0].host}, g.allowedHosts...)))
}

// plainHost returns the host in lower case, without the default port of the scheme.
func plainHost(scheme, host string) string {
	host = strings.ToLower(host)
	switch scheme {
	case "https":
		return strings.TrimSuffix(host, ":443")
	case "http":
		return strings.TrimSuffix(host, ":80")
	}
	return host
}

// validateHosts checks [Config.AllowedHosts] and sets s.allowedHosts.
func (s *settings) validateHosts(f *faults) {
	scheme := "https"
	if s.resourceURL != nil {
		scheme = s.resourceURL.Scheme
	}
	for _, host := range s.AllowedHosts {
		if host == "" {
			f.addEmpty("AllowedHosts", "host")
			continue
		}
		if host == "*" {
			f.add("AllowedHosts", host, "allows every web page to reach a local server by DNS rebinding", "list the hosts")
			continue
		}
		name, err := wellknown.Host(scheme, host)
		if err != nil {
			f.addURL("AllowedHosts", host, err)
			continue
		}
		s.allowedHosts = append(s.allowedHosts, name)
	}
}

// arrivedOnLoopback reports whether the connection of r arrived on a loopback address.
// It is false if the address is unknown, as in tests without a connection.
func arrivedOnLoopback(r *http.Request) bool {
	switch addr := r.Context().Value(http.LocalAddrContextKey).(type) {
	case *net.TCPAddr:
		return addr.IP.IsLoopback()
	case net.Addr:
		return wellknown.IsLoopback(addr.String())
	}
	return false
}
