package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/forwardauth"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/forwarded"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gatewayfile"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/yamlfile"
	"github.com/gatehouse-mcp/gatehouse/internal/clientaddr"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/internal/operator"
)

// forwardAuthOptions are the flags of "gatehouse gateway" for forward auth.
type forwardAuthOptions struct {
	proxy   string
	bodies  bool
	trusted []string
}

func (o *forwardAuthOptions) addFlags(cmd *cobra.Command) {
	var names []string
	for _, proxy := range forwardauth.Proxies() {
		names = append(names, string(proxy))
	}
	flags := cmd.Flags()
	flags.StringVar(&o.proxy, "forward-auth", "", "forward nothing, and answer the reverse proxy `NAME`, which\nasks about each request at "+
		forwardauth.AuthPath+": "+strings.Join(names[:3], ", ")+",\n"+strings.Join(names[3:], ", "))
	flags.BoolVar(&o.bodies, "forward-auth-body", false, "expect that the proxy sends the bodies of requests, so that\nrequirements of single tools can be checked")
	flags.StringArrayVar(&o.trusted, "trusted-proxy", nil, "believe the header X-Forwarded-For of a reverse proxy at `ADDR`,\nlike 10.0.0.7 or 10.0.0.0/24; may be repeated. With --forward-auth,\naccept its questions (default: this machine)")
	cmd.RegisterFlagCompletionFunc("forward-auth", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("trusted-proxy", cobra.NoFileCompletions)
}

// check returns the faults of flags that contradict each other, joined.
func (o *forwardAuthOptions) check(options gatewayOptions) error {
	var faults []error
	add := func(hint, problem string) { faults = append(faults, newUsageError(hint, "%s", problem)) }
	if o.proxy != "" && options.upstream != "" {
		add("remove --upstream: the proxy forwards requests; or remove --forward-auth", "--forward-auth and --upstream exclude each other")
	} else if o.proxy != "" && options.upstreamCA != "" {
		add("remove it: the proxy forwards requests", "--upstream-ca has no effect with --forward-auth")
	}
	if o.proxy != "" && options.logRequests {
		add("remove it, and have the proxy log requests", "--log-requests has no effect with --forward-auth")
	}
	if o.proxy == "" && o.bodies {
		add("name the proxy, like --forward-auth envoy", "--forward-auth-body has no effect without --forward-auth")
	}
	if o.proxy == "" && len(o.trusted) > 0 && options.config != "" {
		add("write it in the file, as trusted_proxies in the section limits", "--trusted-proxy is set in addition to --config")
	}
	return errors.Join(faults...)
}

// config returns the configuration of the handler, and the faults of the flags, joined.
func (o *forwardAuthOptions) config(logger *slog.Logger) (forwardauth.Config, error) {
	cfg := forwardauth.Config{Proxy: forwardauth.Proxy(o.proxy), Bodies: o.bodies, Logger: logger}
	var err error
	cfg.TrustedProxies, err = o.trustedProxies()
	return cfg, err
}

// trustedProxies returns the networks of --trusted-proxy, and the faults, joined.
func (o *forwardAuthOptions) trustedProxies() ([]netip.Prefix, error) {
	var out []netip.Prefix
	var faults []error
	for _, text := range o.trusted {
		prefix, err := clientaddr.ParseNetwork(text)
		if err != nil {
			faults = append(faults, newUsageError("write it like 10.0.0.7, or 10.0.0.0/24 for a network", "--trusted-proxy %q is not an address", text))
			continue
		}
		out = append(out, prefix)
	}
	return out, errors.Join(faults...)
}

// forwardAuthServer answers a reverse proxy, and the requests that it routes here.
type forwardAuthServer struct {
	config  forwardauth.Config // without endpoints
	keys    *forwarded.Keys
	logger  *slog.Logger
	explain func(*gatehouse.ConfigError) (name, fix string)
	observe func(*gateway.Config) // adds observers
	current atomic.Pointer[forwardauth.Handler]
}

// newForwardAuthServer returns the server of the endpoints of cfg, whose upstreams are not used.
// explain names the settings in faults.
func newForwardAuthServer(
	options gatewayOptions, cfg gateway.Config, explain func(*gatehouse.ConfigError) (name, fix string),
) (*forwardAuthServer, error) {
	s := &forwardAuthServer{keys: cfg.AssertionKeys, logger: cmp.Or(cfg.Logger, slog.Default()), explain: explain,
		observe: options.telemetry.observe}
	var optionsErr, keysErr error
	s.config, optionsErr = options.forwardAuth.config(s.logger)
	if s.keys == nil {
		s.keys, keysErr = forwarded.RandomKeys()
	}
	if keysErr != nil {
		return nil, keysErr
	}
	applyErr := s.apply(cfg)
	if err := joinFaults(optionsErr, applyErr); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// close stops the background work of the guards.
func (s *forwardAuthServer) close() {
	if current := s.current.Load(); current != nil {
		current.Close()
	}
}

// apply replaces the endpoints. If it returns an error, nothing has changed.
func (s *forwardAuthServer) apply(cfg gateway.Config) error {
	next := s.config
	s.observe(&cfg)
	for _, e := range cfg.Endpoints {
		endpoint, err := s.endpoint(&e)
		if err != nil {
			return err
		}
		next.Endpoints = append(next.Endpoints, endpoint)
	}
	h, err := forwardauth.New(next)
	if err != nil {
		return explainFaults(err, s.explain)
	}
	if cfg.AssertionKeys != nil && cfg.AssertionKeys != s.keys {
		s.keys.Replace(cfg.AssertionKeys)
	}
	if old := s.current.Load(); old != nil {
		h.KeepSessions(old)
		defer old.Close()
	}
	s.current.Store(h)
	for _, warning := range h.Warnings() {
		s.logger.Warn(warning)
	}
	return nil
}

// endpoint returns the endpoint with the identity that the gateway would send.
func (s *forwardAuthServer) endpoint(e *gateway.Endpoint) (forwardauth.Endpoint, error) {
	u, err := url.Parse(e.Guard.Resource)
	if err != nil {
		u = &url.URL{} // forwardauth.New reports it
	}
	forwarder, err := forwarded.New(forwarded.Config{
		Headers:   e.Headers,
		Resource:  e.Guard.Resource,
		Issuer:    u.Scheme + "://" + u.Host,
		Principal: e.Principal || len(e.Guard.Providers) > 1 || len(e.Guard.Provider.Tenants) > 1,
		Keys:      s.keys,
	})
	return forwardauth.Endpoint{
		Guard:    e.Guard,
		Identify: func(h http.Header, _ *http.Request, id gatehouse.Identity) error { return forwarder.Set(h, id) },
	}, err
}

// watch applies the file whenever it has changed, until ctx ends.
func (s *forwardAuthServer) watch(ctx context.Context, loader *gatewayfile.Loader, loaded *gatewayfile.Loaded, path string) {
	applied, _ := loaded.Read()
	started := loaded
	yamlfile.Watch(ctx, path, applied, func() ([]byte, error) { return loaded.Read() }, func([]byte) error {
		next, err := loader.Load()
		if err != nil {
			return err
		}
		if err := s.apply(next.Gateway); err != nil {
			return err
		}
		warnOfRestart(s.logger, next, started, path)
		loaded = next
		return nil
	}, s.logger)
}

// ServeHTTP implements [http.Handler].
func (s *forwardAuthServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case forwarded.KeysPath:
		s.keys.ServeHTTP(w, r)
	case gateway.HealthPath:
		operator.ServeHealth(w, r)
	case gateway.ReadyPath:
		operator.ServePublicReady(w, r, s.current.Load().Guards()...)
	default:
		s.current.Load().ServeHTTP(w, r)
	}
}

// serve serves until ctx ends.
func (s *forwardAuthServer) serve(ctx context.Context, con *console, address listenAddress, options gatewayOptions) error {
	defer s.close()
	listeners, operatorListeners, err := openBoth(address)
	if err != nil {
		return err
	}
	con.Begin("serving")
	guards := func() []*gatehouse.Guard { return s.current.Load().Guards() }
	options.telemetry.watch(guards)
	options.telemetry.note(con)
	port := operator.OfGuards(guards)
	port.Metrics = options.telemetry.handler()
	defer address.operator.start(con, port, s.logger, operatorListeners)()
	for _, guard := range s.current.Load().Guards() {
		go guard.Ready(ctx) // so that the first user does not wait for the keys
		con.Note("answering %s about %s", s.config.Proxy, guard.Resource())
	}
	for _, warning := range address.warnings(s.current.Load().Guards()) {
		con.Note("warning: %s", warning)
	}
	con.Note("Ctrl-C stops the gateway")
	server := listen.NewServer(s, s.logger)
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(true)
	return listen.Serve(ctx, server, listen.Shutdown{
		Begin: func() {
			for _, guard := range s.current.Load().Guards() {
				guard.Drain()
			}
		},
		Delay: options.stop.Delay,
		Grace: cmp.Or(options.stop.Timeout, gateway.DefaultShutdownTimeout),
	}, listeners...)
}

// forwardAuthNames are the names of flags and of settings in the file in place of the fields of the
// configuration.
var forwardAuthNames = strings.NewReplacer(
	".Guard.TrustedProxies", " limits.trusted_proxies", "name it in TrustedProxies of Config too", "name it with --trusted-proxy too",
	".Guard.RateLimits.FailedSignInsPerMinute", " limits.failed_sign_ins_per_minute", "ClientAddressHeader", "limits.client_address_header",
	"TrustedProxies", "--trusted-proxy", "set Bodies", "add --forward-auth-body", "Bodies", "--forward-auth-body", "Proxy", "--forward-auth",
	".Guard.Resource", " url", ".Guard.", " ", "Endpoints", "endpoint", "ChallengeInResult", "challenge_in_result",
	"ShowLocked", "show_locked", "SecuritySchemes", "security_schemes",
	"DenyUndeclared", "deny_undeclared", "LocalPath", "local_path", "AllowedHosts", "allowed_hosts", "Requirements", "requirements",
)

// explainForwardAuthFault returns the name of a flag or of a setting in the file in place of that of
// the field, and the fix with such names.
func explainForwardAuthFault(fault *gatehouse.ConfigError) (name, fix string) {
	return forwardAuthNames.Replace(fault.Field), forwardAuthNames.Replace(fault.Fix)
}

// runForwardAuthFlags is runForwardAuth without a configuration file. listenErr has the faults of
// the listener.
func runForwardAuthFlags(
	ctx context.Context, con *console, options gatewayOptions, settings *env.Env, address listenAddress, listenErr error, logger *slog.Logger,
) error {
	provider, providerErr := options.identityProvider()
	resource, resourceErr := options.resource(settings, address, "")
	faults := errors.Join(options.forwardAuth.check(options), providerErr, resourceErr, listenErr)
	return runForwardAuth(ctx, con, options, gateway.Config{Logger: logger, Endpoints: []gateway.Endpoint{{
		Guard:   gatehouse.Config{Resource: resource, Provider: provider, Logger: logger},
		Headers: forwarded.DefaultHeaders(),
	}}}, forwardAuthRun{address: address, faults: faults, explain: func(fault *gatehouse.ConfigError) (string, string) {
		own := *fault
		own.Field = strings.TrimPrefix(fault.Field, "Endpoints[0].Guard.") // there is one endpoint
		if name := options.nameOf(&own, settings); name != own.Field {
			return name, forwardAuthNames.Replace(fault.Fix)
		}
		return explainForwardAuthFault(fault)
	}})
}

// forwardAuthRun is how runForwardAuth runs.
type forwardAuthRun struct {
	address listenAddress
	faults  error // that were found before
	explain func(*gatehouse.ConfigError) (name, fix string)

	// watch, if not nil, changes the server until its context ends.
	watch func(context.Context, *forwardAuthServer)
}

// runForwardAuth is runGateway with --forward-auth. If there are faults already and cfg has no
// endpoint because of them, the flags are checked nevertheless.
func runForwardAuth(ctx context.Context, con *console, options gatewayOptions, cfg gateway.Config, how forwardAuthRun) error {
	if how.faults != nil && len(cfg.Endpoints) == 0 {
		cfg.Endpoints = []gateway.Endpoint{{Guard: gatehouse.Config{Resource: placeholderResource, Provider: placeholderProvider}}}
	}
	s, err := newForwardAuthServer(options, cfg, how.explain)
	if faults := joinFaults(how.faults, err); faults != nil {
		if err == nil {
			s.close()
		}
		return faults
	}
	if options.check {
		for _, warning := range how.address.warnings(s.current.Load().Guards()) {
			con.Note("warning: %s", warning)
		}
		s.close()
		return con.print("the configuration is valid\n")
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if how.watch != nil {
		go how.watch(ctx, s)
	}
	return s.serve(ctx, con, how.address, options)
}
