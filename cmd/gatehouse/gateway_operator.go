package main

import (
	"errors"
	"log/slog"
	"net"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gatewayfile"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/revocationport"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/revocationstore"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/internal/operator"
)

// operatorPort is the operator port of a gateway. The zero value is none.
type operatorPort struct {
	open  bool
	host  string // empty for all addresses
	port  int
	name  string // of the setting
	pprof bool

	revokeKey   gatehouse.Secret // empty if the port takes no revocations
	revocations *sharedStore
}

// sharedStore is the store of the guards. It changes when the file of the gateway changes.
type sharedStore struct {
	atomic.Pointer[revocationstore.Store]
}

// operatorPort returns the operator port of --operator-listen, or else that of the file. public is
// the address of the gateway.
func (o gatewayOptions) operatorPort(file gatewayfile.OperatorPort, public listenAddress) (operatorPort, error) {
	name, text := "--operator-listen", o.operatorListen
	if text == "" {
		name, text = "operator.listen", file.Listen
	}
	if text == "" {
		return operatorPort{}, nil
	}
	host, port, problem, fix := operator.ParseAddr(text)
	if problem == "" && operator.Collides(host, port, public.host, public.port) {
		problem, fix = "is also the address of the gateway, which users reach", "use another port, like localhost:9090"
	}
	if problem != "" {
		return operatorPort{}, newUsageError(fix, "%s %q %s", name, text, problem)
	}
	return operatorPort{open: true, host: host, port: port, name: name, pprof: file.PProf, revokeKey: file.RevokeKey}, nil
}

// String returns host and port.
func (p operatorPort) String() string { return net.JoinHostPort(p.host, strconv.Itoa(p.port)) }

// listen opens the listeners of the operator port, if there is one.
func (p operatorPort) listen() ([]net.Listener, error) {
	if !p.open {
		return nil, nil
	}
	listeners, err := listen.TCP(p.host, p.port)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, failure.New("stop the program that uses it, or choose another port with "+p.name, "operator port: %w", err)
	} else if err != nil {
		return nil, failure.New("choose an address of this machine with "+p.name+", like localhost:9090", "operator port: %w", err)
	}
	return listeners, nil
}

// openBoth opens the listeners of the gateway and of its operator port. If it returns an error, none is open.
func openBoth(address listenAddress) (public, private []net.Listener, err error) {
	public, err = address.open()
	private, portErr := address.operator.listen()
	if err = errors.Join(err, portErr); err != nil {
		for _, l := range append(public, private...) {
			l.Close()
		}
		return nil, nil, err
	}
	return public, private, nil
}

// start serves the operator port of the guards on the listeners, if there is one. The function that it
// returns closes the port.
func (p operatorPort) start(
	con *console, cfg operator.Config, guards func() []*gatehouse.Guard, logger *slog.Logger, listeners []net.Listener,
) (stop func()) {
	if !p.open {
		return func() {}
	}
	cfg.PProf = p.pprof
	if p.revokeKey != "" {
		cfg.Revocations = revocationport.New(revocationport.Config{Key: p.revokeKey, Store: p.revocations.Load, Guards: guards, Logger: logger})
	}
	host := p.host
	if host == "" {
		host = listen.Localhost
	}
	con.Note("operator port at http://%s", net.JoinHostPort(host, strconv.Itoa(listen.Port(listeners[0]))))
	return operator.Start(operator.New(cfg), logger, listeners...)
}

// reportStore says where the revocations are that gateways share, if the file says it.
func reportStore(con *console, store *revocationstore.Store, check bool) {
	if store == nil {
		return
	}
	switch {
	case check:
	case store.InMemory():
		con.Note("keeping revocations in memory: no other gateway knows them, and a restart forgets them")
	default:
		con.Note("sharing revocations through %s", store)
	}
	for _, warning := range store.Warnings() {
		con.Note("warning: %s", warning)
	}
}
