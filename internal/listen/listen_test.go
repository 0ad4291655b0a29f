package listen_test

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/listen"
)

func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	l.Close()
	return true
}

func TestTCP(t *testing.T) {
	for _, tt := range []struct {
		host          string
		wantAddresses []string
		needsIPv6     bool
	}{
		{host: "localhost", wantAddresses: []string{"127.0.0.1", "::1"}},
		{host: "LocalHost", wantAddresses: []string{"127.0.0.1", "::1"}},
		{host: "app.localhost", wantAddresses: []string{"127.0.0.1", "::1"}},
		{host: "127.0.0.1", wantAddresses: []string{"127.0.0.1"}},
		{host: "::1", wantAddresses: []string{"::1"}, needsIPv6: true},
		{host: "[::1]", wantAddresses: []string{"::1"}, needsIPv6: true},
	} {
		if !hasIPv6() {
			if tt.needsIPv6 {
				continue
			}
			tt.wantAddresses = tt.wantAddresses[:1]
		}
		listeners, err := listen.TCP(tt.host, 0)
		if err != nil {
			t.Errorf("TCP(%q): %v", tt.host, err)
			continue
		}
		var addresses []string
		for _, l := range listeners {
			defer l.Close()
			addresses = append(addresses, l.Addr().(*net.TCPAddr).IP.String())
			if got, want := listen.Port(l), listen.Port(listeners[0]); got != want {
				t.Errorf("TCP(%q) listens on port %d, want %d on every address", tt.host, got, want)
			}
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Errorf("dialing %s: %v", l.Addr(), err)
				continue
			}
			conn.Close()
		}
		if !slices.Equal(addresses, tt.wantAddresses) {
			t.Errorf("TCP(%q) listens on %q, want %q", tt.host, addresses, tt.wantAddresses)
		}
	}
}

func TestHostWithPort(t *testing.T) {
	for _, host := range []string{"localhost:3000", "127.0.0.1:3000"} {
		listeners, err := listen.TCP(host, 0)
		if err == nil {
			t.Errorf("TCP(%q) returned no error, want one: the port is the other argument", host)
		}
		for _, l := range listeners {
			l.Close()
		}
	}
}

func TestPortInUse(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Logf("this machine has no %s: %v", address, err)
			continue
		}
		defer l.Close()
		got, err := listen.TCP(listen.Localhost, listen.Port(l))
		for _, l := range got {
			l.Close()
		}
		if !errors.Is(err, syscall.EADDRINUSE) || err.Error() != fmt.Sprintf("port %d is in use", listen.Port(l)) {
			t.Errorf("TCP(localhost, port of %s) = %v, want port in use", address, err)
		}
	}
}
