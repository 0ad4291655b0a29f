package main

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/certfile"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// listenAddress is where the gateway listens, and how.
type listenAddress struct {
	host string // empty for all addresses
	port int
	name string // of the setting

	certificate *certfile.Certificate // nil without TLS
	operator    operatorPort
}

// defaultAddress is the address without any setting.
var defaultAddress = listenAddress{host: defaultGatewayHost, port: defaultGatewayPort, name: "HOST"}

// address returns the address of --listen, or else that of the file or of the environment. If it
// returns an error, the address is the default one, so that the other settings can be checked.
func (o gatewayOptions) address(settings *env.Env, fromFile string) (listenAddress, error) {
	name, text := "--listen", o.listen
	if text == "" {
		name, text = "listen", fromFile
	}
	if text == "" {
		host := cmp.Or(settings.Get("HOST"), defaultGatewayHost)
		port, ok := parsePort(cmp.Or(settings.Get("PORT"), strconv.Itoa(defaultGatewayPort)))
		if !ok {
			return defaultAddress, failure.New("use a number from 1 to 65535", "PORT %q is not a port", settings.Get("PORT"))
		}
		return listenAddress{host: host, port: port, name: "HOST"}, nil
	}
	host, number, err := net.SplitHostPort(text)
	port, ok := parsePort(number)
	if err != nil || !ok {
		hint := "write it like localhost:3000, or :3000 for all addresses of this machine"
		if _, isPort := parsePort(text); isPort {
			hint = fmt.Sprintf("write localhost:%s, or :%s for all addresses of this machine", text, text)
		} else if !strings.Contains(text, ":") {
			hint = fmt.Sprintf("add the port, like %s:3000", text)
		}
		return defaultAddress, newUsageError(hint, "%s %q is not an address with a port", name, text)
	}
	return listenAddress{host: host, port: port, name: name}, nil
}

func parsePort(text string) (port int, ok bool) {
	port, err := strconv.Atoi(text)
	return port, err == nil && port > 0 && port <= 65535
}

// certificate returns the certificate of --tls-cert and --tls-key, or nil if they are not set.
func (o gatewayOptions) certificate(logger *slog.Logger) (*certfile.Certificate, error) {
	const (
		certFlag = "--tls-cert"
		keyFlag  = "--tls-key"
	)
	switch {
	case !o.usesTLS():
		return nil, nil
	case o.tlsKey == "":
		return nil, newUsageError("add --tls-key with the file of the private key", "--tls-cert is set without --tls-key")
	case o.tlsCert == "":
		return nil, newUsageError("add --tls-cert with the file of the certificate and its chain", "--tls-key is set without --tls-cert")
	}
	certificate, err := certfile.Load(o.tlsCert, o.tlsKey, logger)
	if err == nil {
		return certificate, nil
	}
	var faults []error
	for _, e := range flattenErrors(err) {
		var fault *certfile.Fault
		if !errors.As(e, &fault) {
			faults = append(faults, e)
			continue
		}
		name := certFlag
		if fault.Key {
			name = keyFlag
		}
		faults = append(faults, newUsageError(fault.Fix, "%s %q %s", name, fault.File, fault.Problem))
	}
	return nil, errors.Join(faults...)
}

// usesTLS reports whether the command line asks for a listener with TLS.
func (o gatewayOptions) usesTLS() bool { return o.tlsCert != "" || o.tlsKey != "" }

// String returns host and port.
func (a listenAddress) String() string { return net.JoinHostPort(a.host, strconv.Itoa(a.port)) }

// checkUpstreams returns an error for each upstream that is the gateway itself, which would then send
// each request to itself, without the token.
func (a listenAddress) checkUpstreams(endpoints []gateway.Endpoint) error {
	var faults []error
	for _, endpoint := range endpoints {
		for _, upstream := range endpoint.Upstreams {
			if upstream.URL != nil && a.accepts(upstream.URL) {
				faults = append(faults, newUsageError("write the address of the MCP server, which must listen on another port",
					"the upstream %q is the address on which the gateway listens", upstream.URL.Redacted()))
			}
		}
	}
	return errors.Join(faults...)
}

// accepts reports whether a connection to the host of u, on this machine, is one to the gateway.
func (a listenAddress) accepts(u *url.URL) bool {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if port != strconv.Itoa(a.port) || !wellknown.IsLoopback(u.Hostname()) {
		return false
	}
	listening, err := netip.ParseAddr(a.host)
	if err != nil || listening.IsUnspecified() { // localhost, or all addresses
		return a.host == "" || err == nil || wellknown.IsLoopback(a.host)
	}
	target, err := netip.ParseAddr(u.Hostname())
	return listening.IsLoopback() && (err != nil || target == listening)
}

// open opens the listeners.
func (a listenAddress) open() ([]net.Listener, error) {
	listeners, err := listen.TCP(a.host, a.port)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, failure.New("stop the program that uses it, or choose another port with --listen", "%w", err)
	} else if err != nil {
		return nil, failure.New("choose an address of this machine with --listen, like localhost:3000", "%w", err)
	}
	if a.certificate != nil {
		for i := range listeners {
			listeners[i] = tls.NewListener(listeners[i], a.certificate.TLSConfig())
		}
	}
	return listeners, nil
}

// warnings returns one sentence for each reason why clients will reject the certificate, given the
// guards of the endpoints.
func (a listenAddress) warnings(guards []*gatehouse.Guard) []string {
	if a.certificate == nil {
		return nil
	}
	var hosts []string
	for _, guard := range guards {
		if u, err := url.Parse(guard.Resource()); err == nil {
			hosts = append(hosts, u.Hostname())
		}
	}
	return a.certificate.Warnings(hosts...)
}
