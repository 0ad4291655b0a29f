package listen_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/listen"
)

func TestLocalhostListensOnBothAddresses(t *testing.T) {
	listeners, err := listen.TCP(listen.Localhost, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range listeners {
		defer l.Close()
		if got, want := listen.Port(l), listen.Port(listeners[0]); got != want {
			t.Errorf("listens on port %d, want %d on every address", got, want)
		}
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Errorf("dialling %s: %v", l.Addr(), err)
			continue
		}
		conn.Close()
	}
	if _, err := net.Listen("tcp6", "[::1]:0"); err == nil && len(listeners) != 2 {
		t.Errorf("got %d listeners on a machine with IPv6, want 2", len(listeners))
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
		if !errors.Is(err, syscall.EADDRINUSE) || !strings.HasPrefix(err.Error(), fmt.Sprintf("port %d is in use", listen.Port(l))) {
			t.Errorf("TCP(localhost, port of %s) = %v, want port in use", address, err)
		}
	}
}
