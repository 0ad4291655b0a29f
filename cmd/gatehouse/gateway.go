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
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gatewayfile"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/providername"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/yamlfile"
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
	config                                  string
	operatorListen                          string
	logRequests, check, schema, printConfig bool
	forwardAuth                             forwardAuthOptions
	stop                                    gateway.Stop // of the file
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
--issuer. MCP_URL, HOST, PORT, MCP_SESSION_KEY and MCP_ACCEPTED_SESSION_KEYS are read too.`,
		Example: `  gatehouse gateway --upstream http://localhost:8000/mcp --provider clerk
  gatehouse gateway --config gateway.yaml
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
	flags.StringVar(&options.issuer, "issuer", "", "use the issuer at `URL`, in place of the settings\nof the provider in the environment")
	flags.StringVar(&options.url, "url", "", "public `URL` of the endpoint, as users type it into their\nclient (default: the address of --listen, if that is localhost)")
	flags.StringVar(&options.listen, "listen", "", "listen on `ADDR` (default: localhost:3000)")
	flags.StringVar(&options.operatorListen, "operator-listen", "", "serve /metrics, /readyz with the state of each endpoint, and /stats\non `ADDR`, like localhost:9090, which users do not reach")
	flags.StringVar(&options.config, "config", "",
		"read several endpoints, requirements and limits from the YAML `FILE`,\nagain whenever it changes, in place of the flags above except --listen\nand --operator-listen")
	flags.BoolVar(&options.check, "check", false, "check the configuration and exit")
	flags.BoolVar(&options.printConfig, "print-config", false, "print an example of that file and exit")
	flags.BoolVar(&options.schema, "schema", false, "print the JSON Schema of that file and exit")
	flags.BoolVar(&options.logRequests, "log-requests", false, "log each request, not only rejections and failures")
	options.forwardAuth.addFlags(cmd)
	cmd.MarkFlagFilename("config", "yaml", "yml")
	cmd.RegisterFlagCompletionFunc("provider", cobra.FixedCompletions(providername.Names(), cobra.ShellCompDirectiveNoFileComp))
	for _, name := range []string{"upstream", "url", "listen", "operator-listen", "issuer"} {
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
	switch {
	case options.schema:
		return con.print(gatewayfile.Schema())
	case options.printConfig:
		return con.print(gatewayfile.Template)
	}
	con.Begin("starting the gateway")
	if err := options.forwardAuth.check(options.upstream); err != nil {
		return err
	}
	settings, err := env.Load(".")
	if err != nil {
		return err
	}
	logger := newLogger(con, false)
	if options.config != "" {
		return runGatewayFile(ctx, con, options, settings, logger)
	}
	address, err := options.address(settings, "")
	if err != nil {
		return err
	}
	if address.operator, err = options.operatorPort(gatewayfile.OperatorPort{}, address); err != nil {
		return err
	}
	if options.forwardAuth.proxy != "" {
		return runForwardAuthFlags(ctx, con, options, settings, address, logger)
	}
	endpoint, err := options.endpoint(settings, address, logger)
	if err != nil {
		return err
	}
	gw, err := gateway.New(gateway.Config{Endpoints: []gateway.Endpoint{endpoint}, LogRequests: options.logRequests, Logger: logger})
	if err != nil {
		return explainGatewayFaults(err, options, settings)
	}
	return serveGateway(ctx, con, gw, address, gateway.Stop{}, options.check)
}

// runGatewayFile runs the gateway with a configuration file.
func runGatewayFile(ctx context.Context, con *console, options gatewayOptions, settings *env.Env, logger *slog.Logger) error {
	for _, flag := range []struct{ name, value string }{
		{"--upstream", options.upstream}, {"--url", options.url}, {"--provider", options.provider}, {"--issuer", options.issuer},
	} {
		if flag.value != "" {
			return newUsageError("write it in the file, or remove --config", "%s is set in addition to --config", flag.name)
		}
	}
	loader := gatewayfile.NewLoader(options.config, settings, logger)
	defer loader.Close()
	loaded, err := loader.Load()
	if err != nil {
		return err
	}
	address, err := options.address(settings, loaded.Listen)
	if err != nil {
		return err
	}
	if address.operator, err = options.operatorPort(loaded.Operator, address); err != nil {
		return err
	}
	options.stop = loaded.Stop
	if options.forwardAuth.proxy != "" {
		return runForwardAuth(ctx, con, options, loaded.Gateway, address, func(ctx context.Context, s *forwardAuthServer) {
			s.watch(ctx, loader, loaded, options.config)
		})
	}
	loaded.Gateway.LogRequests = loaded.Gateway.LogRequests || options.logRequests
	gw, err := gateway.New(loaded.Gateway)
	if err != nil {
		return errors.Join(flattenErrors(err)...)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if !options.check {
		go watchGatewayFile(ctx, gw, loader, loaded, options, logger)
	}
	return serveGateway(ctx, con, gw, address, loaded.Stop, options.check)
}

// watchGatewayFile applies the file whenever it has changed, until ctx ends.
func watchGatewayFile(
	ctx context.Context, gw *gateway.Gateway, loader *gatewayfile.Loader, loaded *gatewayfile.Loaded, options gatewayOptions,
	logger *slog.Logger,
) {
	applied, _ := loaded.Read()
	started := loaded
	yamlfile.Watch(ctx, options.config, applied, func() ([]byte, error) { return loaded.Read() }, func([]byte) error {
		next, err := loader.Load()
		if err != nil {
			return err
		}
		next.Gateway.LogRequests = next.Gateway.LogRequests || options.logRequests
		if err := gw.Apply(next.Gateway); err != nil {
			return err
		}
		warnOfRestart(logger, next, started, options.config)
		loaded = next
		gw.LogStart()
		return nil
	}, logger)
}

// warnOfRestart logs the settings that apply only when the gateway is started again.
func warnOfRestart(logger *slog.Logger, next, started *gatewayfile.Loaded, file string) {
	for _, name := range next.NeedsRestart(started) {
		logger.Warn(name+" has changed, which applies when the gateway is restarted", "file", file)
	}
}

// serveGateway serves until ctx ends. If check is true, it only says that the configuration is
// valid.
func serveGateway(
	ctx context.Context, con *console, gw *gateway.Gateway, address listenAddress, stop gateway.Stop, check bool,
) error {
	if check {
		defer gw.Close()
		for _, warning := range gw.Warnings() {
			con.Note("warning: %s", warning)
		}
		return con.print("the configuration is valid\n")
	}
	listeners, operatorListeners, err := openBoth(address)
	if err != nil {
		return err
	}
	con.Begin("serving")
	defer address.operator.start(con, gw.Operator(), newLogger(con, false), operatorListeners)()
	gw.LogStart()
	for _, guard := range gw.Guards() {
		con.Note("MCP endpoint at %s", guard.Resource())
	}
	con.Note("Ctrl-C stops the gateway")
	return gw.Serve(ctx, stop, listeners...)
}

// listenAddress is where the gateway listens.
type listenAddress struct {
	host string // empty for all addresses
	port int
	name string // of the setting

	operator operatorPort
}

// address returns the address of --listen, or else that of the file or of the environment.
func (o gatewayOptions) address(settings *env.Env, fromFile string) (listenAddress, error) {
	name, text := "--listen", o.listen
	if text == "" {
		name, text = "listen", fromFile
	}
	if text == "" {
		host := cmp.Or(settings.Get("HOST"), defaultGatewayHost)
		port, ok := parsePort(cmp.Or(settings.Get("PORT"), strconv.Itoa(defaultGatewayPort)))
		if !ok {
			return listenAddress{}, failure.New("use a number from 1 to 65535", "PORT %q is not a port", settings.Get("PORT"))
		}
		return listenAddress{host: host, port: port, name: "HOST"}, nil
	}
	host, number, err := net.SplitHostPort(text)
	port, ok := parsePort(number)
	if err != nil || !ok {
		hint := "write it like localhost:3000, or :3000 for all addresses of this machine"
		if _, isPort := parsePort(text); isPort {
			hint = fmt.Sprintf("write localhost:%s, or :%s for all addresses of this machine", text, text)
		} else if !strings.Contains(text, ":") {
			hint = fmt.Sprintf("add the port, like %s:3000", text)
		}
		return listenAddress{}, newUsageError(hint, "%s %q is not an address with a port", name, text)
	}
	return listenAddress{host: host, port: port, name: name}, nil
}

func parsePort(text string) (port int, ok bool) {
	port, err := strconv.Atoi(text)
	return port, err == nil && port > 0 && port <= 65535
}

// String returns host and port.
func (a listenAddress) String() string { return net.JoinHostPort(a.host, strconv.Itoa(a.port)) }

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
	if o.upstream == "" {
		return gateway.Endpoint{}, newUsageError(
			"name the MCP server, like --upstream http://localhost:8000/mcp; --config FILE has several", "--upstream is missing")
	}
	if o.provider == "" {
		return gateway.Endpoint{}, newUsageError("name where users sign in, like --provider clerk; "+
			"the providers are "+strings.Join(providername.Names(), ", "), "--provider is missing")
	}
	upstream, err := url.Parse(o.upstream)
	if err != nil || upstream.Host == "" || upstream.Scheme != "http" && upstream.Scheme != "https" {
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
			Resource: resource, Provider: provider, SessionKey: gatehouse.SessionKey(settings.Get("MCP_SESSION_KEY")),
			AcceptedSessionKeys: acceptedSessionKeys(settings), Logger: logger,
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
				"--url is missing, and it does not follow from %s %q", address.name, address.String())
		}
		return "http://" + address.String() + path, nil
	}
	if u, err := url.Parse(resource); err == nil && u.Host != "" && u.Path == "" {
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
		case strings.HasPrefix(field, "AcceptedSessionKeys"):
			names := strings.NewReplacer("AcceptedSessionKeys", "MCP_ACCEPTED_SESSION_KEYS", "SessionKey", "MCP_SESSION_KEY")
			field, fault.Problem, fault.Fix = names.Replace(field), names.Replace(fault.Problem), names.Replace(fault.Fix)
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
