package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/forwarded"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/providername"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

const (
	defaultGatewayHost = listen.Localhost
	defaultGatewayPort = 3000
	defaultGatewayPath = "/mcp"
)

// gatewayOptions is the command line of "gatehouse gateway".
type gatewayOptions struct {
	upstream, url, listen, provider, issuer string
	logRequests                             bool
	forwardAuth                             forwardAuthOptions
}

func newGatewayCommand(con *console) *cobra.Command {
	var options gatewayOptions
	cmd := &cobra.Command{
		Use:   "gateway",
		Short: "Put sign-in in front of an MCP server in any language",
		Long: `Serve an MCP endpoint whose users sign in with an identity provider, and forward their
requests to an MCP server that knows nothing of OAuth. The server gets who is calling in
the headers X-Forwarded-User, X-Forwarded-Email, X-Forwarded-Preferred-Username and
X-Forwarded-Groups, and in X-Gatehouse-Assertion, a JWT that it can verify with the keys
at ` + forwarded.KeysPath + `. It never gets the access token.

The settings of the provider are read from the environment or a .env file, or from
--issuer. MCP_URL, HOST, PORT and MCP_SESSION_KEY are read too.`,
		Example: `  gatehouse gateway --upstream http://localhost:8000/mcp --provider clerk
  gatehouse gateway --upstream http://localhost:8000/mcp --provider oidc \
    --issuer https://issuer.example.com --url https://mcp.example.com/mcp --listen :8080`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := noArguments(cmd, args); err != nil {
				return err
			}
			return runGateway(cmd.Context(), con, options)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&options.upstream, "upstream", "", "forward requests to the MCP server at `URL`")
	flags.StringVar(&options.provider, "provider", "", "let users sign in with the provider `NAME`:\n"+wrapped(providername.Names(), 60))
	flags.StringVar(&options.issuer, "issuer", "", "use the issuer at `URL`, in place of the provider's settings in the environment")
	flags.StringVar(&options.url, "url", "", "serve the endpoint whose public URL is `URL`, as users type it into their client\n(default: the address of --listen, if that is localhost)")
	flags.StringVar(&options.listen, "listen", "", "listen on `ADDR` (default: localhost:3000)")
	flags.BoolVar(&options.logRequests, "log-requests", false, "log each request, not only rejections and failures")
	options.forwardAuth.addFlags(cmd)
	cmd.RegisterFlagCompletionFunc("provider", cobra.FixedCompletions(providername.Names(), cobra.ShellCompDirectiveNoFileComp))
	for _, name := range []string{"upstream", "url", "listen", "issuer"} {
		cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	return cmd
}

// wrapped returns the names in lines of at most width letters.
func wrapped(names []string, width int) string {
	var b strings.Builder
	column := 0
	for i, name := range names {
		if i > 0 {
			b.WriteByte(',')
			if column+len(name) > width {
				b.WriteByte('\n')
				column = 0
			} else {
				b.WriteByte(' ')
			}
		}
		b.WriteString(name)
		column += len(name) + 2
	}
	return b.String()
}

func runGateway(ctx context.Context, con *console, options gatewayOptions) error {
	con.Begin("starting the gateway")
	if err := options.forwardAuth.check(options.upstream); err != nil {
		return err
	}
	settings, err := env.Load(".")
	if err != nil {
		return err
	}
	address, err := options.address(settings)
	if err != nil {
		return err
	}
	logger := newLogger(con, false)
	endpoint, err := options.endpoint(settings, address, logger)
	if err != nil {
		return err
	}
	if options.forwardAuth.proxy != "" {
		return runForwardAuth(ctx, con, options.forwardAuth, []gateway.Endpoint{endpoint}, nil, address, logger)
	}
	gw, err := gateway.New(gateway.Config{Endpoints: []gateway.Endpoint{endpoint}, LogRequests: options.logRequests, Logger: logger})
	if err != nil {
		return explainGatewayFaults(err, options, settings)
	}
	listeners, err := address.open()
	if err != nil {
		return err
	}
	con.Begin("serving")
	gw.LogStart()
	con.Note("MCP endpoint at %s; Ctrl-C stops the gateway", endpoint.Guard.Resource)
	return gw.Serve(ctx, gateway.Stop{}, listeners...)
}

// listenAddress is where the gateway listens.
type listenAddress struct {
	host string // empty for all addresses
	port int
	name string // of the setting
}

// address returns the address of --listen, or that of the environment.
func (o gatewayOptions) address(settings *env.Env) (listenAddress, error) {
	if o.listen == "" {
		host := cmp.Or(settings.Get("HOST"), defaultGatewayHost)
		text := cmp.Or(settings.Get("PORT"), strconv.Itoa(defaultGatewayPort))
		port, err := strconv.Atoi(text)
		if err != nil || port < 1 || port > 65535 {
			return listenAddress{}, failure.New("use a number from 1 to 65535", "PORT %q is not a port", text)
		}
		return listenAddress{host, port, "PORT"}, nil
	}
	host, text, err := net.SplitHostPort(o.listen)
	port, numberErr := strconv.Atoi(text)
	if err != nil || numberErr != nil || port < 1 || port > 65535 {
		hint := "write it like --listen localhost:3000, or --listen :3000 for all addresses of this machine"
		if _, err := strconv.Atoi(o.listen); err == nil {
			hint = fmt.Sprintf("write --listen localhost:%s, or --listen :%s for all addresses of this machine", o.listen, o.listen)
		} else if err := o.listen; !strings.Contains(err, ":") {
			hint = fmt.Sprintf("add the port, like --listen %s:3000", o.listen)
		}
		return listenAddress{}, newUsageError(hint, "--listen %q is not an address with a port", o.listen)
	}
	return listenAddress{host, port, "--listen"}, nil
}

// open opens the listeners.
func (a listenAddress) open() ([]net.Listener, error) {
	listeners, err := listen.TCP(a.host, a.port)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, failure.New("stop the program that uses it, or choose another port with --listen", "%w", err)
	} else if err != nil {
		return nil, failure.New("choose an address of this machine with --listen, like localhost:3000", "%w", err)
	}
	return listeners, nil
}

// endpoint returns the endpoint of the command line.
func (o gatewayOptions) endpoint(settings *env.Env, address listenAddress, logger *slog.Logger) (gateway.Endpoint, error) {
	if o.upstream == "" && o.forwardAuth.proxy == "" {
		return gateway.Endpoint{}, newUsageError("name the MCP server, like --upstream http://localhost:8000/mcp", "--upstream is missing")
	}
	if o.provider == "" {
		return gateway.Endpoint{}, newUsageError("name where users sign in, like --provider clerk; "+
			"the providers are "+strings.Join(providername.Names(), ", "), "--provider is missing")
	}
	upstream, err := url.Parse(o.upstream)
	if o.forwardAuth.proxy == "" && (err != nil || upstream.Host == "" || upstream.Scheme != "http" && upstream.Scheme != "https") {
		hint := "write it like --upstream http://localhost:8000/mcp"
		if !strings.Contains(o.upstream, "://") {
			hint = "write --upstream http://" + o.upstream
		}
		return gateway.Endpoint{}, newUsageError(hint, "--upstream %q is not an http or https URL", wellknown.Redacted(o.upstream))
	}
	resource, err := o.resource(settings, address, upstream.Path)
	if err != nil {
		return gateway.Endpoint{}, err
	}
	if upstream.Path == "" {
		upstream.Path = pathOf(resource)
	}
	provider, err := providername.New(o.provider, o.issuer)
	if err != nil {
		return gateway.Endpoint{}, &usageError{asFailure(err)}
	}
	return gateway.Endpoint{
		Guard: gatehouse.Config{
			Resource: resource, Provider: provider, SessionKey: gatehouse.SessionKey(settings.Get("MCP_SESSION_KEY")), Logger: logger,
		},
		Upstreams: []gateway.Upstream{{URL: upstream}},
		Headers:   forwarded.DefaultHeaders(),
	}, nil
}

// resource returns the public URL of the endpoint. path is that of the upstream.
func (o gatewayOptions) resource(settings *env.Env, address listenAddress, path string) (string, error) {
	if path == "" || path == "/" {
		path = defaultGatewayPath
	}
	path = strings.TrimSuffix(path, "/")
	resource := cmp.Or(o.url, settings.Get("MCP_URL"))
	if resource == "" {
		if !wellknown.IsLoopback(address.host) {
			return "", newUsageError("add the URL that users type into their client, like --url https://mcp.example.com/mcp",
				"--url is missing, and it does not follow from %s %q", cmp.Or(address.name, "HOST"), net.JoinHostPort(address.host, strconv.Itoa(address.port)))
		}
		return "http://" + net.JoinHostPort(address.host, strconv.Itoa(address.port)) + path, nil
	}
	if u, err := url.Parse(resource); err == nil && u.Host != "" && u.Path == "" {
		return resource + path, nil
	}
	return resource, nil
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
	var faults []error
	for _, e := range flattenErrors(err) {
		var fault *gatehouse.ConfigError
		if !errors.As(e, &fault) {
			faults = append(faults, e)
			continue
		}
		field := fault.Field
		switch {
		case field == "Resource" && options.url == "" && settings.Get("MCP_URL") != "":
			field = "MCP_URL"
		case field == "Resource":
			field = "--url"
		case field == "Upstreams":
			field = "--upstream"
		case field == "SessionKey":
			field = "MCP_SESSION_KEY"
		case options.issuer != "" && fault.Value != "" && strings.Contains(options.issuer, fault.Value):
			field = "--issuer"
		}
		text := field
		if fault.Value != "" {
			text += " " + strconv.Quote(fault.Value)
		}
		faults = append(faults, fmt.Errorf("%s %s; %s", text, fault.Problem, fault.Fix))
	}
	return errors.Join(faults...)
}

// flattenErrors returns the single errors that errors.Join has combined, at every depth.
func flattenErrors(err error) []error {
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
