package gatewayfile

import (
	"fmt"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/forwardauth"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
)

// ForwardAuth makes l load files for forward auth: the proxy forwards the requests, and sends their
// bodies if bodies is true. Settings that then have no effect are mistakes, and upstreams are among
// them.
func (l *Loader) ForwardAuth(proxy forwardauth.Proxy, bodies bool) {
	l.forwardAuth = &forwardauth.Config{Proxy: proxy, Bodies: bodies, Logger: l.logger}
}

// WithoutUpstreams makes l load files for the gateway and for forward auth. It is for programs that
// use other parts of the file.
func (l *Loader) WithoutUpstreams() { l.withoutUpstreams = true }

// needsUpstreams reports whether an endpoint without an upstream is a mistake.
func (l *Loader) needsUpstreams() bool { return l.forwardAuth == nil && !l.withoutUpstreams }

// validate reports the faults of the endpoint with the index.
func (b *builder) validate(index int, config gateway.Endpoint) {
	e := &b.file.Endpoints[index]
	if b.forwardAuth == nil {
		if err := gateway.Validate(config); err != nil {
			b.explain(e, err)
		}
		return
	}
	b.reportWithoutEffect(e)
	for _, fault := range config.Headers.Faults() {
		b.explain(e, &gatehouse.ConfigError{Field: "Headers." + fault.Field, Value: fault.Value, Problem: fault.Problem, Fix: fault.Fix})
	}
	b.checkForwardAuth(index, config)
}

// checkForwardAuth reports what forwardauth.New does not accept in endpoints, of which first is the
// index of the first one. Faults of the proxy are on the command line, and are reported there.
func (b *builder) checkForwardAuth(first int, endpoints ...gateway.Endpoint) {
	cfg := *b.forwardAuth
	for i := range endpoints {
		cfg.Endpoints = append(cfg.Endpoints, forwardauth.Endpoint{Guard: endpoints[i].Guard})
	}
	h, err := forwardauth.New(cfg)
	if err == nil {
		h.Close()
		return
	}
	for _, fault := range configErrors(err) {
		switch {
		case fault == nil:
			b.report(b.file.lineOf("endpoints"), err.Error(), "change the endpoints")
		case fault.Field != "Proxy" && fault.Field != "Bodies":
			b.explainForwardAuth(first, *fault)
		}
	}
}

// explainForwardAuth reports a fault at its line. Its field begins with the index of the endpoint,
// after first, unless the guard has found it.
func (b *builder) explainForwardAuth(first int, fault gatehouse.ConfigError) {
	index := 0
	if n, _ := fmt.Sscanf(fault.Field, "Endpoints[%d]", &index); n > 0 {
		_, fault.Field, _ = strings.Cut(fault.Field, ".Guard.")
	}
	fault.Fix = forwardAuthNames.Replace(fault.Fix)
	if l := b.file.Limits; l != nil && fault.Field == "RateLimits.Shared" {
		b.report(max(l.lineOf("shared_key"), l.lines["shared_key_file"]), describeFault("limits.shared_key", &fault), fault.Fix)
		return
	}
	b.explain(&b.file.Endpoints[first+index], &fault)
}

// forwardAuthNames are the names of flags and of members of the file in place of fields.
var forwardAuthNames = strings.NewReplacer(
	"set Bodies", "add --forward-auth-body", "TrustedProxies of the whole configuration", "--trusted-proxy",
	"RateLimits.RequestsPerMinute", "requests_per_minute", "ClientAddressHeader", "client_address_header",
)

// reportWithoutEffect reports the settings of an endpoint that are about forwarding requests.
func (b *builder) reportWithoutEffect(e *Endpoint) {
	const problem = " has no effect with --forward-auth, because the proxy forwards the requests"
	for _, setting := range []struct {
		name, fix string
		isSet     bool
	}{
		{"upstream", "remove it; the proxy has the address of the MCP server", e.Upstream != nil},
		{"upstreams", "remove it; the proxy has the addresses of the MCP servers", len(e.Upstreams) > 0},
		{"header_timeout", "remove it, and set the timeout of the proxy", e.HeaderTimeout != 0},
		{"keep_alive", "remove it, and let the proxy keep silent streams open, as the configurations in examples/forwardauth do",
			e.KeepAlive != 0},
		{"max_list_bytes", "remove it; lists are not filtered", e.MaxListBytes != 0},
		{"forward_cookies", "remove it; the proxy decides which headers the MCP server gets", e.ForwardCookies},
		{"dangerously_forward_access_token", "remove it; the proxy decides whether the MCP server gets Authorization",
			e.DangerouslyForwardAccessToken},
	} {
		if setting.isSet {
			b.report(e.lineOf(setting.name), setting.name+problem, setting.fix)
		}
	}
	for i := range e.Requirements {
		if r := &e.Requirements[i]; r.Public && !b.forwardAuth.Bodies {
			b.report(r.lineOf("public"), fmt.Sprintf("requirements[%d].public has no effect, because the proxy sends no bodies, "+
				"so that callers without a token get nothing", i), "remove it, or have the proxy send bodies and add --forward-auth-body")
		}
	}
}

// checkFile reports the settings of the whole file that have no effect.
func (b *builder) checkFile(endpoints []gateway.Endpoint) {
	f := b.file
	signs := false
	for i := range endpoints {
		signs = signs || endpoints[i].Headers.Assertion != ""
	}
	if f.AssertionKeyFile != "" && !signs && len(endpoints) > 0 {
		b.report(f.lineOf("assertion_key_file"), "assertion_key_file has no effect, because the headers of each endpoint turn assertions off",
			"remove it, or name the header of the assertion in headers")
	}
	if b.forwardAuth != nil && f.LogRequests {
		b.report(f.lineOf("log_requests"), "log_requests has no effect with --forward-auth", "remove it, and have the proxy log requests")
	}
}
