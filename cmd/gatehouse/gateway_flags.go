package main

import (
	"cmp"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/url"
	"strconv"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/certfile"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/forwarded"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/providername"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// What is in the place of a setting with a fault, so that the others are checked. A configuration
// with faults is never used.
var (
	placeholderProvider = gatehouse.OIDC("https://issuer.invalid")
	placeholderUpstream = url.URL{Scheme: "http", Host: "localhost:1"}
)

const placeholderResource = "https://mcp.invalid/mcp"

// inAdditionToFile returns a fault for each flag that is set although the file has the setting.
func (o gatewayOptions) inAdditionToFile() []error {
	var faults []error
	for _, flag := range []struct{ name, value string }{
		{"--upstream", o.upstream}, {"--upstream-ca", o.upstreamCA}, {"--url", o.url}, {"--provider", o.provider}, {"--issuer", o.issuer},
		{"--tls-cert", o.tlsCert}, {"--tls-key", o.tlsKey},
	} {
		if flag.value != "" {
			faults = append(faults, newUsageError("write it in the file, or remove --config", "%s is set in addition to --config", flag.name))
		}
	}
	return faults
}

// endpoint returns the endpoint of the command line, and its faults, joined. address must be valid.
func (o gatewayOptions) endpoint(settings *env.Env, address listenAddress, logger *slog.Logger) (gateway.Endpoint, error) {
	upstream, upstreamErr := o.parseUpstream()
	path := upstream.Path
	provider, providerErr := o.identityProvider()
	resource, resourceErr := o.resource(settings, address, path)
	if upstream.Path == "" {
		upstream.Path = pathOf(resource)
	}
	roots, rootsErr := o.upstreamRoots()
	proxies, proxiesErr := o.forwardAuth.trustedProxies()
	return gateway.Endpoint{
		Guard: gatehouse.Config{
			Resource: resource, Provider: provider, SessionKey: gatehouse.SessionKey(settings.Get("MCP_SESSION_KEY")),
			AcceptedSessionKeys: acceptedSessionKeys(settings), TrustedProxies: proxies, Logger: logger,
		},
		Upstreams: []gateway.Upstream{{URL: upstream, RootCAs: roots}},
		Headers:   forwarded.DefaultHeaders(),
	}, errors.Join(upstreamErr, rootsErr, providerErr, resourceErr, proxiesErr)
}

// parseUpstream returns the URL of --upstream. If it returns an error, the URL is a placeholder.
func (o gatewayOptions) parseUpstream() (*url.URL, error) {
	placeholder := placeholderUpstream
	if o.upstream == "" {
		return &placeholder, newUsageError(
			"name the MCP server, like --upstream http://localhost:8000/mcp; --config FILE has several", "--upstream is missing")
	}
	upstream, err := url.Parse(o.upstream)
	if err != nil || upstream.Host == "" || upstream.Scheme != "http" && upstream.Scheme != "https" {
		hint := "write it like --upstream http://localhost:8000/mcp"
		if _, isPort := parsePort(strings.TrimPrefix(o.upstream, ":")); isPort {
			hint = "write --upstream http://localhost:" + strings.TrimPrefix(o.upstream, ":") + defaultGatewayPath
		} else if !strings.Contains(o.upstream, "://") {
			hint = "write --upstream http://" + o.upstream
		}
		return &placeholder, newUsageError(hint, "--upstream %q is not an http or https URL", wellknown.Redacted(o.upstream))
	}
	return upstream, nil
}

// upstreamRoots returns the certificates of --upstream-ca, or nil.
func (o gatewayOptions) upstreamRoots() (*x509.CertPool, error) {
	if o.upstreamCA == "" {
		return nil, nil
	}
	roots, err := certfile.Pool(o.upstreamCA)
	var fault *certfile.Fault
	if errors.As(err, &fault) {
		return nil, newUsageError(fault.Fix, "--upstream-ca %q %s", fault.File, fault.Problem)
	}
	return roots, err
}

// identityProvider returns the provider of --provider and --issuer. If it returns an error, the
// provider is a placeholder.
func (o gatewayOptions) identityProvider() (gatehouse.Provider, error) {
	if o.provider == "" {
		return placeholderProvider, newUsageError("name where users sign in, like --provider clerk; "+
			"the providers are "+strings.Join(providername.Names(), ", "), "--provider is missing")
	}
	provider, err := providername.New(o.provider, o.issuer)
	if err != nil {
		return placeholderProvider, &usageError{asFailure(err)}
	}
	return provider, nil
}

// resource returns the public URL of the endpoint. path is that of the upstream. If it returns an
// error, the URL is a placeholder.
func (o gatewayOptions) resource(settings *env.Env, address listenAddress, path string) (string, error) {
	if path == "" || path == "/" {
		path = defaultGatewayPath
	}
	path = strings.TrimSuffix(path, "/")
	resource := cmp.Or(o.url, settings.Get("MCP_URL"))
	if resource == "" {
		if !wellknown.IsLoopback(address.host) {
			return placeholderResource, newUsageError("add the URL that users type into their client, like --url https://mcp.example.com/mcp",
				"--url is missing, and it does not follow from %s %q", address.name, address.String())
		}
		scheme := "http://"
		if o.usesTLS() {
			scheme = "https://"
		}
		return scheme + address.String() + path, nil
	}
	u, err := url.Parse(resource)
	if err == nil && u.Scheme == "http" && o.usesTLS() {
		name := "--url"
		if o.url == "" {
			name = "MCP_URL"
		}
		return placeholderResource, namedFault(name, wellknown.Redacted(resource), "is http, and the listener speaks TLS",
			"use https, or remove --tls-cert and --tls-key")
	}
	if err == nil && u.Host != "" && u.Path == "" {
		return resource + path, nil
	}
	return resource, nil
}

// acceptedSessionKeys returns the keys of MCP_ACCEPTED_SESSION_KEYS.
func acceptedSessionKeys(settings *env.Env) (keys []gatehouse.SessionKey) {
	for _, key := range settings.List("MCP_ACCEPTED_SESSION_KEYS") {
		keys = append(keys, gatehouse.SessionKey(key))
	}
	return keys
}

func pathOf(resource string) string {
	u, err := url.Parse(resource)
	if err != nil {
		return ""
	}
	return u.Path
}

func asFailure(err error) *failure.Error {
	var f *failure.Error
	if errors.As(err, &f) {
		return f
	}
	return failure.New("", "%w", err)
}

// explainGatewayFaults names the flags in place of the fields of the configuration.
func explainGatewayFaults(err error, options gatewayOptions, settings *env.Env) error {
	return explainFaults(err, func(fault *gatehouse.ConfigError) (string, string) {
		fault.Problem, fault.Fix = sessionKeyNames.Replace(fault.Problem), sessionKeyNames.Replace(fault.Fix)
		return options.nameOf(fault, settings), strings.ReplaceAll(fault.Fix, "the certificates", "--upstream-ca")
	})
}

// sessionKeyNames replaces names of fields by those of variables.
var sessionKeyNames = strings.NewReplacer("AcceptedSessionKeys", "MCP_ACCEPTED_SESSION_KEYS", "SessionKey", "MCP_SESSION_KEY")

// nameOf returns the flag or the variable that the fault is about.
func (o gatewayOptions) nameOf(fault *gatehouse.ConfigError, settings *env.Env) string {
	switch field := fault.Field; {
	case field == "Resource" && o.url == "" && settings.Get("MCP_URL") != "":
		return "MCP_URL"
	case field == "Resource":
		return "--url"
	case field == "Upstreams":
		return "--upstream"
	case strings.HasPrefix(field, "TrustedProxies"):
		return "--trusted-proxy"
	case field == "SessionKey", strings.HasPrefix(field, "AcceptedSessionKeys"):
		return sessionKeyNames.Replace(field)
	case o.issuer != "" && fault.Value != "" && strings.Contains(o.issuer, fault.Value):
		return "--issuer"
	}
	return fault.Field
}

// explainFaults replaces the faults of a configuration by errors that name what the user wrote.
// explain returns the name of the setting and the fix.
func explainFaults(err error, explain func(*gatehouse.ConfigError) (name, fix string)) error {
	var faults []error
	for _, e := range flattenErrors(err) {
		var fault *gatehouse.ConfigError
		if errors.As(e, &fault) {
			name, fix := explain(fault)
			e = namedFault(name, fault.Value, fault.Problem, fix)
		}
		faults = append(faults, e)
	}
	return errors.Join(faults...)
}

// namedFault returns an error for a setting, which is wrong usage if it is a flag.
func namedFault(name, value, problem, fix string) error {
	if value != "" {
		name += " " + strconv.Quote(value)
	}
	if strings.HasPrefix(name, "--") {
		return newUsageError(fix, "%s %s", name, problem)
	}
	return failure.New(fix, "%s %s", name, problem)
}

// flattenErrors returns the single errors that errors.Join has combined, at every depth.
func flattenErrors(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, flattenErrors(e)...)
		}
		return all
	}
	var endpoint *gateway.EndpointError
	if errors.As(err, &endpoint) {
		return flattenErrors(endpoint.Err)
	}
	return []error{err}
}

// joinFaults joins the errors, each of which may be nil or joined itself, so that each is reported
// in lines of its own.
func joinFaults(errs ...error) error { return errors.Join(flattenErrors(errors.Join(errs...))...) }
