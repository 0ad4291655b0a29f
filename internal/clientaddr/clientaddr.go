// Package clientaddr finds the address of the client of a request, also behind reverse proxies.
//
// A client can write any address into a header. So a header is read only if the connection is
// from a proxy that is trusted, and of a list of addresses only the part that trusted proxies
// have written is used.
package clientaddr

import (
	"net/http"
	"net/netip"
	"strings"
)

// The headers in which proxies write a list of addresses, to which each one appends. In every other
// header, a proxy writes one address.
const (
	XForwardedFor = "X-Forwarded-For"
	Forwarded     = "Forwarded" // RFC 7239
)

// maxHops bounds the addresses of a list that are read, from its end.
const maxHops = 32

// Proxies are the networks of trusted proxies. The zero value trusts none.
type Proxies []netip.Prefix

// Contains reports whether the address is one of a trusted proxy.
func (p Proxies) Contains(address netip.Addr) bool {
	address = plain(address)
	for _, prefix := range p {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}

// ParseNetwork reads an address, or a network like 10.0.0.0/24.
func ParseNetwork(text string) (netip.Prefix, error) {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return prefix.Masked(), nil
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	address = plain(address)
	return netip.PrefixFrom(address, address.BitLen()), nil
}

// Peer returns the address of the other end of the connection of r. ok is false if it is not an
// IP address, as for a Unix socket.
func Peer(r *http.Request) (address netip.Addr, ok bool) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, false
	}
	return plain(from.Addr()), true
}

// Finder finds the address of the client. The zero value returns that of the connection.
type Finder struct {
	// Trusted are the proxies whose header is read.
	Trusted Proxies
	// Header is the name of the header, in its canonical form. Empty means XForwardedFor.
	Header string
}

// loopback stands for a connection that has no IP address: the other end is on this machine.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// Source is where a request came from.
type Source struct {
	// Address is that of the client; see [Finder.Find].
	Address netip.Addr
	// Proxied reports whether a header says that the request passed through Address, which is not
	// trusted, and came from elsewhere. A proxy writes such a header, and so can any client.
	Proxied bool
	// Unnamed reports whether Address is that of a trusted proxy, because the proxy named no other.
	Unnamed bool
}

// Locate returns the address of the client of r, as Find does, and what may be wrong with it.
func (f *Finder) Locate(r *http.Request) Source {
	address, unread := f.find(r)
	trusted := f.Trusted.Contains(address)
	return Source{
		Address: address,
		Proxied: !trusted && (unread || f.isDirect(r) && (r.Header[XForwardedFor] != nil || r.Header[Forwarded] != nil)),
		Unnamed: trusted,
	}
}

// isDirect reports whether the connection of r is not from a trusted proxy.
func (f *Finder) isDirect(r *http.Request) bool { return !f.Trusted.Contains(peerOrLoopback(r)) }

// Find returns the address of the client of r: that of the connection, or, if that is a trusted
// proxy, the last one in the header that is not a trusted proxy. If an address in the header cannot
// be read, it returns the one of the proxy that wrote it. A connection without an IP address
// counts as one from 127.0.0.1. The result is always valid.
func (f *Finder) Find(r *http.Request) netip.Addr {
	address, _ := f.find(r)
	return address
}

// find returns the address, and whether the list of addresses has further ones before it.
func (f *Finder) find(r *http.Request) (address netip.Addr, unread bool) {
	address = peerOrLoopback(r)
	if !f.Trusted.Contains(address) {
		return address, false
	}
	hops := f.hops(r.Header)
	for i := len(hops) - 1; i >= 0; i-- {
		hop, ok := parse(hops[i])
		if !ok {
			return address, true
		}
		if address = hop; !f.Trusted.Contains(address) {
			return address, i > 0
		}
	}
	return address, false
}

func peerOrLoopback(r *http.Request) netip.Addr {
	if address, ok := Peer(r); ok {
		return address
	}
	return loopback
}

// hops returns the last addresses of the header, as they are written.
func (f *Finder) hops(h http.Header) []string {
	name := f.Header
	if name == "" {
		name = XForwardedFor
	}
	values := h[name]
	if name != XForwardedFor && name != Forwarded {
		if len(values) != 1 { // with several, it is not known which one the proxy wrote
			return nil
		}
		return values
	}
	var hops []string
	for i := len(values) - 1; i >= 0 && len(hops) < maxHops; i-- {
		rest, found := values[i], true
		for found && len(hops) < maxHops {
			at := strings.LastIndexByte(rest, ',')
			last := rest[at+1:]
			if found = at >= 0; found {
				rest = rest[:at]
			}
			if name == Forwarded {
				last = forParameter(last)
			}
			hops = append(hops, last)
		}
	}
	for i, j := 0, len(hops)-1; i < j; i, j = i+1, j-1 {
		hops[i], hops[j] = hops[j], hops[i]
	}
	return hops
}

// forParameter returns the value of "for" in an element of Forwarded (RFC 7239 §4), or "". A
// quoted value with a comma or semicolon in it is not an address, and is not read as one.
func forParameter(element string) string {
	value := ""
	for pair := range strings.SplitSeq(element, ";") {
		name, text, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if !strings.EqualFold(name, "for") {
			continue
		}
		if value != "" {
			return "" // twice
		}
		value = text
	}
	if rest, ok := strings.CutPrefix(value, `"`); ok {
		if rest, ok = strings.CutSuffix(rest, `"`); !ok {
			return ""
		}
		return rest
	}
	return value
}

// parse reads an address with or without a port, and an IPv6 address with or without brackets.
func parse(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if address, err := netip.ParseAddr(text); err == nil {
		return plain(address), true
	}
	if inside, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inside, "]") {
		address, err := netip.ParseAddr(strings.TrimSuffix(inside, "]"))
		return plain(address), err == nil && address.Is6()
	}
	withPort, err := netip.ParseAddrPort(text)
	return plain(withPort.Addr()), err == nil
}

// Network returns the network of an address that one client can be assumed to have: an IPv4
// address itself, and the first 64 bits of an IPv6 address, of which a client can choose the rest
// (RFC 4291 §2.5.1).
func Network(address netip.Addr) netip.Prefix {
	address = plain(address)
	bits := address.BitLen()
	if address.Is6() {
		bits = 64
	}
	network, _ := address.Prefix(bits) // the length is always valid
	return network
}

// siteBits is the length of the prefix of an IPv6 site: the most that providers give to one
// customer (RFC 6177 §2).
const siteBits = 48

// Site returns the network of the site that an IPv6 network of [Network] belongs to. ok is false for
// an IPv4 address.
func Site(network netip.Prefix) (site netip.Prefix, ok bool) {
	if !network.Addr().Is6() {
		return netip.Prefix{}, false
	}
	site, err := network.Addr().Prefix(siteBits)
	return site, err == nil
}

// plain returns an IPv4 address in an IPv6 address as IPv4, and removes the zone.
func plain(address netip.Addr) netip.Addr { return address.Unmap().WithZone("") }
