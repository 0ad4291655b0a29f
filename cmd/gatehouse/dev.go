package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/clerkfile"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
)

const defaultDevPort = 3000

// devOptions is the command line of "gatehouse dev".
type devOptions struct {
	port, clerkPort int
	config          string
	quiet           bool
	upstream        string   // MCP server behind the gateway; empty for none
	command         []string // nil for the demo server
}

func newDevCommand(con *console) *cobra.Command {
	var options devOptions
	cmd := &cobra.Command{
		Use:   "dev [flags] [-- COMMAND [ARGUMENTS]]",
		Short: "Run a local Clerk and an MCP server that uses it",
		Long: `Run a local Clerk and an MCP server with a few demo tools, to try sign-in without an
account and without a network. The development window, a page on the port of the local
Clerk, shows each sign-in step by step.

With COMMAND, run that instead of the demo server, with
` + frontendAPIVariable + ` set to the local Clerk. COMMAND must
listen on the port in PORT; a proxy makes it available at the URL in MCP_URL, on --port.

With --upstream, the MCP server is one that knows nothing of OAuth, in any language:
requests go through a gateway, as with "gatehouse gateway", which checks the sign-in and
says who is calling in the headers X-Forwarded-User and X-Gatehouse-Assertion. COMMAND, if
there is one, starts that server; PORT has the port of --upstream.

Everything listens on loopback only, and the local Clerk forgets everything when it
stops.`,
		Example: `  gatehouse dev
  gatehouse dev -- go run ./examples/clerk
  gatehouse dev --upstream http://localhost:8000/mcp -- python server.py`,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := options.readArgs(args, cmd.ArgsLenAtDash()); err != nil {
				return err
			}
			return runDev(cmd.Context(), con, options)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.IntVar(&options.port, "port", defaultDevPort, "serve the MCP server on `PORT`")
	flags.IntVar(&options.clerkPort, "clerk-port", defaultClerkPort, "serve the local Clerk on `PORT`")
	flags.StringVar(&options.upstream, "upstream", "", "put sign-in in front of the MCP server at `URL`, which knows\nnothing of OAuth")
	addClerkFlags(cmd, &options.config, &options.quiet)
	cmd.RegisterFlagCompletionFunc("upstream", cobra.NoFileCompletions)
	return cmd
}

// readArgs reads the positional arguments. dash is the number of arguments before "--",
// or -1 without "--".
func (o *devOptions) readArgs(args []string, dash int) error {
	before := args
	if dash >= 0 {
		before, o.command = args[:dash], args[dash:]
	}
	switch {
	case len(before) > 0:
		return newUsageError(
			`put a command after "--", like: gatehouse dev -- `+strings.Join(args, " "),
			"unexpected argument %q", before[0])
	case dash >= 0 && len(o.command) == 0:
		return newUsageError("name a command after it, like: gatehouse dev -- go run ./myserver", `nothing follows "--"`)
	}
	if err := checkPort("--port", o.port); err != nil {
		return err
	}
	return checkPort("--clerk-port", o.clerkPort)
}

func runDev(ctx context.Context, con *console, options devOptions) error {
	con.Begin("starting the local Clerk")
	env, err := openDevEnvironment(con, options)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	con.Begin("serving")
	if options.config != "" {
		go clerkfile.Watch(running, options.config, env.clerk, env.logger)
	}
	go env.window.Follow(running)
	tasks := []func(context.Context) error{
		env.serveClerk,
		env.serveProxy,
		func(ctx context.Context) error { return env.runServer(ctx, con, options) },
	}
	results := make(chan error, len(tasks))
	for _, task := range tasks {
		go func() { results <- task(running) }()
	}
	var errs error
	interrupted := false
	for range tasks {
		errs = errors.Join(errs, <-results)
		interrupted = interrupted || ctx.Err() != nil
		stop() // the first task that ends stops the others
	}
	if interrupted && errs == nil {
		con.Note("stopped")
	}
	return errs
}

// listenOn listens on a port of both loopback addresses.
func listenOn(port int, flag string) ([]net.Listener, error) {
	listeners, err := listen.TCP(listen.Localhost, port)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, failure.New(
			fmt.Sprintf(`another "gatehouse dev" may be running; stop it, or pass %s with another number`, flag),
			"%w", err)
	} else if err != nil {
		return nil, failure.New(fmt.Sprintf("pass %s with another number", flag), "%w", err)
	}
	return listeners, nil
}
