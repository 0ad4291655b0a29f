package wellknown

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// IsLoopback reports whether host, with or without a port, can only mean this machine:
// localhost, a name under .localhost (RFC 6761, section 6.3), an address in
// 127.0.0.0/8, or ::1 with or without brackets. Case is ignored.
//
// Other spellings of these (127.1, ::ffff:127.0.0.1, localhost with a trailing dot) are
// not loopback, because programs read them differently. Neither are the unspecified
// addresses, for which a listener accepts connections on every interface.
//
// The names must not be looked up before plain http is sent to them: DNS or a hosts file
// may name another machine. Package remote has a transport that connects to the loopback
// addresses directly.
func IsLoopback(host string) bool {
	if rest, ok := strings.CutPrefix(host, "["); ok {
		literal, port, ok := strings.Cut(rest, "]")
		return ok && isLoopback6(literal) && (port == "" || isPort(port))
	}
	name, port, hasPort := strings.Cut(strings.ToLower(host), ":")
	switch {
	case !hasPort:
	case strings.Contains(port, ":"): // an IPv6 address without brackets
		return isLoopback6(host)
	case !isPort(":" + port):
		return false
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		return addr.Is4() && addr.IsLoopback()
	}
	return name == "localhost" || strings.HasSuffix(name, ".localhost") && isName(name)
}

// isLoopback6 reports whether literal is ::1 without a zone.
func isLoopback6(literal string) bool {
	addr, err := netip.ParseAddr(literal)
	return err == nil && addr == netip.IPv6Loopback()
}

// isPort reports whether s is a colon and a port number.
func isPort(s string) bool {
	digits, colon := strings.CutPrefix(s, ":")
	_, err := strconv.ParseUint(digits, 10, 16)
	return colon && err == nil
}

// Aliases returns the URLs that clients may use for a resource that [Resource] returned,
// the resource itself first. A resource on localhost, 127.0.0.1 or [::1] has a URL with
// each of the three, because users type any of them for the same server. Any other
// resource, including one under .localhost or on 127.0.0.2, has only its own.
func Aliases(resource *url.URL) []string {
	aliases := []string{resource.String()}
	hosts := []string{"localhost", "127.0.0.1", "[::1]"}
	bare := strings.TrimSuffix(resource.Host, ":"+resource.Port())
	if !slices.Contains(hosts, bare) {
		return aliases
	}
	for _, host := range hosts {
		if host != bare {
			alias := *resource
			alias.Host = host + strings.TrimPrefix(resource.Host, bare)
			aliases = append(aliases, alias.String())
		}
	}
	return aliases
}

// Audiences returns the values of "aud" that name the resource, which is one of [Aliases]. For an
// endpoint at the root of a host, https://h and https://h/ are the same resource (RFC 3986,
// section 6.2.3): clients that pass the URL through a URL parser send the second.
func Audiences(resource string) []string {
	if _, rest, _ := strings.Cut(resource, "://"); !strings.Contains(rest, "/") {
		return []string{resource, resource + "/"}
	}
	return []string{resource}
}
