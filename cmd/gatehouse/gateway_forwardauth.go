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
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/providername"
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

// check returns a usageError if flags contradict each other. upstream is --upstream, config --config.
func (o *forwardAuthOptions) check(upstream, config string) error {
	switch {
	case o.proxy != "" && upstream != "":
		return newUsageError("remove --upstream: the proxy forwards requests; or remove --forward-auth", "--forward-auth and --upstream exclude each other")
	case o.proxy == "" && o.bodies:
		return newUsageError("name the proxy, like --forward-auth envoy", "--forward-auth-body has no effect without --forward-auth")
	case o.proxy == "" && len(o.trusted) > 0 && config != "":
		return newUsageError("write it in the file, as trusted_proxies in the section limits", "--trusted-proxy is set in addition to --config")
	}
	return nil
}

// config returns the configuration of the handler.
func (o *forwardAuthOptions) config(logger *slog.Logger) (forwardauth.Config, error) {
	cfg := forwardauth.Config{Proxy: forwardauth.Proxy(o.proxy), Bodies: o.bodies, Logger: logger}
	var err error
	cfg.TrustedProxies, err = o.trustedProxies()
	return cfg, err
}

// trustedProxies returns the networks of --trusted-proxy.
func (o *forwardAuthOptions) trustedProxies() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range o.trusted {
		prefix, err := clientaddr.ParseNetwork(text)
		if err != nil {
			return nil, newUsageError("write it like 10.0.0.7, or 10.0.0.0/24 for a network", "--trusted-proxy %q is not an address", text)
		}
		out = append(out, prefix)
	}
	return out, nil
}

// forwardAuthServer answers a reverse proxy, and the requests that it routes here.
type forwardAuthServer struct {
	config  forwardauth.Config // without endpoints
	keys    *forwarded.Keys
	logger  *slog.Logger
	current atomic.Pointer[forwardauth.Handler]
}

// newForwardAuthServer returns the server of the endpoints of cfg, whose upstreams are not used.
func newForwardAuthServer(options forwardAuthOptions, cfg gateway.Config) (*forwardAuthServer, error) {
	s := &forwardAuthServer{keys: cfg.AssertionKeys, logger: cmp.Or(cfg.Logger, slog.Default())}
	var err error
	if s.config, err = options.config(s.logger); err != nil {
		return nil, err
	}
	if s.keys == nil {
		if s.keys, err = forwarded.RandomKeys(); err != nil {
			return nil, err
		}
	}
	return s, s.apply(cfg)
}

// apply replaces the endpoints. If it returns an error, nothing has changed.
func (s *forwardAuthServer) apply(cfg gateway.Config) error {
	next := s.config
	for _, e := range cfg.Endpoints {
		endpoint, err := s.endpoint(&e)
		if err != nil {
			return err
		}
		next.Endpoints = append(next.Endpoints, endpoint)
	}
	h, err := forwardauth.New(next)
	if err != nil {
		return explainForwardAuthFaults(err)
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
func (s *forwardAuthServer) serve(ctx context.Context, con *console, address listenAddress, stop gateway.Stop) error {
	defer func() { s.current.Load().Close() }()
	listeners, operatorListeners, err := openBoth(address)
	if err != nil {
		return err
	}
	con.Begin("serving")
	guards := func() []*gatehouse.Guard { return s.current.Load().Guards() }
	defer address.operator.start(con, operator.OfGuards(guards), s.logger, operatorListeners)()
	for _, guard := range s.current.Load().Guards() {
		go guard.Ready(ctx) // so that the first user does not wait for the keys
		con.Note("answering %s about %s", s.config.Proxy, guard.Resource())
	}
	con.Note("Ctrl-C stops the gateway")
	return listen.Serve(ctx, listen.NewServer(s, s.logger), listen.Shutdown{
		Begin: func() {
			for _, guard := range s.current.Load().Guards() {
				guard.Drain()
			}
		},
		Delay: stop.Delay,
		Grace: cmp.Or(stop.Timeout, gateway.DefaultShutdownTimeout),
	}, listeners...)
}

// forwardAuthNames are the names of flags and of settings in the file in place of the fields of the
// configuration.
var forwardAuthNames = strings.NewReplacer(
	".Guard.RateLimits.FailedSignInsPerMinute", " limits.failed_sign_ins_per_minute", "ClientAddressHeader", "limits.client_address_header",
	"TrustedProxies", "--trusted-proxy", "set Bodies", "add --forward-auth-body", "Bodies", "--forward-auth-body", "Proxy", "--forward-auth",
	".Guard.Resource", " url", ".Guard.", " ", "Endpoints", "endpoint", "ChallengeInResult", "challenge_in_result",
	"DenyUndeclared", "deny_undeclared", "LocalPath", "local_path", "AllowedHosts", "allowed_hosts", "Requirements", "requirements",
)

// explainForwardAuthFaults names the flags and settings in place of the fields.
func explainForwardAuthFaults(err error) error {
	var faults []error
	for _, e := range flattenErrors(err) {
		var fault *gatehouse.ConfigError
		if errors.As(e, &fault) {
			e = errors.New(strings.TrimPrefix((&gatehouse.ConfigError{
				Field: forwardAuthNames.Replace(fault.Field), Value: fault.Value, Problem: fault.Problem, Fix: forwardAuthNames.Replace(fault.Fix),
			}).Error(), "gatehouse: "))
		}
		faults = append(faults, e)
	}
	return errors.Join(faults...)
}

// runForwardAuthFlags is runForwardAuth without a configuration file.
func runForwardAuthFlags(
	ctx context.Context, con *console, options gatewayOptions, settings *env.Env, address listenAddress, logger *slog.Logger,
) error {
	if options.provider == "" {
		return newUsageError("name where users sign in, like --provider clerk; "+
			"the providers are "+strings.Join(providername.Names(), ", "), "--provider is missing")
	}
	resource, err := options.resource(settings, address, "")
	if err != nil {
		return err
	}
	provider, err := providername.New(options.provider, options.issuer)
	if err != nil {
		return &usageError{asFailure(err)}
	}
	return runForwardAuth(ctx, con, options, gateway.Config{Logger: logger, Endpoints: []gateway.Endpoint{{
		Guard:   gatehouse.Config{Resource: resource, Provider: provider, Logger: logger},
		Headers: forwarded.DefaultHeaders(),
	}}}, address, nil)
}

// runForwardAuth is runGateway with --forward-auth. watch, if not nil, changes the server until its
// context ends.
func runForwardAuth(
	ctx context.Context, con *console, options gatewayOptions, cfg gateway.Config, address listenAddress,
	watch func(context.Context, *forwardAuthServer),
) error {
	s, err := newForwardAuthServer(options.forwardAuth, cfg)
	if err != nil {
		return err
	}
	if options.check {
		s.current.Load().Close()
		return con.print("the configuration is valid\n")
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if watch != nil {
		go watch(ctx, s)
	}
	return s.serve(ctx, con, address, options.stop)
}
