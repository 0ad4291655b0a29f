package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/clerkfile"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

const (
	defaultDevPort   = 3000
	defaultClerkPort = 4000

	// frontendAPIVariable tells a server of provider/clerk, or of mcp-use, where
	// its Clerk is.
	frontendAPIVariable = "MCP_USE_OAUTH_CLERK_FRONTEND_API_URL"

	// childGrace is how long a command may take to stop.
	childGrace = 10 * time.Second
)

var devCommand = command{
	name:    "dev",
	summary: "run a local Clerk and an MCP server against it",
	help: `usage: gatehouse dev [flags]
       gatehouse dev [flags] -- COMMAND [arguments]

Runs a local Clerk and an MCP server with a few telling tools, so that sign-in
can be tried without an account and without a network. With a command, runs that
instead of the server, with ` + frontendAPIVariable + `
set to the local Clerk. Both listen on loopback only, and what they know is gone
when they stop.

flags:
  --port N         port of the MCP server (default 3000); sets PORT for COMMAND
  --clerk-port N   port of the local Clerk (default 4000)
  --config FILE    settings, users and organizations of the local Clerk in YAML,
                   picked up live; "gatehouse clerk --print-config" prints one
  --quiet          leave out the line for each request

examples:
  gatehouse dev
  gatehouse dev -- go run ./examples/clerk
`,
	run: runDev,
}

type devOptions struct {
	port, clerkPort int
	config          string
	quiet           bool
	command         []string
}

func runDev(ctx context.Context, con *console, args []string) error {
	opts, err := parseDev(args)
	if err != nil {
		return err
	}
	con.begin("starting the local Clerk")
	clerk, err := loadClerk(opts.clerkPort, opts.config, devLogger(con, opts.quiet))
	if err != nil {
		return err
	}
	listeners, err := listenOn(opts.clerkPort, "--clerk-port")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if opts.config != "" {
		go clerkfile.Watch(ctx, opts.config, clerk, devLogger(con, opts.quiet))
	}
	ended := make(chan error, len(listeners)+1)
	for _, l := range listeners {
		go func() { ended <- clerk.Serve(ctx, l) }()
	}
	con.begin("serving")
	go func() {
		if len(opts.command) > 0 {
			ended <- runChild(ctx, con, clerk, opts)
		} else {
			ended <- runWhoami(ctx, con, clerk, opts)
		}
	}()
	err = <-ended
	interrupted := ctx.Err() != nil
	stop()
	for range len(listeners) {
		err = errors.Join(err, <-ended)
	}
	if interrupted && err == nil {
		con.note("stopped")
	}
	return err
}

func parseDev(args []string) (devOptions, error) {
	var opts devOptions
	for i, arg := range args {
		if arg == "--" {
			args, opts.command = args[:i], args[i+1:]
			if len(opts.command) == 0 {
				return opts, misuse("name a command after it, like: gatehouse dev -- go run ./myserver", `nothing follows "--"`)
			}
			break
		}
	}
	flags := newFlagSet("dev")
	flags.IntVar(&opts.port, "port", 0, "")
	flags.IntVar(&opts.clerkPort, "clerk-port", defaultClerkPort, "")
	flags.StringVar(&opts.config, "config", "", "")
	flags.BoolVar(&opts.quiet, "quiet", false, "")
	rest, err := parse(flags, args)
	if err != nil {
		return opts, err
	}
	if len(rest) > 0 {
		return opts, misuse(`put a command after "--", like: gatehouse dev -- `+strings.Join(rest, " "), "unexpected argument %q", rest[0])
	}
	if opts.port < 0 || opts.port > 65535 {
		return opts, misuse("use a number from 1 to 65535", "--port %d is not a port", opts.port)
	}
	if opts.clerkPort < 1 || opts.clerkPort > 65535 {
		return opts, misuse("use a number from 1 to 65535", "--clerk-port %d is not a port", opts.clerkPort)
	}
	return opts, nil
}

// listenOn listens on port of both loopback addresses.
func listenOn(port int, flagName string) ([]net.Listener, error) {
	listeners, err := listen.TCP(listen.Localhost, port)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fail(fmt.Sprintf(`another "gatehouse dev" may be running; stop it, or pass %s with another number`, flagName), "%w", err)
	} else if err != nil {
		return nil, fail(fmt.Sprintf("pass %s with another number", flagName), "%w", err)
	}
	return listeners, nil
}

func devLogger(con *console, quiet bool) *slog.Logger {
	level := slog.LevelInfo
	if quiet {
		level = slog.LevelWarn
	}
	return slog.New(slog.NewTextHandler(con.stderr, &slog.HandlerOptions{Level: level}))
}

// runChild runs the user's command against the local Clerk until one of them ends.
func runChild(ctx context.Context, con *console, clerk *localclerk.Server, opts devOptions) error {
	con.note("local Clerk at %s, users: %s", clerk.Issuer(), userNames(clerk))
	con.note("running %s with %s=%s", strings.Join(opts.command, " "), frontendAPIVariable, clerk.Issuer())
	cmd := exec.CommandContext(ctx, opts.command[0], opts.command[1:]...)
	cmd.Stdout, cmd.Stderr = con.stdout, con.stderr
	cmd.Env = append(os.Environ(), clerkEnvironment(clerk)...)
	if opts.port > 0 {
		cmd.Env = append(cmd.Env, "PORT="+strconv.Itoa(opts.port))
	}
	cmd.WaitDelay = childGrace
	inOwnGroup(cmd)
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, exec.ErrNotFound):
		return fail("look at the spelling, and at PATH", "running %q: %w", opts.command[0], err)
	case errors.As(err, &exit):
		return fail("its own messages are above", "%s ended with status %d", opts.command[0], exit.ExitCode())
	case err != nil:
		return fail("look at the command after \"--\"", "running %q: %w", opts.command[0], err)
	}
	con.note("%s ended", opts.command[0])
	return nil
}

// clerkEnvironment tells a server where the local Clerk is, as NAME=value.
func clerkEnvironment(clerk *localclerk.Server) []string {
	return []string{
		frontendAPIVariable + "=" + clerk.Issuer(),
		"CLERK_SECRET_KEY=" + clerk.SecretKey(),
		"CLERK_API_URL=" + clerk.Issuer(),
	}
}

func userNames(clerk *localclerk.Server) string {
	var names []string
	for _, user := range clerk.Users() {
		names = append(names, cmp.Or(user.Username, user.Email))
	}
	return strings.Join(names, ", ")
}
