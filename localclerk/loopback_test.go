package localclerk

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestHostMustBeLoopback(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for host, want := range map[string]int{
		"localhost:4000":           200,
		"localhost":                200,
		"LOCALHOST:4000":           200,
		"clerk.localhost:4000":     200,
		"localhost.:4000":          200,
		"127.0.0.1:4000":           200,
		"127.1.2.3:4000":           200,
		"[::1]:4000":               200,
		"[::1]":                    200,
		"[::ffff:127.0.0.1]:4000":  200,
		"evil.example:4000":        403,
		"localhost.evil.example":   403,
		"127.0.0.1.evil.example":   403,
		"notlocalhost:4000":        403,
		"0.0.0.0:4000":             403,
		"192.168.0.1:4000":         403,
		"[::]:4000":                403,
		"[::1%25lo]:4000":          403,
		"evil.example@localhost:1": 403,
	} {
		if got := get(t, s, "/.well-known/jwks.json", "Host", host); got.status != want {
			t.Errorf("Host %q: status %d, want %d", host, got.status, want)
		}
	}
}

func TestConnectionMustBeLoopback(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for address, want := range map[string]int{"127.0.0.1:4000": 200, "[::1]:4000": 200, "192.168.0.1:4000": 403, "10.0.0.1:4000": 403} {
		tcp, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		at := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, tcp)))
		})
		if got := send(t, at, "GET", "/.well-known/jwks.json", ""); got.status != want {
			t.Errorf("connection to %s: status %d, want %d", address, got.status, want)
		}
	}
}

func FuzzLoopbackHost(f *testing.F) {
	for _, host := range []string{"localhost", "127.0.0.1", "[::1]:80", "a.localhost.", "evil.example", "::ffff:127.0.0.1", "0x7f.1"} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, hostport string) {
		host := hostname(hostport)
		if !isLoopbackHost(host) {
			return
		}
		if addr := net.ParseIP(host); addr != nil && !addr.IsLoopback() {
			t.Errorf("%q is an address that is not loopback", hostport)
		}
		name := strings.TrimSuffix(strings.ToLower(host), ".")
		if net.ParseIP(name) == nil && name != "localhost" && !strings.HasSuffix(name, ".localhost") {
			t.Errorf("%q passes for loopback", hostport)
		}
	})
}
