// Command gatehouse helps to build and to try MCP servers with OAuth sign-in.
//
//	gatehouse dev              run a local Clerk and an MCP server that uses it
//	gatehouse clerk            run only a local Clerk
//	gatehouse gateway          put sign-in in front of an MCP server in any language
//	gatehouse call URL TOOL    call a tool, signing in if the server asks for it
//	gatehouse doctor TARGET    find out why clients cannot sign in, and what to change
//	gatehouse explain          say what a token is and why a server rejects it
//	gatehouse revoke           shut a user, a session or a client out of all gateways
//	gatehouse health           ask a running gateway whether it is ready
//	gatehouse version          print the versions of this program and its parts
//	gatehouse completion       print a completion script for your shell
//
// "gatehouse help" lists the commands, and "gatehouse help call" explains one. Data
// is written to standard output, everything else to standard error. The exit status is
// 0 for success, 1 for a failure, 2 for wrong usage and 130 after Ctrl-C.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
)

// The exit statuses of the program.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitInterrupted = 130 // 128 + SIGINT, as in shells
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(run(ctx, newConsole(), os.Args[1:]))
}

// run runs the program and returns its exit status.
func run(ctx context.Context, con *console, args []string) int {
	err := execute(ctx, con, args)
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil {
		con.reportError(fmt.Errorf("interrupted while %s", con.currentActivity()))
		return exitInterrupted
	}
	if errors.Is(err, errFindings) {
		return exitFailure
	}
	con.reportError(err)
	if usage := (*usageError)(nil); errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailure
}

// usageError is an error in the command line, as opposed to a failure of the command.
type usageError struct{ failure *failure.Error }

func (e *usageError) Error() string { return e.failure.Error() }

func (e *usageError) Unwrap() error { return e.failure }

// newUsageError returns a usageError. Its parameters are those of [failure.New].
func newUsageError(hint, format string, args ...any) error {
	return &usageError{failure.New(hint, format, args...)}
}

func execute(ctx context.Context, con *console, args []string) error {
	if len(args) == 0 {
		return newUsageError(`"gatehouse help" lists the commands`, "no command given")
	}
	root := newRootCommand(con)
	if err := checkCommand(root, args); err != nil {
		return err
	}
	root.SetArgs(args)
	return root.ExecuteContext(ctx)
}

func newRootCommand(con *console) *cobra.Command {
	info := readVersions()
	root := &cobra.Command{
		Use:   "gatehouse",
		Short: "OAuth sign-in for MCP servers",
		Long: `Gatehouse adds OAuth sign-in to MCP servers. "gatehouse dev" runs a complete example on
this machine, without an account; "gatehouse gateway" puts sign-in in front of an MCP server
in any language; "gatehouse doctor" says why a client cannot sign in.`,
		Version:       info.Gatehouse,
		SilenceErrors: true, // run prints them
		SilenceUsage:  true,
	}
	root.SetVersionTemplate(info.String())
	root.Flags().Bool("version", false, "print the versions of this program and its parts")
	root.SetIn(con.stdin)
	root.SetOut(con.stdout)
	root.SetErr(con.stderr)
	root.SetFlagErrorFunc(explainFlagError)
	root.AddCommand(newDevCommand(con), newClerkCommand(con), newGatewayCommand(con), newCallCommand(con), newDoctorCommand(con),
		newExplainCommand(con), newRevokeCommand(con), newHealthCommand(con), newVersionCommand(con))
	root.SetHelpCommand(newHelpCommand(root))
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	return root
}

func newHelpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:                   "help [COMMAND]",
		Short:                 "Explain a command",
		Long:                  "Print the help of a command, or the list of commands.",
		DisableFlagsInUseLine: true,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			var names []cobra.Completion
			for _, cmd := range root.Commands() {
				names = append(names, cobra.CompletionWithDesc(cmd.Name(), cmd.Short))
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkCommand(root, args); err != nil {
				return err
			}
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return newUsageError(`"gatehouse help call" explains one command`, "got %d arguments, want at most one command", len(args))
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
	}
}

// checkCommand returns a usageError if the command line names a command that does not
// exist. It runs before the flags are parsed, so that a misspelt command is not
// reported as an unknown flag.
func checkCommand(cmd *cobra.Command, args []string) error {
	for cmd.HasSubCommands() {
		i := slices.IndexFunc(args, func(arg string) bool { return !strings.HasPrefix(arg, "-") })
		if i < 0 || args[i] == cobra.ShellCompRequestCmd || args[i] == cobra.ShellCompNoDescRequestCmd {
			return nil
		}
		var names []string
		var next *cobra.Command
		for _, sub := range cmd.Commands() {
			names = append(names, sub.Name())
			if sub.Name() == args[i] {
				next = sub
			}
		}
		if next == nil {
			hint := fmt.Sprintf(`"%s --help" lists the commands`, cmd.CommandPath())
			if name := nearestName(args[i], names); name != "" {
				hint = fmt.Sprintf("did you mean %q?", cmd.CommandPath()+" "+name)
			}
			return newUsageError(hint, "unknown command %q", args[i])
		}
		cmd, args = next, args[i+1:]
	}
	return nil
}

// flagKinds says what a flag of each type that can be invalid accepts.
var flagKinds = map[string]string{"int": "a number", "duration": `a duration such as "90s"`, "bool": "true or false"}

// explainFlagError turns an error of the flag parser into a usageError with a hint.
func explainFlagError(cmd *cobra.Command, err error) error {
	hint := fmt.Sprintf(`"%s --help" explains the flags`, cmd.CommandPath())
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		flag := invalid.GetFlag()
		return newUsageError(hint, "--%s %q is not %s", flag.Name, invalid.GetValue(), flagKinds[flag.Value.Type()])
	}
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return newUsageError(hint, "%w", err)
	}
	name, typed := unknown.GetSpecifiedName(), "--"+unknown.GetSpecifiedName()
	if letters := unknown.GetSpecifiedShortnames(); letters != "" {
		name, typed = letters, "-"+letters
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := nearestName(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", "--"+near)
	}
	return newUsageError(hint, "unknown flag %q", typed)
}

// maxTypos is how many letters a name may differ from the name that is suggested.
const maxTypos = 2

// nearestName returns the candidate that the user most likely meant, or "" if none is
// similar. It uses the suggestions of cobra, which exist only for commands.
func nearestName(name string, candidates []string) string {
	if name == "" {
		return "" // it would be a prefix of every name
	}
	parent := &cobra.Command{}
	for _, candidate := range candidates {
		parent.AddCommand(&cobra.Command{Use: candidate, Run: func(*cobra.Command, []string) {}})
	}
	for typos := range maxTypos + 1 {
		parent.SuggestionsMinimumDistance = typos
		if suggestions := parent.SuggestionsFor(name); len(suggestions) > 0 {
			return suggestions[0]
		}
	}
	return ""
}
