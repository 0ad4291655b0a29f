package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/clerkfile"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/window"
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

	readHeaderTime = 10 * time.Second
	idleTime       = 2 * time.Minute
	maxHeaderBytes = 64 << 10
)

var devCommand = command{
	name:    "dev",
	summary: "run a local Clerk and an MCP server against it",
	help: `usage: gatehouse dev [flags]
       gatehouse dev [flags] -- COMMAND [arguments]

Runs a local Clerk and an MCP server with a few telling tools, so that sign-in
can be tried without an account and without a network. With a command, runs that
instead of the server, with ` + frontendAPIVariable + `
set to the local Clerk. A window, a page beside the local Clerk, shows each sign-in
step by step. All of it listens on loopback only, and what it knows is gone when
it stops.

flags:
  --port N         port of the MCP server (default 3000). COMMAND runs behind it:
                   it listens on PORT, and is known as MCP_URL
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
	house, err := openHouse(con, opts)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	con.begin("serving")
	if opts.config != "" {
		go clerkfile.Watch(ctx, opts.config, house.clerk, house.logger)
	}
	go house.window.Follow(ctx)
	ended := make(chan error)
	running := house.open(ctx, ended)
	go func() { ended <- house.runServer(ctx, con, opts) }()
	err = <-ended
	interrupted := ctx.Err() != nil
	stop()
	for range running {
		err = errors.Join(err, <-ended)
	}
	if interrupted && err == nil {
		con.note("stopped")
	}
	return err
}

// house is what dev runs: the local Clerk with the window beside it, and the MCP
// server behind a proxy that the window records.
type house struct {
	clerk  *localclerk.Server
	window *window.Window

	clerkListeners, publicListeners []net.Listener
	behind                          net.Listener // where the server listens, or a command will
	logger                          *slog.Logger
}

// openHouse takes every port, so that a taken one is found before anything runs.
func openHouse(con *console, opts devOptions) (*house, error) {
	h := &house{logger: devLogger(con, opts.quiet)}
	var err error
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	if h.clerk, err = loadClerk(opts.clerkPort, opts.config, h.logger); err != nil {
		return nil, err
	}
	if h.clerkListeners, err = listenOn(opts.clerkPort, "--clerk-port"); err != nil {
		return nil, err
	}
	if h.publicListeners, err = listenOn(opts.port, "--port"); err != nil {
		return nil, err
	}
	if h.behind, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("listening behind the window: %w", err)
	}
	h.window = window.New(window.Config{Clerk: h.clerk, Server: h.origin(), Program: programName()})
	return h, nil
}

func (h *house) close() {
	for _, l := range append(slices.Concat(h.clerkListeners, h.publicListeners), h.behind) {
		if l != nil {
			l.Close()
		}
	}
}

// origin is the public URL of the MCP server, without its path.
func (h *house) origin() string {
	return fmt.Sprintf("http://localhost:%d", listen.Port(h.publicListeners[0]))
}

// open serves the local Clerk and the proxy until ctx ends, and returns how many
// results it will send to ended.
func (h *house) open(ctx context.Context, ended chan<- error) int {
	target := &url.URL{Scheme: "http", Host: net.JoinHostPort(listen.Localhost, strconv.Itoa(listen.Port(h.behind)))}
	clerk, proxy := h.window.Handler(h.clerk), h.window.Proxy(target, h.logger)
	for _, l := range h.clerkListeners {
		go func() { ended <- serveHTTP(ctx, l, clerk, h.logger) }()
	}
	for _, l := range h.publicListeners {
		go func() { ended <- serveHTTP(ctx, l, proxy, h.logger) }()
	}
	return len(h.clerkListeners) + len(h.publicListeners)
}

func (h *house) runServer(ctx context.Context, con *console, opts devOptions) error {
	if len(opts.command) > 0 {
		return h.runChild(ctx, con, opts.command)
	}
	return h.runWhoami(ctx, con)
}

// serveHTTP answers requests on l until ctx ends, then lets running ones finish.
func serveHTTP(ctx context.Context, l net.Listener, handler http.Handler, logger *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	drained := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(drained)
		deadline, cancel := context.WithTimeout(context.Background(), childGrace)
		defer cancel()
		if server.Shutdown(deadline) != nil {
			server.Close()
		}
	})
	err := server.Serve(l)
	if stop() {
		return fmt.Errorf("serving on %s: %w", l.Addr(), err)
	}
	<-drained
	return nil
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
	flags.IntVar(&opts.port, "port", defaultDevPort, "")
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
	if opts.port < 1 || opts.port > 65535 {
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

// announce says where everything is.
func (h *house) announce(con *console) {
	con.note("local Clerk at %s, users: %s", h.clerk.Issuer(), userNames(h.clerk))
	con.note("window at %s shows each sign-in step by step", h.window.URL())
}

// runChild runs the user's command against the local Clerk and behind the proxy
// until one of them ends.
func (h *house) runChild(ctx context.Context, con *console, command []string) error {
	port := strconv.Itoa(listen.Port(h.behind))
	h.behind.Close() // the command takes its place
	h.announce(con)
	con.note("running %s with %s=%s, MCP_URL=%s and PORT=%s", strings.Join(command, " "), frontendAPIVariable, h.clerk.Issuer(), h.origin(), port)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = con.stdout, con.stderr
	cmd.Env = slices.Concat(os.Environ(), clerkEnvironment(h.clerk), []string{"MCP_URL=" + h.origin(), "PORT=" + port})
	cmd.WaitDelay = childGrace
	inOwnGroup(cmd)
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, exec.ErrNotFound):
		return fail("look at the spelling, and at PATH", "running %q: %w", command[0], err)
	case errors.As(err, &exit):
		return fail("its own messages are above", "%s ended with status %d", command[0], exit.ExitCode())
	case err != nil:
		return fail("look at the command after \"--\"", "running %q: %w", command[0], err)
	}
	con.note("%s ended", command[0])
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
