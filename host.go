package gatehouse

import (
	"net"
	"net/http"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// hostAllowed is the first half of check 1. It protects a server on loopback against DNS
// rebinding: a web page whose host name resolves to 127.0.0.1 sends that name as Host.
func (g *Guard) hostAllowed(r *http.Request) bool {
	if !g.loopback && !arrivedOnLoopback(r) {
		return true
	}
	return strings.EqualFold(r.Host, g.resources[0].host) || wellknown.IsLoopback(r.Host)
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
