package operator

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

const maxPort = 65535

// ParseAddr returns the host and the port of an address like "localhost:9090" or ":9090". An
// empty host means all addresses of the machine, and port 0 a free port. If the address is
// invalid, problem and fix say why, for an error that begins with the address.
func ParseAddr(text string) (host string, port int, problem, fix string) {
	host, number, err := net.SplitHostPort(text)
	port, portErr := strconv.Atoi(number)
	switch {
	case strings.Contains(text, "://"):
		_, rest, _ := strings.Cut(text, "://")
		return "", 0, "is a URL", "write it without the scheme, like " + quoted(strings.TrimRight(rest, "/"))
	case err != nil && isPort(text):
		return "", 0, "has no host", "write " + quoted("localhost:"+text) + ", or " + quoted(":"+text) + " for all addresses of this machine"
	case err != nil && text != "" && !strings.Contains(strings.TrimSuffix(text, "]"), ":"):
		return "", 0, "has no port", "add it, like " + quoted(text+":9090")
	case err != nil || portErr != nil || port < 0 || port > maxPort || strings.ContainsAny(host, "/@?# "):
		return "", 0, "is not an address with a port", `write it like "localhost:9090", or ":9090" for all addresses of this machine`
	}
	return host, port, "", ""
}

func isPort(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= 0 && n <= maxPort
}

func quoted(text string) string { return strconv.Quote(text) }

// Collides reports whether two listeners with these addresses need the same port of the same
// address. Port 0 never does.
func Collides(host1 string, port1 int, host2 string, port2 int) bool {
	if port1 != port2 || port1 == 0 {
		return false
	}
	host1, host2 = plain(host1), plain(host2)
	return host1 == host2 || isWildcard(host1) || isWildcard(host2) ||
		isLocalName(host1) && isFirstLoopback(host2) || isLocalName(host2) && isFirstLoopback(host1)
}

func plain(host string) string { return strings.ToLower(strings.Trim(host, "[]")) }

func isWildcard(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.IsUnspecified()
}

// isLocalName reports whether host is localhost, for which package listen listens on 127.0.0.1
// and ::1.
func isLocalName(host string) bool {
	_, err := netip.ParseAddr(host)
	return err != nil && wellknown.IsLoopback(host)
}

func isFirstLoopback(host string) bool {
	return host == "127.0.0.1" || host == "::1" || isLocalName(host)
}
