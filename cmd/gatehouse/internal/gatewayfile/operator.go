package gatewayfile

import (
	"fmt"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/revocationport"
	"github.com/gatehouse-mcp/gatehouse/internal/operator"
)

// Operator configures the operator port.
type Operator struct {
	At

	Listen string `doc:"Address of the operator port, like localhost:9090, or :9090 for all addresses of this machine. It serves /metrics, /healthz, /readyz with the state of each endpoint, and /stats. Let only probes and monitoring reach it." need:"true"`
	PProf  bool   `doc:"Serve profiles of the process under /debug/pprof/, to requests that arrive on loopback."`

	RevokeKey gatehouse.Secret `doc:"Key with which \"gatehouse revoke\" on this machine shuts users out, at least 32 bytes. Without the section revocations, what is revoked is kept in memory: no other gateway knows it, and a restart forgets it."`
}

// OperatorPort is the operator port that a file configures. Listen is empty if it configures none.
type OperatorPort struct {
	Listen    string
	PProf     bool
	RevokeKey gatehouse.Secret // empty if the port takes no revocations
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
	b.checkRevokeKey(o)
	return OperatorPort{o.Listen, o.PProf, o.RevokeKey}
}

// checkRevokeKey reports a key that is too short, without printing it. One that was written and could not
// be read is reported already.
func (b *builder) checkRevokeKey(o *Operator) {
	if n := len(o.RevokeKey); n > 0 && n < revocationport.MinKey {
		name := "revoke_key"
		if o.lines["revoke_key_file"] > 0 {
			name = "revoke_key_file"
		}
		b.fault(o.lineOf(name), name, "", fmt.Sprintf("has %d bytes, want at least %d", n, revocationport.MinKey),
			`use random bytes, like those of "openssl rand -base64 32"`)
	}
}

// NeedsRestart returns the settings whose change from old to l applies when the gateway is restarted.
func (l *Loaded) NeedsRestart(old *Loaded) []string {
	var names []string
	for _, setting := range []struct {
		name    string
		changed bool
	}{
		{"listen", l.Listen != old.Listen},
		{"tls_cert_file", l.Certificate != old.Certificate},
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
