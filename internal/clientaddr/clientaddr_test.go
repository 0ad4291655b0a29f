package clientaddr_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/clientaddr"
)

func trusted(texts ...string) clientaddr.Proxies {
	var out clientaddr.Proxies
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

// Each case changes one thing of the first one, in which a trusted proxy names the client.
func TestFind(t *testing.T) {
	proxies := trusted("10.0.0.0/8", "2001:db8:1::/48")
	forwarded := func(values ...string) http.Header { return http.Header{"X-Forwarded-For": values} }
	standard := func(values ...string) http.Header { return http.Header{"Forwarded": values} }
	const proxy, client = "10.0.0.1:4711", "203.0.113.7"
	tests := []struct {
		name, from string
		header     http.Header
		read       string // name of the header; empty means X-Forwarded-For
		want       string
	}{
		{"control", proxy, forwarded(client), "", client},
		{"no header", proxy, nil, "", "10.0.0.1"},
		{"a client that is not a proxy", "198.51.100.9:1", forwarded(client), "", "198.51.100.9"},
		{"a client that is not a proxy, with the address of one", "198.51.100.9:1", forwarded("10.0.0.9"), "", "198.51.100.9"},
		{"what the client wrote is before what the proxy wrote", proxy, forwarded("192.0.2.1, " + client), "", client},
		{"the same in two headers", proxy, forwarded("192.0.2.1", client), "", client},
		{"two trusted proxies", proxy, forwarded("192.0.2.1, " + client + ", 10.0.0.2"), "", client},
		{"trusted proxies alone", proxy, forwarded("10.0.0.3, 10.0.0.2"), "", "10.0.0.3"},
		{"with a port", proxy, forwarded(client + ":55"), "", client},
		{"IPv6", proxy, forwarded("2001:db8::7"), "", "2001:db8::7"},
		{"IPv6 in brackets", proxy, forwarded("[2001:db8::7]"), "", "2001:db8::7"},
		{"IPv6 with a port", proxy, forwarded("[2001:db8::7]:55"), "", "2001:db8::7"},
		{"IPv6 with a zone", proxy, forwarded("fe80::1%eth0"), "", "fe80::1"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:4711", forwarded("::ffff:" + client), "", client},
		{"proxy with IPv6", "[2001:db8:1::5]:4711", forwarded(client), "", client},
		{"not an address", proxy, forwarded("unknown"), "", "10.0.0.1"},
		{"empty", proxy, forwarded(""), "", "10.0.0.1"},
		{"an empty element at the end", proxy, forwarded(client + ","), "", "10.0.0.1"},
		{"not an address behind a proxy", proxy, forwarded("unknown, 10.0.0.2"), "", "10.0.0.2"},
		{"address in brackets that is not IPv6", proxy, forwarded("[203.0.113.7]"), "", "10.0.0.1"},
		{"another header", proxy, standard("for=" + client), "", "10.0.0.1"},
		{"Forwarded", proxy, standard("for=" + client), "Forwarded", client},
		{"Forwarded, other parameters", proxy, standard("proto=https;FOR=" + client + ";by=10.0.0.1"), "Forwarded", client},
		{"Forwarded, IPv6", proxy, standard(`for="[2001:db8::7]:55"`), "Forwarded", "2001:db8::7"},
		{"Forwarded, list", proxy, standard("for=192.0.2.1, for=" + client + ", for=10.0.0.2"), "Forwarded", client},
		{"Forwarded, no quote at the end", proxy, standard(`for="203.0.113.7`), "Forwarded", "10.0.0.1"},
		{"Forwarded, twice in one element", proxy, standard("for=" + client + ";for=192.0.2.1"), "Forwarded", "10.0.0.1"},
		{"Forwarded, hidden", proxy, standard("for=_hidden"), "Forwarded", "10.0.0.1"},
		{"Forwarded, and X-Forwarded-For of the client", proxy, forwarded(client), "Forwarded", "10.0.0.1"},
		{"one address", proxy, http.Header{"X-Real-Ip": {client}}, "X-Real-Ip", client},
		{"one address, twice", proxy, http.Header{"X-Real-Ip": {client, "192.0.2.1"}}, "X-Real-Ip", "10.0.0.1"},
		{"one address, a list", proxy, http.Header{"X-Real-Ip": {client + ", 192.0.2.1"}}, "X-Real-Ip", "10.0.0.1"},
		{"Unix socket", "@", forwarded(client), "", "127.0.0.1"},
	}
	for _, test := range tests {
		f := clientaddr.Finder{Trusted: proxies, Header: test.read}
		got := f.Find(&http.Request{RemoteAddr: test.from, Header: test.header})
		if got.String() != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
	local := clientaddr.Finder{Trusted: trusted("127.0.0.0/8")}
	if got := local.Find(&http.Request{RemoteAddr: "@", Header: forwarded(client)}); got.String() != client {
		t.Errorf("Unix socket of a trusted proxy: got %s, want %s", got, client)
	}
	var none clientaddr.Finder
	if got := none.Find(&http.Request{RemoteAddr: proxy, Header: forwarded(client)}); got.String() != "10.0.0.1" {
		t.Errorf("no trusted proxies: got %s, want the address of the connection", got)
	}
}

// A list of addresses has any length that the header may have; only its end is read.
func TestFindReadsTheEndOfAList(t *testing.T) {
	f := clientaddr.Finder{Trusted: trusted("10.0.0.0/8")}
	list := strings.Repeat("192.0.2.1, ", 50_000) + "203.0.113.7"
	if got := f.Find(&http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": {list}}}); got.String() != "203.0.113.7" {
		t.Errorf("got %s, want the last address", got)
	}
	proxies := strings.Repeat("10.0.0.2, ", 50_000)
	allocations := testing.AllocsPerRun(10, func() {
		f.Find(&http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": {proxies}}})
	})
	if allocations > 20 {
		t.Errorf("%v allocations for a list of 50,000 addresses, want a few", allocations)
	}
}

func TestNetwork(t *testing.T) {
	for address, want := range map[string]string{
		"203.0.113.7":             "203.0.113.7/32",
		"::ffff:203.0.113.7":      "203.0.113.7/32",
		"2001:db8:1:2:3:4:5:6":    "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff::%eth": "2001:db8:1:2::/64",
	} {
		if got := clientaddr.Network(netip.MustParseAddr(address)).String(); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}

// Each case changes one thing of the first one, in which a trusted proxy names the client.
func TestLocate(t *testing.T) {
	const proxy, client, cdn = "10.0.0.1:4711", "203.0.113.7", "198.51.100.1"
	values := func(name string, values ...string) http.Header { return http.Header{name: values} }
	for _, test := range []struct {
		name, from       string
		header           http.Header
		read             string
		address          string
		proxied, unnamed bool
	}{
		{"control", proxy, values("X-Forwarded-For", client), "", client, false, false},
		{"a client that is not a proxy", "198.51.100.9:1", nil, "", "198.51.100.9", false, false},
		{"a proxy that is not trusted", "198.51.100.9:1", values("X-Forwarded-For", client), "", "198.51.100.9", true, false},
		{"with the other header", "198.51.100.9:1", values("Forwarded", "for="+client), "", "198.51.100.9", true, false},
		{"a second proxy that is not trusted", proxy, values("X-Forwarded-For", client+", "+cdn), "", cdn, true, false},
		{"a second proxy that is trusted", proxy, values("X-Forwarded-For", client+", 10.0.0.2"), "", client, false, false},
		{"no header", proxy, nil, "", "10.0.0.1", false, true},
		{"not an address", proxy, values("X-Forwarded-For", "unknown"), "", "10.0.0.1", false, true},
		{"another header", proxy, values("X-Forwarded-For", client), "X-Real-Ip", "10.0.0.1", false, true},
		{"one address", proxy, values("X-Real-Ip", client), "X-Real-Ip", client, false, false},
	} {
		f := clientaddr.Finder{Trusted: trusted("10.0.0.0/8"), Header: test.read}
		got := f.Locate(&http.Request{RemoteAddr: test.from, Header: test.header})
		if got.Address.String() != test.address || got.Proxied != test.proxied || got.Unnamed != test.unnamed {
			t.Errorf("%s: got %+v, want %s, proxied %v, unnamed %v", test.name, got, test.address, test.proxied, test.unnamed)
		}
	}
}

func TestSite(t *testing.T) {
	for address, want := range map[string]string{
		"2001:db8:1:2::3": "2001:db8:1::/48", "2001:db8:1:ffff::3": "2001:db8:1::/48", "203.0.113.7": "", "::ffff:203.0.113.7": "",
	} {
		site, ok := clientaddr.Site(clientaddr.Network(netip.MustParseAddr(address)))
		if ok != (want != "") || ok && site.String() != want {
			t.Errorf("%s: got %s, %v, want %q", address, site, ok, want)
		}
	}
}

func FuzzFind(f *testing.F) {
	f.Add("10.0.0.1:1", "203.0.113.7, 10.0.0.2", "")
	f.Add("@", `for="[2001:db8::7]:55";by=_x`, "Forwarded")
	f.Fuzz(func(t *testing.T, from, value, header string) {
		finder := clientaddr.Finder{Trusted: trusted("10.0.0.0/8", "127.0.0.0/8"), Header: header}
		r := &http.Request{RemoteAddr: from, Header: http.Header{"X-Forwarded-For": {value}, "Forwarded": {value}}}
		address := finder.Find(r)
		if !address.IsValid() || !clientaddr.Network(address).IsValid() {
			t.Fatalf("got %v", address)
		}
		if peer, ok := clientaddr.Peer(r); ok && !finder.Trusted.Contains(peer) && address != peer {
			t.Fatalf("the header of a peer that is not trusted was read: got %s, want %s", address, peer)
		}
	})
}

func TestParseNetwork(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.7": "10.0.0.7/32", "10.0.0.7/24": "10.0.0.0/24", "2001:db8::7": "2001:db8::7/128", "::ffff:10.0.0.7": "10.0.0.7/32",
		"10.0.0": "", "proxy": "", "10.0.0.7/33": "", "": "",
	} {
		got, err := clientaddr.ParseNetwork(text)
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("%q: got %s, %v, want %q", text, got, err, want)
		}
	}
}
