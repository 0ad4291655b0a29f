package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/clerkfile"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

var clerkCommand = command{
	name:    "clerk",
	summary: "run a local Clerk alone, for a server in any language",
	help: `usage: gatehouse clerk [flags]

Runs a local Clerk and prints the environment that a server needs to use it, one
NAME=value a line. It listens on loopback only, and what it knows is gone when it
stops.

flags:
  --port N         port to listen on (default 4000)
  --config FILE    settings, users and organizations in YAML, picked up live
  --print-config   print such a file to begin with, and end
  --quiet          leave out the line for each request

examples:
  gatehouse clerk
  gatehouse clerk --print-config >clerk.yaml
  gatehouse clerk --config clerk.yaml
`,
	run: runClerk,
}

func runClerk(ctx context.Context, con *console, args []string) error {
	flags := newFlagSet("clerk")
	port := flags.Int("port", defaultClerkPort, "")
	config := flags.String("config", "", "")
	printConfig := flags.Bool("print-config", false, "")
	quiet := flags.Bool("quiet", false, "")
	rest, err := parse(flags, args)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return misuse(`"gatehouse help clerk" explains the command`, "unexpected argument %q", rest[0])
	}
	if *port < 1 || *port > 65535 {
		return misuse("use a number from 1 to 65535", "--port %d is not a port", *port)
	}
	if *printConfig {
		return con.print(clerkfile.Template)
	}
	con.begin("starting the local Clerk")
	logger := devLogger(con, *quiet)
	server, err := loadClerk(*port, *config, logger)
	if err != nil {
		return err
	}
	listeners, err := listenOn(*port, "--port")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if *config != "" {
		go clerkfile.Watch(ctx, *config, server, logger)
	}
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { ended <- server.Serve(ctx, l) }()
	}
	con.begin("serving")
	if err := con.print(strings.Join(clerkEnvironment(server), "\n") + "\n"); err != nil {
		return err
	}
	con.note("local Clerk at %s; Ctrl-C stops it", server.Issuer())
	var failed error
	for range listeners {
		failed = errors.Join(failed, <-ended)
		stop()
	}
	return failed
}

// loadClerk returns the local Clerk of the file at config, or the one without any.
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
			return nil, fail(`"gatehouse clerk --print-config" prints a file to begin with`, "%w", err)
		}
		cfg.Settings, cfg.Users, cfg.Organizations = &file.Settings, file.Users, file.Organizations
	}
	return localclerk.New(cfg)
}
