// Package listen opens the listeners of an HTTP server, and serves on them until a
// graceful shutdown.
package listen

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// Localhost is the host for which [TCP] listens on both loopback addresses.
const Localhost = "localhost"

// TCP listens on host and port. For [Localhost], and for the names under it, it listens
// on 127.0.0.1 and, if the machine has IPv6, on [::1]: clients differ in which they try
// first. Port 0 chooses a free port, the same for both addresses. The error names the
// port or the address and wraps the error of the operating system.
func TCP(host string, port int) ([]net.Listener, error) {
	host = strings.Trim(host, "[]")
	if !isLocalName(host) {
		l, err := open("tcp", host, port)
		if err != nil {
			return nil, err
		}
		return []net.Listener{l}, nil
	}
	four, err := open("tcp4", "127.0.0.1", port)
	if err != nil {
		return nil, err
	}
	six, err := open("tcp6", "::1", Port(four))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		four.Close()
		return nil, err
	case err != nil: // a machine without IPv6
		return []net.Listener{four}, nil
	}
	return []net.Listener{four, six}, nil
}

// isLocalName reports whether host is localhost or a name under it, without a port.
func isLocalName(host string) bool {
	_, err := netip.ParseAddr(host)
	return err != nil && !strings.Contains(host, ":") && wellknown.IsLoopback(host)
}

// Port returns the TCP port that l listens on, or 0 if l is not a TCP listener.
func Port(l net.Listener) int {
	if addr, ok := l.Addr().(*net.TCPAddr); ok {
		return addr.Port
	}
	return 0
}

// portInUseError says that another program uses a port. Its text leaves out that of the
// operating system, which says the same in other words.
type portInUseError struct {
	port int
	err  error
}

func (e *portInUseError) Error() string { return fmt.Sprintf("port %d is in use", e.port) }

func (e *portInUseError) Unwrap() error { return e.err }

func open(network, host string, port int) (net.Listener, error) {
	address := net.JoinHostPort(host, strconv.Itoa(port))
	l, err := net.Listen(network, address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, &portInUseError{port: port, err: err}
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("this user may not listen on port %d: %w", port, err)
	case err != nil:
		return nil, fmt.Errorf("listening on %s: %w", address, err)
	}
	return l, nil
}
