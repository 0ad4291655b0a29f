// Command gatehouse helps to build and to try MCP servers behind OAuth sign-in.
//
//	gatehouse dev              runs a local Clerk and an MCP server against it
//	gatehouse clerk            runs a local Clerk alone
//	gatehouse call URL TOOL    calls a tool, signing in where the server asks
//	gatehouse version          says what this program is made of
//
// "gatehouse help" lists the commands, "gatehouse help call" explains one. Data
// goes to standard output, everything else to standard error. The exit status is
// 0 for success, 1 for a failure, 2 for wrong usage and 130 after Ctrl-C.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// The exit statuses of the program.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitInterrupted = 130 // 128 + SIGINT, as shells have it
)

// command is one subcommand. Each has its own file.
type command struct {
	name    string
	summary string // one line, for the list of commands
	help    string // the whole answer to "gatehouse help NAME"
	run     func(ctx context.Context, con *console, args []string) error
}

// commands is the command table, in the order in which help lists it.
var commands = []command{
	devCommand,
	clerkCommand,
	callCommand,
	versionCommand,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(run(ctx, newConsole(), os.Args[1:]))
}

// run runs the program and returns its exit status.
func run(ctx context.Context, con *console, args []string) int {
	err := dispatch(ctx, con, args)
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil {
		con.report(fmt.Errorf("interrupted while %s", con.doing()))
		return exitInterrupted
	}
	con.report(err)
	var f *failure
	if errors.As(err, &f) && f.usage {
		return exitUsage
	}
	return exitFailure
}

func dispatch(ctx context.Context, con *console, args []string) error {
	if len(args) == 0 {
		return misuse("\"gatehouse help\" lists the commands", "no command given")
	}
	name, rest := args[0], args[1:]
	switch name {
	case "help", "-h", "-help", "--help":
		return help(con, rest)
	case "-version", "--version":
		name = versionCommand.name
	}
	cmd, err := lookup(name)
	if err != nil {
		return err
	}
	err = cmd.run(ctx, con, rest)
	if errors.Is(err, flag.ErrHelp) {
		return con.print(cmd.help)
	}
	return err
}

// help answers "gatehouse help" and "gatehouse help NAME".
func help(con *console, args []string) error {
	switch len(args) {
	case 0:
		return con.print(overview())
	case 1:
		cmd, err := lookup(args[0])
		if err != nil {
			return err
		}
		return con.print(cmd.help)
	}
	return misuse(`"gatehouse help call" explains one command`, "got %d arguments, want at most one command", len(args))
}

func overview() string {
	var b strings.Builder
	b.WriteString("gatehouse: OAuth sign-in for MCP servers\n\nusage: gatehouse COMMAND [arguments]\n\ncommands:\n")
	for _, cmd := range commands {
		fmt.Fprintf(&b, "  %-9s %s\n", cmd.name, cmd.summary)
	}
	b.WriteString("\n\"gatehouse help COMMAND\" explains one.\n")
	return b.String()
}

func lookup(name string) (command, error) {
	names := make([]string, len(commands))
	for i, cmd := range commands {
		if cmd.name == name {
			return cmd, nil
		}
		names[i] = cmd.name
	}
	hint := `"gatehouse help" lists the commands`
	if near := nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", "gatehouse "+near)
	}
	return command{}, misuse(hint, "unknown command %q", name)
}
