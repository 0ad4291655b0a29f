package gatewayfile

import (
	"github.com/gatehouse-mcp/gatehouse/internal/operator"
)

// Operator configures the operator port.
type Operator struct {
	At

	Listen string `doc:"Address of the operator port, like localhost:9090, or :9090 for all addresses of this machine. It serves /metrics, /healthz, /readyz with the state of each endpoint, and /stats. Let only probes and monitoring reach it." need:"true"`
	PProf  bool   `doc:"Serve profiles of the process under /debug/pprof/, to requests that arrive on loopback."`
}

// OperatorPort is the operator port that a file configures. Listen is empty if it configures none.
type OperatorPort struct {
	Listen string
	PProf  bool
}

// operatorPort returns the operator port, and reports its mistakes.
func (b *builder) operatorPort() OperatorPort {
	o := b.file.Operator
	if o == nil || o.Listen == "" {
		return OperatorPort{} // a member that is missing is reported
	}
	line := o.lineOf("listen")
	host, port, problem, fix := operator.ParseAddr(o.Listen)
	if problem != "" {
		b.fault(line, "listen", o.Listen, problem, fix)
		return OperatorPort{}
	}
	if b.file.Listen != "" {
		publicHost, publicPort, problem, _ := operator.ParseAddr(b.file.Listen)
		if problem == "" && operator.Collides(host, port, publicHost, publicPort) {
			b.fault(line, "listen", o.Listen, "is also the address of the gateway, which users reach", "use another port, like localhost:9090")
		}
	}
	return OperatorPort{o.Listen, o.PProf}
}

// NeedsRestart returns the settings whose change from old to l applies when the gateway is restarted.
func (l *Loaded) NeedsRestart(old *Loaded) []string {
	var names []string
	for _, setting := range []struct {
		name    string
		changed bool
	}{
		{"listen", l.Listen != old.Listen},
		{"operator", l.Operator != old.Operator},
		{"drain_delay", l.Stop.Delay != old.Stop.Delay},
		{"shutdown_timeout", l.Stop.Timeout != old.Stop.Timeout},
	} {
		if setting.changed {
			names = append(names, setting.name)
		}
	}
	return names
}
