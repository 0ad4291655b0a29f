package serve

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/internal/operator"
)

// Operator configures the operator port: a listener for those who run the server, which is not
// the one that users reach. Anyone who can connect to it can read what it serves, so let only probes
// and monitoring reach it. It serves:
//
//   - /healthz: 200 while the process lives.
//   - /readyz: 200 or 503, and for each guard the state of its keys and shared revocations, and
//     the reason why it is not ready. On the public port, /readyz has the status alone.
//   - /metrics: Metrics.
//   - /stats: [gatehouse.Stats] as JSON; durations are in nanoseconds.
//   - /debug/pprof/: profiles, if PProf is set.
//
// The port answers 503 at /readyz as soon as the context of [Server.Serve] ends, and closes last.
// A request that arrives on a loopback address must have the name of this machine as Host, and
// requests from web pages are rejected, so that no page can read it through a browser.
type Operator struct {
	_ [0]func()

	// Addr is the address to listen on, like "localhost:9090", or ":9090" for all addresses of
	// this machine, as probes of Kubernetes and Prometheus need it. Port 0 means a free port,
	// which the log names. Empty means no operator port.
	Addr string

	// Metrics, if not nil, answers /metrics.
	Metrics http.Handler

	// PProf serves profiles of this process under /debug/pprof/, for "go tool pprof". They show
	// the code that runs, and one of the processor slows the server down while it is taken.
	// Whatever Addr is, they are served only to requests that arrive on loopback, such as those of
	// "kubectl port-forward" and "ssh -L".
	PProf bool
}

// Handler returns what the operator port serves, for guards without a [Server] and for listeners
// of your own. There must be at least one guard. Addr is not used. The rules about Host and
// profiles need the connection's local address, which [http.Server] provides.
func (o Operator) Handler(guards ...*gatehouse.Guard) http.Handler {
	cfg := operator.OfGuards(func() []*gatehouse.Guard { return guards })
	cfg.Metrics, cfg.PProf = o.Metrics, o.PProf
	return operator.New(cfg)
}

// checkOperator reports the faults of the operator port.
func (cfg *Config) checkOperator(fault func(field, value, problem, fix string)) {
	o := cfg.Operator
	if o.Addr == "" {
		const problem = "has no effect without Operator.Addr"
		const fix = `set Operator.Addr to an address like "localhost:9090", or remove it`
		if o.Metrics != nil {
			fault("Operator.Metrics", "", problem, fix)
		}
		if o.PProf {
			fault("Operator.PProf", "", problem, fix)
		}
		return
	}
	host, port, problem, fix := operator.ParseAddr(o.Addr)
	switch {
	case problem != "":
		fault("Operator.Addr", o.Addr, problem, fix)
	case operator.Collides(host, port, cfg.Host, cfg.Port):
		fault("Operator.Addr", o.Addr, "is also the address of the server, which users reach", `use another port, like "localhost:9090"`)
	}
}

// listen opens the listeners of the operator port, if there is one.
func (o Operator) listen() ([]net.Listener, error) {
	if o.Addr == "" {
		return nil, nil
	}
	host, port, _, _ := operator.ParseAddr(o.Addr) // checkOperator has checked it
	listeners, err := listen.TCP(host, port)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("serve: operator port: %w; stop the program that uses it, or set Operator.Addr to another", err)
	} else if err != nil {
		return nil, fmt.Errorf("serve: operator port: %w; set Operator.Addr to an address of this machine, like \"localhost:9090\"", err)
	}
	return listeners, nil
}

// startOperator serves the operator port on the listeners. The function that it returns closes
// the port.
func (s *Server) startOperator(listeners []net.Listener) (stop func()) {
	if len(listeners) == 0 {
		return func() {}
	}
	return operator.Start(s.config.Operator.Handler(s.guard), s.logger, listeners...)
}
