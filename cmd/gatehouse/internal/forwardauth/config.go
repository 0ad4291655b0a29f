package forwardauth

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

// The reasons of the guard that this package answers with itself.
const (
	reasonOtherUser   gatehouse.Reason = "session_of_another_user"
	reasonTooMany     gatehouse.Reason = "too_many_sessions"
	reasonUnavailable gatehouse.Reason = "provider_unavailable"
)

const (
	retryAfterTooMany = time.Minute
	retryAfterFault   = 5 * time.Second
)

// The names of the fields in faults.
const (
	fieldProxy     = "Proxy"
	fieldBodies    = "Bodies"
	fieldTrusted   = "TrustedProxies"
	fieldEndpoints = "Endpoints"
)

// Identify writes who calls into the headers of an answer, which the proxy passes on. An error
// rejects the request with 503.
type Identify func(h http.Header, r *http.Request, id gatehouse.Identity) error

// Config configures a [Handler].
type Config struct {
	// Proxy is the proxy that asks. It is required.
	Proxy Proxy

	// Bodies says that the proxy sends the body of each request, so that requirements for single
	// tools are checked. Without it, a caller must meet all requirements of the endpoint. nginx
	// and Caddy cannot send bodies.
	Bodies bool

	// TrustedProxies are the addresses from which questions are accepted. Empty means this
	// machine: 127.0.0.0/8 and ::1. A client that can ask decides what was asked: a network here must
	// have no other clients.
	TrustedProxies []netip.Prefix

	// Endpoints are the MCP endpoints behind the proxy, at least one.
	Endpoints []Endpoint

	// Logger gets a line about each question that cannot be answered. Nil means [slog.Default].
	Logger *slog.Logger
}

// Endpoint is one MCP endpoint.
type Endpoint struct {
	// Guard configures the checks. Its Resource and LocalPath are those that the proxy sees. Its
	// TrustedProxies are those of Config. Proxies pass headers of the
	// client on, so failed sign-ins are limited only if ClientAddressHeader names the one that the proxy
	// sets. Settings of sessions and of lists are faults.
	Guard gatehouse.Config

	// Identify writes the identity. Nil means the subject in X-Forwarded-User.
	Identify Identify
}

// loopback is where questions are accepted from by default.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// New validates cfg and returns its handler. It reports every fault at once, each as a
// *[gatehouse.ConfigError]. It opens no connection.
func New(cfg Config) (*Handler, error) {
	h := &Handler{
		proxy: proxies[cfg.Proxy], name: cfg.Proxy, bodies: cfg.Bodies, logger: cfg.Logger,
		trusted: slices.Clone(cfg.TrustedProxies), mux: http.NewServeMux(),
	}
	if h.logger == nil {
		h.logger = slog.Default()
	}
	if len(h.trusted) == 0 {
		h.trusted = loopback
	}
	faults := cfg.faults()
	for i := range cfg.Endpoints {
		e, err := h.newEndpoint(fmt.Sprintf("%s[%d]", fieldEndpoints, i), &cfg.Endpoints[i])
		faults = append(faults, err)
		if e != nil {
			h.endpoints = append(h.endpoints, e)
		}
	}
	if err := errors.Join(faults...); err != nil {
		h.Close()
		return nil, err
	}
	for _, e := range h.endpoints {
		e.guard.Mount(h.mux, http.HandlerFunc(misrouted))
	}
	return h, nil
}

// fault returns a fault of a field.
func fault(field, value, problem, fix string) error {
	return &gatehouse.ConfigError{Field: field, Value: value, Problem: problem, Fix: fix}
}

// faults returns the faults of everything but the endpoints.
func (cfg *Config) faults() (faults []error) {
	if _, ok := proxies[cfg.Proxy]; !ok {
		var names []string
		for _, name := range Proxies() {
			names = append(names, string(name))
		}
		faults = append(faults, fault(fieldProxy, string(cfg.Proxy), "is not a proxy that can ask", "use one of "+strings.Join(names, ", ")))
	} else if cfg.Bodies && !proxies[cfg.Proxy].sendsBodies {
		faults = append(faults, fault(fieldBodies, "true", "has no effect, because "+string(cfg.Proxy)+" cannot send bodies",
			"remove it, or use the gateway itself"))
	}
	for _, prefix := range cfg.TrustedProxies {
		if !prefix.IsValid() {
			faults = append(faults, fault(fieldTrusted, "", "has an address that is not valid", `write it like "10.0.0.7/32"`))
		} else if prefix.Bits() == 0 {
			faults = append(faults, fault(fieldTrusted, prefix.String(), "is every address: anyone could ask, and try tokens here",
				"name the addresses of your proxies"))
		}
	}
	if len(cfg.Endpoints) == 0 {
		faults = append(faults, fault(fieldEndpoints, "", "is empty", "name the MCP endpoint"))
	}
	return faults
}

// newEndpoint returns the endpoint that cfg, the field of that name, describes.
func (h *Handler) newEndpoint(field string, cfg *Endpoint) (*endpoint, error) {
	faults := h.settingFaults(field, &cfg.Guard)
	guard, err := gatehouse.New(h.withAddresses(cfg.Guard))
	if err != nil {
		return nil, errors.Join(append(faults, err)...) // it names the fields
	}
	e := &endpoint{guard: guard, sessions: newBindings(), identify: cfg.Identify, logger: cmp.Or(cfg.Guard.Logger, h.logger)}
	if e.identify == nil {
		e.identify = func(h http.Header, _ *http.Request, id gatehouse.Identity) error {
			h.Set("X-Forwarded-User", id.Subject)
			return nil
		}
	}
	u, err := url.Parse(guard.Resource())
	if err != nil {
		return e, err // never: the guard has parsed it
	}
	e.warnings = guard.Warnings()
	if cfg.Guard.ClientAddressHeader == "" && !cfg.Guard.RateLimits.InsecureUnlimitedFailedSignIns {
		e.warnings = slices.DeleteFunc(e.warnings, func(w string) bool { return strings.Contains(w, "InsecureUnlimitedFailedSignIns") })
		e.warnings = append(e.warnings, "failed sign-ins are not limited, because the address of the client is not known; "+
			"have the proxy set a header to it, and name that as client_address_header in the section limits of the file")
	}
	if cfg.Guard.ClientAddressHeader == "" && cfg.Guard.RateLimits.RequestsPerMinute > 0 && hasPublic(&cfg.Guard) {
		e.warnings = append(e.warnings, "all callers without a token share one limit of requests, because the address of the client is not known; "+
			"have the proxy set a header to it, and name that as client_address_header in the section limits of the file")
	}
	e.hosts, e.path = newHosts(u, cfg.Guard.AllowedHosts), strings.TrimSuffix(cmp.Or(cfg.Guard.LocalPath, u.EscapedPath()), "/")
	e.undecided, e.requirements = undecidedBody(&cfg.Guard)
	e.public = hasPublic(&cfg.Guard)
	e.handler = guard.Wrap(http.HandlerFunc(e.allow))
	return e, errors.Join(append(faults, h.addressFaults(field, e)...)...)
}

// withAddresses returns cfg with the settings by which the guard finds the address of the client.
func (h *Handler) withAddresses(cfg gatehouse.Config) gatehouse.Config {
	if cfg.ClientAddressHeader != "" {
		cfg.TrustedProxies = h.trusted
		return cfg
	}
	cfg.TrustedProxies = nil // they would have no effect
	limits := &cfg.RateLimits
	if limits.FailedSignInsPerMinute == 0 && limits.FailedSignInsBurst == 0 {
		limits.InsecureUnlimitedFailedSignIns = true
		if limits.RequestsPerMinute == 0 {
			limits.Shared = nil
		}
	}
	return cfg
}

// settingFaults returns the settings that the guard accepts and forward auth does not.
func (h *Handler) settingFaults(field string, cfg *gatehouse.Config) (faults []error) {
	add := func(name, value, problem, fix string) {
		faults = append(faults, fault(field+".Guard."+name, value, problem, fix))
	}
	if cfg.ChallengeInResult {
		add("ChallengeInResult", "true", "answers a rejected request with status 200, with which proxies let it through", "remove it")
	}
	h.addWithoutEffect(cfg, add)
	if cfg.LandingPage != nil {
		add("LandingPage", "", "answers with status 200, with which proxies let a request through", "serve the page with the proxy")
	}
	for _, proxy := range cfg.TrustedProxies {
		if !slices.ContainsFunc(h.trusted, func(p netip.Prefix) bool { return p.Bits() <= proxy.Bits() && p.Contains(proxy.Addr()) }) {
			add("TrustedProxies", proxy.String(), "has no effect, because it may not ask", "name it in TrustedProxies of Config too, or remove it")
		}
	}
	if cfg.Provider.DangerouslySkipVerification {
		add("Provider.DangerouslySkipVerification", "true", "is for connections on loopback, and those of a proxy come from anywhere", "remove it")
	}
	if l := &cfg.RateLimits; (l.FailedSignInsPerMinute != 0 || l.FailedSignInsBurst != 0) && cfg.ClientAddressHeader == "" {
		add("RateLimits.FailedSignInsPerMinute", strconv.Itoa(l.FailedSignInsPerMinute), "would limit all clients together, because the address of each one is not known",
			"set ClientAddressHeader to the header in which the proxy writes it")
	}
	if cfg.DenyUndeclared && !h.bodies {
		add("DenyUndeclared", "true", "rejects every request, because the proxy sends no bodies, so that no tool is known to be a declared one",
			"have the proxy send bodies and set Bodies, or use the gateway itself")
	}
	if n := len(cfg.Requirements); n > maxRequirements {
		add("Requirements", strconv.Itoa(n), fmt.Sprintf("is more than %d requirements", maxRequirements), "use the gateway itself")
	}
	return faults
}

// addressFaults returns what is wrong with the host and path of e.
func (h *Handler) addressFaults(field string, e *endpoint) (faults []error) {
	add := func(problem, fix string) {
		faults = append(faults, fault(field+".Guard.Resource", e.guard.Resource(), problem, fix))
	}
	if e.path == AuthPath || strings.HasPrefix(e.path, AuthPath+"/") {
		add("has the path to which proxies send their questions", "use another path, or LocalPath")
	}
	for _, other := range h.endpoints {
		if other.path == e.path && slices.ContainsFunc(e.hosts.names, other.hosts.has) {
			add("has the host and path of another endpoint", "remove one of the two")
		}
	}
	return faults
}

// addWithoutEffect adds the settings of the guard that cannot take effect here.
func (h *Handler) addWithoutEffect(cfg *gatehouse.Config, add func(name, value, problem, fix string)) {
	const (
		noAnswers = "has no effect, because the answers of the MCP server do not pass here"
		remove    = "remove it, or use the gateway itself"
	)
	for _, setting := range []struct {
		name, value string
		isSet       bool
	}{
		{"ShowLocked", "true", cfg.ShowLocked},
		{"SecuritySchemes", "true", cfg.SecuritySchemes},
		{"SessionKey", "", len(cfg.SessionKey) > 0}, // session IDs cannot be sealed
		{"AcceptedSessionKeys", "", len(cfg.AcceptedSessionKeys) > 0},
		{"MaxSessions", strconv.Itoa(cfg.MaxSessions), cfg.MaxSessions != 0},
		{"MaxSessionsPerUser", strconv.Itoa(cfg.MaxSessionsPerUser), cfg.MaxSessionsPerUser != 0},
		{"SessionTimeout", cfg.SessionTimeout.String(), cfg.SessionTimeout != 0},
	} {
		if setting.isSet {
			add(setting.name, setting.value, noAnswers, remove)
		}
	}
	if cfg.MaxBodyBytes != 0 && !h.bodies {
		add("MaxBodyBytes", strconv.FormatInt(cfg.MaxBodyBytes, 10), "has no effect, because the proxy sends no bodies",
			"limit bodies in the proxy, or have it send them and set Bodies")
	}
	if l := &cfg.RateLimits; l.Shared != nil && cfg.ClientAddressHeader == "" && l.RequestsPerMinute == 0 {
		add("RateLimits.Shared", "", "has no effect, because nothing is limited",
			"set RateLimits.RequestsPerMinute, or ClientAddressHeader to the header in which the proxy writes the address of the client")
	}
}

// Warnings returns one sentence for each setting whose consequences may surprise, in addition to
// those of the guards. Log them at start.
func (h *Handler) Warnings() []string {
	var out []string
	for _, e := range h.endpoints {
		if n := e.requirements; n > 0 && !h.bodies {
			out = append(out, unknownBodiesWarning(h.name, e.guard.Resource(), n))
		}
		out = append(out, e.warnings...)
	}
	return out
}
