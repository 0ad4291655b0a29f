package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/forwardauth"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/forwarded"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gatewayfile"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/providername"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/yamlfile"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
)

const (
	defaultGatewayHost = listen.Localhost
	defaultGatewayPort = 3000
	defaultGatewayPath = "/mcp"
)

// gatewayOptions is the command line of "gatehouse gateway".
type gatewayOptions struct {
	upstream, upstreamCA, url, listen, provider, issuer string
	tlsCert, tlsKey                                     string
	config                                              string
	operatorListen                                      string
	logRequests, check, schema, printConfig             bool
	forwardAuth                                         forwardAuthOptions
	stop                                                gateway.Stop // of the file
	telemetry                                           *telemetry
	revocations                                         *sharedStore // of the file
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
	flags.StringVar(&options.tlsCert, "tls-cert", "", "serve https with the certificate, and its chain, in the PEM `FILE`;\nit is read again when it changes")
	flags.StringVar(&options.tlsKey, "tls-key", "", "private key of the certificate in the PEM `FILE`")
	flags.StringVar(&options.upstreamCA, "upstream-ca", "", "accept only certificates of the MCP server that an authority in\nthe PEM `FILE` has signed (default: the authorities of this machine)")
	flags.StringVar(&options.operatorListen, "operator-listen", "", "serve /metrics, /readyz with the state of each endpoint, and /stats\non `ADDR`, like localhost:9090, which users do not reach")
	flags.StringVar(&options.config, "config", "",
		"read several endpoints, requirements and limits from the YAML `FILE`,\nagain whenever it changes, in place of the flags above except\n--listen and --operator-listen")
	flags.BoolVar(&options.check, "check", false, "check the configuration and exit")
	flags.BoolVar(&options.printConfig, "print-config", false, "print an example of that file and exit")
	flags.BoolVar(&options.schema, "schema", false, "print the JSON Schema of that file and exit")
	flags.BoolVar(&options.logRequests, "log-requests", false, "log each request, not only rejections and failures")
	options.forwardAuth.addFlags(cmd)
	cmd.MarkFlagFilename("config", "yaml", "yml")
	for _, name := range []string{"tls-cert", "tls-key", "upstream-ca"} {
		cmd.MarkFlagFilename(name, "pem", "crt", "key")
	}
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
	settings, err := env.Load(".")
	if err != nil {
		return err
	}
	logger := slog.New(fileNames{newLogger(con, false).Handler()})
	if options.config != "" {
		return runGatewayFile(ctx, con, options, settings, logger)
	}
	address, addressErr := options.address(settings, "")
	var certificateErr, operatorErr, telemetryErr error
	address.certificate, certificateErr = options.certificate(logger)
	address.operator, operatorErr = options.operatorPort(gatewayfile.OperatorPort{}, address)
	options.telemetry, telemetryErr = newTelemetry(ctx, settings, address.operator.open, logger)
	defer options.telemetry.close()
	listenErr := errors.Join(addressErr, certificateErr, operatorErr, telemetryErr)
	if options.forwardAuth.proxy != "" {
		return runForwardAuthFlags(ctx, con, options, settings, address, listenErr, logger)
	}
	endpoint, endpointErr := options.endpoint(settings, address, logger)
	cfg := gateway.Config{Endpoints: []gateway.Endpoint{endpoint}, LogRequests: options.logRequests, Logger: logger}
	options.telemetry.observe(&cfg)
	gw, err := gateway.New(cfg)
	if faults := joinFaults(options.forwardAuth.check(options), endpointErr, explainGatewayFaults(err, options, settings),
		address.checkUpstreams(cfg.Endpoints), listenErr); faults != nil {
		if err == nil {
			gw.Close()
		}
		return faults
	}
	return serveGateway(ctx, con, gw, address, gateway.Stop{}, options)
}

// runGatewayFile runs the gateway with a configuration file.
func runGatewayFile(ctx context.Context, con *console, options gatewayOptions, settings *env.Env, logger *slog.Logger) error {
	flagErr := errors.Join(options.inAdditionToFile()...)
	options.revocations = new(sharedStore)
	loader := gatewayfile.NewLoader(options.config, settings, logger)
	defer loader.Close()
	if o := &options.forwardAuth; o.proxy != "" {
		loader.ForwardAuth(forwardauth.Proxy(o.proxy), o.bodies)
	}
	if options.check {
		loader.CheckOnly()
	} else if !con.stderrIsTerminal { // where it means that the terminal was closed
		defer reopenOnHangup(loader, logger)()
	}
	loaded, err := loader.Load()
	if err != nil {
		loaded = &gatewayfile.Loaded{Gateway: gateway.Config{Logger: logger}}
	}
	address, addressErr := options.address(settings, loaded.Listen)
	address.certificate = loaded.Certificate
	var operatorErr, telemetryErr error
	address.operator, operatorErr = options.operatorPort(loaded.Operator, address)
	address.operator.revocations = options.revocations
	options.revocations.Store(loaded.Revocations)
	options.telemetry, telemetryErr = newTelemetry(ctx, settings, address.operator.open, logger)
	defer options.telemetry.close()
	options.stop = loaded.Stop
	faults := joinFaults(options.forwardAuth.check(options), flagErr, addressErr, operatorErr, telemetryErr, err)
	if faults == nil {
		reportStore(con, loaded.Revocations, options.check)
	}
	if options.forwardAuth.proxy != "" {
		return runForwardAuth(ctx, con, options, loaded.Gateway, forwardAuthRun{address: address, faults: faults, explain: explainForwardAuthFault,
			watch: func(ctx context.Context, s *forwardAuthServer) { s.watch(ctx, loader, loaded, options) }})
	}
	if faults = joinFaults(faults, address.checkUpstreams(loaded.Gateway.Endpoints)); faults != nil {
		return faults
	}
	loaded.Gateway.LogRequests = loaded.Gateway.LogRequests || options.logRequests
	options.telemetry.observe(&loaded.Gateway)
	gw, err := gateway.New(loaded.Gateway)
	if err != nil {
		return joinFaults(err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if !options.check {
		go watchGatewayFile(ctx, gw, loader, loaded, options, logger)
	}
	return serveGateway(ctx, con, gw, address, loaded.Stop, options)
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
		options.telemetry.observe(&next.Gateway)
		if err := gw.Apply(next.Gateway); err != nil {
			return err
		}
		options.revocations.Store(next.Revocations)
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

// serveGateway serves until ctx ends. With --check, it only says that the configuration is
// valid.
func serveGateway(
	ctx context.Context, con *console, gw *gateway.Gateway, address listenAddress, stop gateway.Stop, options gatewayOptions,
) error {
	if options.check {
		defer gw.Close()
		for _, warning := range append(gw.Warnings(), address.warnings(gw.Guards())...) {
			con.Note("warning: %s", warning)
		}
		return con.print("the configuration is valid\n")
	}
	listeners, operatorListeners, err := openBoth(address)
	if err != nil {
		return err
	}
	con.Begin("serving")
	options.telemetry.watch(gw.Guards)
	options.telemetry.note(con)
	port := gw.Operator()
	port.Metrics = options.telemetry.handler()
	defer address.operator.start(con, port, gw.Guards, newLogger(con, false), operatorListeners)()
	gw.LogStart()
	for _, warning := range address.warnings(gw.Guards()) {
		con.Note("warning: %s", warning)
	}
	for _, guard := range gw.Guards() {
		con.Note("MCP endpoint at %s", guard.Resource())
	}
	con.Note("Ctrl-C stops the gateway")
	return gw.Serve(ctx, stop, listeners...)
}
