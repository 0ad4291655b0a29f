package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/window"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// stopTimeout is how long running requests, and the user's command, may take to end.
const stopTimeout = 10 * time.Second

// devEnvironment is what "gatehouse dev" runs: the local Clerk with the development
// window, and the MCP server behind a proxy that the window records.
type devEnvironment struct {
	clerk  *localclerk.Server
	window *window.Window
	logger *slog.Logger

	clerkListeners []net.Listener
	proxyListeners []net.Listener
	serverListener net.Listener // of the demo server or the gateway; without them, its port is for the user's command

	gateway  *gateway.Gateway // nil without --upstream
	upstream *url.URL         // the MCP server behind the gateway
}

// openDevEnvironment opens every port, so that a port in use is reported before
// anything runs.
func openDevEnvironment(con *console, options devOptions) (*devEnvironment, error) {
	e := &devEnvironment{logger: newLogger(con, options.quiet)}
	if err := e.open(options); err != nil {
		e.close()
		return nil, err
	}
	config := window.Config{Clerk: e.clerk, Server: e.origin(), Program: programName()}
	if e.gateway != nil {
		config.Endpoint = e.gateway.Guards()[0].Resource() // which has the path of the upstream
	}
	e.window = window.New(config)
	return e, nil
}

func (e *devEnvironment) open(options devOptions) (err error) {
	if err := options.checkUpstream(); err != nil {
		return err
	}
	if e.clerk, err = loadClerk(options.clerkPort, options.config, e.logger); err != nil {
		return err
	}
	if e.clerkListeners, err = listenOn(options.clerkPort, "--clerk-port"); err != nil {
		return err
	}
	if e.proxyListeners, err = listenOn(options.port, "--port"); err != nil {
		return err
	}
	if e.serverListener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return fmt.Errorf("listening behind the proxy: %w", err)
	}
	if options.upstream != "" {
		return e.openGateway(options.upstream)
	}
	return nil
}

func (e *devEnvironment) close() {
	for _, l := range slices.Concat(e.clerkListeners, e.proxyListeners) {
		l.Close()
	}
}

// origin returns the public URL of the MCP server, without its path.
func (e *devEnvironment) origin() string {
	return fmt.Sprintf("http://%s:%d", listen.Localhost, listen.Port(e.proxyListeners[0]))
}

// serverAddress returns the host and port of the MCP server behind the proxy.
func (e *devEnvironment) serverAddress() string {
	return net.JoinHostPort(listen.Localhost, strconv.Itoa(listen.Port(e.serverListener)))
}

func (e *devEnvironment) serveClerk(ctx context.Context) error {
	server := listen.NewServer(e.window.Handler(e.clerk), e.logger)
	return listen.Serve(ctx, server, listen.Shutdown{Grace: stopTimeout}, e.clerkListeners...)
}

func (e *devEnvironment) serveProxy(ctx context.Context) error {
	target := &url.URL{Scheme: "http", Host: e.serverAddress()}
	server := listen.NewServer(e.window.Proxy(target, e.logger), e.logger)
	return listen.Serve(ctx, server, listen.Shutdown{Grace: stopTimeout}, e.proxyListeners...)
}

// runServer runs the gateway if there is an upstream, or else the user's command, or else the
// demo server.
func (e *devEnvironment) runServer(ctx context.Context, con *console, options devOptions) error {
	switch {
	case options.upstream != "":
		return e.runUpstream(ctx, con, options.command)
	case len(options.command) > 0:
		return e.runCommand(ctx, con, options.command)
	}
	return e.runDemo(ctx, con)
}

// announce prints where the local Clerk and the window are.
func (e *devEnvironment) announce(con *console) {
	con.Note("local Clerk at %s, users: %s", e.clerk.Issuer(), userNames(e.clerk))
	con.Note("development window at %s shows each sign-in step by step", e.window.URL())
}

// runCommand runs the user's command behind the proxy until it ends or ctx does.
func (e *devEnvironment) runCommand(ctx context.Context, con *console, command []string) error {
	port := strconv.Itoa(listen.Port(e.serverListener))
	e.serverListener.Close() // the command listens on this port
	e.announce(con)
	con.Note("running %s with %s=%s, MCP_URL=%s and PORT=%s",
		strings.Join(command, " "), frontendAPIVariable, e.clerk.Issuer(), e.origin(), port)
	return runProcess(ctx, con, command, append(clerkEnvironment(e.clerk), "MCP_URL="+e.origin(), "PORT="+port))
}

// runProcess runs a command with further environment variables until it ends or ctx does.
func runProcess(ctx context.Context, con *console, command, env []string) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = con.stdout, con.stderr
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = stopTimeout
	useProcessGroup(cmd)
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, exec.ErrNotFound):
		return failure.New("check the spelling, and PATH", "running %q: %w", command[0], err)
	case errors.As(err, &exit):
		return failure.New("its own messages are above", "%s ended with status %d", command[0], exit.ExitCode())
	case err != nil:
		return failure.New(`check the command after "--"`, "running %q: %w", command[0], err)
	}
	con.Note("%s ended", command[0])
	return nil
}

func userNames(clerk *localclerk.Server) string {
	var names []string
	for _, user := range clerk.Users() {
		names = append(names, cmp.Or(user.Username, user.Email))
	}
	return strings.Join(names, ", ")
}
