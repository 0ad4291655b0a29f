package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/clerkfile"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

const defaultClerkPort = 4000

// clerkOptions is the command line of "gatehouse clerk".
type clerkOptions struct {
	port        int
	config      string
	printConfig bool
	quiet       bool
}

func newClerkCommand(con *console) *cobra.Command {
	var options clerkOptions
	cmd := &cobra.Command{
		Use:   "clerk",
		Short: "Run only a local Clerk, for a server in any language",
		Long: `Run a local Clerk and print the environment variables with which a server uses it, one
NAME=value per line. The local Clerk listens on loopback only, and forgets everything
when it stops.`,
		Example: `  gatehouse clerk
  gatehouse clerk --print-config >clerk.yaml
  gatehouse clerk --config clerk.yaml`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := noArguments(cmd, args); err != nil {
				return err
			}
			return runClerk(cmd.Context(), con, options)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.IntVar(&options.port, "port", defaultClerkPort, "listen on `PORT`")
	addClerkFlags(cmd, &options.config, &options.quiet)
	flags.BoolVar(&options.printConfig, "print-config", false, "print an example of that file and exit")
	return cmd
}

// addClerkFlags declares the flags that dev and clerk share.
func addClerkFlags(cmd *cobra.Command, config *string, quiet *bool) {
	flags := cmd.Flags()
	flags.StringVar(config, "config", "",
		"read settings, users and organizations of the local Clerk\nfrom the YAML `FILE`, again whenever it changes")
	flags.BoolVar(quiet, "quiet", false, "do not log each request")
	cmd.MarkFlagFilename("config", "yaml", "yml")
	for _, name := range []string{"port", "clerk-port"} {
		if flags.Lookup(name) != nil {
			cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
		}
	}
}

// checkPort returns a usageError unless port is a port number.
func checkPort(flag string, port int) error {
	if port < 1 || port > 65535 {
		return newUsageError("use a number from 1 to 65535", "%s %d is not a port", flag, port)
	}
	return nil
}

func runClerk(ctx context.Context, con *console, options clerkOptions) error {
	if options.printConfig {
		return con.print(clerkfile.Template)
	}
	if err := checkPort("--port", options.port); err != nil {
		return err
	}
	con.Begin("starting the local Clerk")
	logger := newLogger(con, options.quiet)
	server, err := loadClerk(options.port, options.config, logger)
	if err != nil {
		return err
	}
	listeners, err := listenOn(options.port, "--port")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if options.config != "" {
		go clerkfile.Watch(ctx, options.config, server, logger)
	}
	results := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { results <- server.Serve(ctx, l) }()
	}
	con.Begin("serving")
	if err := con.print(strings.Join(clerkEnvironment(server), "\n") + "\n"); err != nil {
		return err
	}
	con.Note("local Clerk at %s; Ctrl-C stops it", server.Issuer())
	var errs error
	for range listeners {
		errs = errors.Join(errs, <-results)
		stop()
	}
	return errs
}

// loadClerk returns a local Clerk with the settings of the file config, or with the
// default settings if config is "".
func loadClerk(port int, config string, logger *slog.Logger) (*localclerk.Server, error) {
	settings := clerkfile.DefaultSettings()
	cfg := localclerk.Config{
		Issuer:   fmt.Sprintf("http://%s:%d", listen.Localhost, port),
		Settings: &settings,
		Logger:   logger.With("from", "clerk"),
	}
	if config != "" {
		file, err := clerkfile.Load(config)
		if err != nil {
			return nil, failure.New(`"gatehouse clerk --print-config" prints an example`, "%w", err)
		}
		cfg.Settings, cfg.Users, cfg.Organizations = &file.Settings, file.Users, file.Organizations
	}
	return localclerk.New(cfg)
}

// frontendAPIVariable is the environment variable with the URL of Clerk, for servers
// that use provider/clerk or mcp-use.
const frontendAPIVariable = "MCP_USE_OAUTH_CLERK_FRONTEND_API_URL"

// clerkEnvironment returns the environment of a server that uses the local Clerk, each
// as NAME=value.
func clerkEnvironment(clerk *localclerk.Server) []string {
	return []string{
		frontendAPIVariable + "=" + clerk.Issuer(),
		"CLERK_SECRET_KEY=" + clerk.SecretKey(),
		"CLERK_API_URL=" + clerk.Issuer(),
	}
}
