package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/forwardauth"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/forwarded"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
)

// forwardAuthReadyTimeout bounds a readiness check.
const forwardAuthReadyTimeout = 3 * time.Second

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
	flags.StringVar(&o.proxy, "forward-auth", "", "forward nothing, and answer the reverse proxy `NAME`, which asks about each\nrequest at "+
		forwardauth.AuthPath+": "+strings.Join(names, ", "))
	flags.BoolVar(&o.bodies, "forward-auth-bodies", false, "expect that the proxy sends the bodies of requests, so that requirements of\nsingle tools can be checked")
	flags.StringArrayVar(&o.trusted, "trusted-proxy", nil, "accept the questions of the proxy from `ADDR`, like 10.0.0.7 or 10.0.0.0/24; may be\nrepeated (default: this machine)")
	cmd.RegisterFlagCompletionFunc("forward-auth", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("trusted-proxy", cobra.NoFileCompletions)
}

// check returns a usageError if flags contradict each other. upstream is --upstream.
func (o *forwardAuthOptions) check(upstream string) error {
	switch {
	case o.proxy != "" && upstream != "":
		return newUsageError("remove --upstream: the proxy forwards requests; or remove --forward-auth", "--forward-auth and --upstream exclude each other")
	case o.proxy == "" && o.bodies:
		return newUsageError("name the proxy, like --forward-auth envoy", "--forward-auth-bodies has no effect without --forward-auth")
	case o.proxy == "" && len(o.trusted) > 0:
		return newUsageError("name the proxy, like --forward-auth nginx", "--trusted-proxy has no effect without --forward-auth")
	}
	return nil
}

// config returns the configuration of the handler.
func (o *forwardAuthOptions) config(logger *slog.Logger) (forwardauth.Config, error) {
	cfg := forwardauth.Config{Proxy: forwardauth.Proxy(o.proxy), Bodies: o.bodies, Logger: logger}
	for _, text := range o.trusted {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			var address netip.Addr
			address, err = netip.ParseAddr(text)
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		if err != nil {
			return cfg, newUsageError("write it like 10.0.0.7, or 10.0.0.0/24 for a network", "--trusted-proxy %q is not an address", text)
		}
		cfg.TrustedProxies = append(cfg.TrustedProxies, prefix.Masked())
	}
	return cfg, nil
}

// forwardAuthServer answers a reverse proxy, and the requests that it routes here.
type forwardAuthServer struct {
	*forwardauth.Handler
	keys *forwarded.Keys
}

// newForwardAuthServer returns the server of the endpoints. Their upstreams are not used.
func newForwardAuthServer(cfg forwardauth.Config, endpoints []gateway.Endpoint, keys *forwarded.Keys) (*forwardAuthServer, error) {
	for _, e := range endpoints {
		u, err := url.Parse(e.Guard.Resource)
		if err != nil {
			u = &url.URL{} // forwardauth.New reports it
		}
		forwarder, err := forwarded.New(forwarded.Config{
			Headers:   e.Headers,
			Resource:  e.Guard.Resource,
			Issuer:    u.Scheme + "://" + u.Host,
			Principal: e.Principal || len(e.Guard.Providers) > 1 || len(e.Guard.Provider.Tenants) > 1,
			Keys:      keys,
		})
		if err != nil {
			return nil, err
		}
		cfg.Endpoints = append(cfg.Endpoints, forwardauth.Endpoint{
			Guard: e.Guard,
			Identify: func(h http.Header, _ *http.Request, id gatehouse.Identity) error {
				return forwarder.Set(h, id)
			},
		})
	}
	h, err := forwardauth.New(cfg)
	if err != nil {
		return nil, err
	}
	return &forwardAuthServer{h, keys}, nil
}

// ServeHTTP implements [http.Handler].
func (s *forwardAuthServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case forwarded.KeysPath:
		s.keys.ServeHTTP(w, r)
	case gateway.HealthPath:
		writeStatus(w, http.StatusOK, "ok")
	case gateway.ReadyPath:
		s.serveReady(w, r)
	default:
		s.Handler.ServeHTTP(w, r)
	}
}

func (s *forwardAuthServer) serveReady(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), forwardAuthReadyTimeout)
	defer cancel()
	for _, guard := range s.Guards() {
		if err := guard.Ready(ctx); errors.Is(err, gatehouse.ErrShuttingDown) {
			writeStatus(w, http.StatusServiceUnavailable, "shutting down")
			return
		} else if err != nil {
			writeStatus(w, http.StatusServiceUnavailable, "waiting for the keys of the identity provider")
			return
		}
	}
	writeStatus(w, http.StatusOK, "ready")
}

func writeStatus(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"status": text})
}

// serve serves until ctx ends.
func (s *forwardAuthServer) serve(ctx context.Context, con *console, address listenAddress, logger *slog.Logger) error {
	defer s.Close()
	listeners, err := address.open()
	if err != nil {
		return err
	}
	con.Begin("serving")
	for _, warning := range s.Warnings() {
		logger.Warn(warning)
	}
	for _, guard := range s.Guards() {
		go guard.Ready(ctx) // so that the first user does not wait for the keys
		con.Note("answering a proxy about %s; Ctrl-C stops the gateway", guard.Resource())
	}
	return listen.Serve(ctx, listen.NewServer(s, logger), listen.Shutdown{
		Begin: func() {
			for _, guard := range s.Guards() {
				guard.Drain()
			}
		},
		Grace: gateway.DefaultShutdownTimeout,
	}, listeners...)
}

// forwardAuthFields are the flags in place of the fields of the configuration.
var forwardAuthFields = strings.NewReplacer("Endpoints[0].Guard.Resource", "--url", "Endpoints[0].Guard.", "",
	"TrustedProxies", "--trusted-proxy", "AllowedHosts", "--url", "set Bodies", "add --forward-auth-bodies")

// explainForwardAuthFaults names the flags in place of the fields of the configuration.
func explainForwardAuthFaults(err error) error {
	var faults []error
	for _, e := range flattenErrors(err) {
		var fault *gatehouse.ConfigError
		if errors.As(e, &fault) {
			changed := *fault
			switch fault.Field {
			case "Proxy":
				changed.Field = "--forward-auth"
			case "Bodies":
				changed.Field = "--forward-auth-bodies"
			default:
				changed.Field = forwardAuthFields.Replace(fault.Field)
			}
			changed.Fix = forwardAuthFields.Replace(fault.Fix)
			e = errors.New(strings.TrimPrefix(changed.Error(), "gatehouse: "))
		}
		faults = append(faults, e)
	}
	return errors.Join(faults...)
}

// runForwardAuth is runGateway with --forward-auth. endpoints are those of the configuration.
func runForwardAuth(
	ctx context.Context, con *console, options forwardAuthOptions, endpoints []gateway.Endpoint, keys *forwarded.Keys,
	address listenAddress, logger *slog.Logger,
) error {
	cfg, err := options.config(logger)
	if err != nil {
		return err
	}
	if keys == nil {
		if keys, err = forwarded.RandomKeys(); err != nil {
			return err
		}
	}
	s, err := newForwardAuthServer(cfg, endpoints, keys)
	if err != nil {
		return explainForwardAuthFaults(err)
	}
	return s.serve(ctx, con, address, cmp.Or(logger, slog.Default()))
}
