package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/diagnose"
	"github.com/gatehouse-mcp/gatehouse/internal/token"
)

// explainOptions is the command line of "gatehouse explain".
type explainOptions struct {
	tokenFile                string
	target, issuer, resource string
	keys, introspect, json   bool
}

const explainHint = `"gatehouse help explain" explains the command`

func newExplainCommand(con *console) *cobra.Command {
	var options explainOptions
	cmd := &cobra.Command{
		Use:   "explain [-]",
		Short: "Explain a token: what it is, what it contains, and why a server rejects it",
		Long: `Read a token from a file or from standard input, and print what kind it is, what it
contains, and what each rule of the server makes of it, with the first problem and its fix.
The signature of the token is never printed.

Never paste a token as an argument: it would be in the history of your shell, and every
program on this machine could read it. Write it into a file that only you can read, or pipe
it. The text may be the whole answer of a token endpoint, or have quotes or "Bearer " around it.

The rules are those of the server at --target, as its metadata names them; otherwise those of
the server that the environment and a .env file configure; otherwise those of --issuer and
--resource; otherwise those of the provider that the token itself names. The token is sent
nowhere, unless --introspect says so.`,
		Example: `  gatehouse explain --token-file token.txt
  gatehouse explain --target https://mcp.example.com/mcp --token-file token.txt
  pbpaste | gatehouse explain -`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := options.readArgs(args); err != nil {
				return err
			}
			return runExplain(cmd.Context(), con, &options)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&options.tokenFile, "token-file", "", `read the token from `+"`FILE`"+`, or from standard input if it is "-"`)
	flags.StringVar(&options.target, "target", "", "compare with what the metadata of the MCP endpoint `URL` says,\nand fetch the keys of its issuer")
	flags.StringVar(&options.issuer, "issuer", "", "compare with the issuer `URL`")
	flags.StringVar(&options.resource, "resource", "", "compare the audience with the MCP endpoint `URL`, without asking it")
	flags.BoolVar(&options.keys, "keys", false, "fetch the keys of the issuer and check the signature")
	flags.BoolVar(&options.introspect, "introspect", false, "send an opaque token to the provider, if the server would")
	flags.BoolVar(&options.json, "json", false, "print one JSON object")
	for _, name := range []string{"target", "issuer", "resource"} {
		cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	return cmd
}

// jwtShape matches a JWT, or the beginning of one.
var jwtShape = regexp.MustCompile(`^eyJ[A-Za-z0-9_-]{8,}`)

// isTokenText reports whether an argument is a token or a key, which must not be printed.
func isTokenText(arg string) bool {
	arg = strings.Trim(arg, `"' `)
	const long = 80 // characters without a slash, which a file name does not have
	return jwtShape.MatchString(arg) || token.HasKeyPrefix(arg) || strings.HasPrefix(strings.ToLower(arg), "bearer ") ||
		strings.Count(arg, ".") == 2 && len(arg) > long || len(arg) > long && !strings.ContainsAny(arg, "/.\\ ")
}

// isTokenInFileFlag reports whether the value of --token-file is a token, and not the name of a file.
func isTokenInFileFlag(file string) bool {
	if !isTokenText(file) {
		return false
	}
	_, err := os.Stat(file)
	return err != nil
}

// errTokenArgument is the error for a token on the command line. It does not contain the token.
func errTokenArgument() error {
	return newUsageError(`write it into a file and pass --token-file FILE, or pipe it: gatehouse explain - <token.txt`+
		`; remove it from the history of your shell, and sign out to make it worthless`,
		"got a token as an argument, where other programs and the history of the shell can read it")
}

// readArgs reads the positional arguments and checks the flags.
func (o *explainOptions) readArgs(args []string) error {
	for _, text := range append([]string{o.target, o.issuer, o.resource}, args...) {
		if isTokenText(text) {
			return errTokenArgument()
		}
	}
	switch {
	case isTokenInFileFlag(o.tokenFile):
		return errTokenArgument()
	case len(args) > 1 || len(args) == 1 && args[0] != "-" && !strings.Contains(args[0], "://"):
		return newUsageError(`pass --token-file FILE, or "-" to read standard input`, "got %d arguments, want at most \"-\"", len(args))
	case len(args) == 1 && args[0] != "-":
		return newUsageError("pass the URL of the server with --target, and the token with --token-file", "got a URL as an argument")
	case len(args) == 1 && o.tokenFile != "" && o.tokenFile != "-":
		return newUsageError(explainHint, `got "-" in addition to --token-file`)
	case o.target != "" && (o.issuer != "" || o.resource != ""):
		return newUsageError("the metadata of the target names both", "--target in addition to --issuer or --resource")
	}
	if len(args) == 1 {
		o.tokenFile = "-"
	}
	return nil
}

func runExplain(ctx context.Context, con *console, options *explainOptions) error {
	con.Begin("reading the token")
	text, err := readToken(ctx, con, options.tokenFile)
	if err != nil {
		return err
	}
	cfg, err := options.tokenConfig(con, text)
	if err != nil {
		return err
	}
	con.Begin("explaining the token")
	report, err := diagnose.Token(ctx, cfg)
	if err != nil {
		return explainFailure(options, err)
	}
	if err := printExplanation(con, options, report); err != nil {
		return err
	}
	if first := firstFault(report.Findings); first != nil {
		return errFindings
	}
	return nil
}

// explainFailure returns the error of a server that cannot be compared with.
func explainFailure(options *explainOptions, err error) error {
	var fault *gatehouse.ConfigError
	switch {
	case options.target != "":
		return failure.New(fmt.Sprintf(`"gatehouse doctor %s" explains what is wrong with the server; leave --target out to explain the token alone`,
			options.target), "%w", err)
	case errors.As(err, &fault):
		return failure.New("correct the setting, or run in another directory to explain the token alone", "%w", err)
	}
	return err
}

// tokenConfig returns what the token is compared with.
func (o *explainOptions) tokenConfig(con *console, text []byte) (diagnose.TokenConfig, error) {
	cfg := diagnose.TokenConfig{Text: text, Target: o.target, FetchKeys: o.keys, Introspect: o.introspect}
	if o.target != "" {
		if _, err := parseURL(o.target); err != nil {
			return cfg, err
		}
		return cfg, nil
	}
	if o.issuer == "" {
		server, variable, err := diagnose.ServerOfEnvironment()
		if err != nil {
			return cfg, err
		}
		if variable != "" {
			con.Note("comparing with the server that %s configures", variable)
		}
		cfg.Server = server
	} else {
		cfg.Server.Provider = diagnose.ProviderOf(o.issuer)
	}
	cfg.Server.Resource = cmp.Or(o.resource, cfg.Server.Resource)
	return cfg, nil
}

// readToken reads the text of the file, or of standard input.
func readToken(ctx context.Context, con *console, file string) ([]byte, error) {
	if file == "" && con.stdinIsTerminal() {
		return nil, newUsageError(`pass --token-file FILE, or "-" to read standard input`, "no token given")
	}
	if file == "" || file == "-" {
		return readTokenFrom(ctx, con.stdin, "standard input")
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, failure.New(`pass --token-file FILE, or "-" to read standard input`, "reading the token: %w", err)
	}
	defer f.Close()
	return readTokenFrom(ctx, f, file)
}

// readTokenFrom reads r to its end. It returns early if ctx ends.
func readTokenFrom(ctx context.Context, r io.Reader, name string) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	read := make(chan result, 1)
	go func() {
		data, err := io.ReadAll(io.LimitReader(r, diagnose.MaxTokenText+1))
		read <- result{data, err}
	}()
	select {
	case got := <-read:
		switch {
		case got.err != nil:
			return nil, fmt.Errorf("reading the token: %w", got.err)
		case len(got.data) > diagnose.MaxTokenText:
			return nil, failure.New("write only the token into it", "%s is longer than %d bytes, want one token", name, diagnose.MaxTokenText)
		}
		return got.data, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// stdinIsTerminal reports whether standard input is a terminal, so that nothing is piped.
func (c *console) stdinIsTerminal() bool {
	file, ok := c.stdin.(*os.File)
	return ok && isTerminal(file)
}

// explanation is the output of "gatehouse explain --json".
type explanation struct {
	Version int    `json:"version"`
	Target  string `json:"target"` // empty without --target
	*diagnose.TokenReport
}

func printExplanation(con *console, options *explainOptions, report *diagnose.TokenReport) error {
	if options.json {
		return con.printJSON(explanation{diagnose.Version, options.target, report})
	}
	return con.print(describeToken(report))
}

// describeToken formats a report for people. It begins with the first thing to fix.
func describeToken(r *diagnose.TokenReport) string {
	var b strings.Builder
	b.WriteString(tokenSummary(r) + "\n")
	if first := firstFault(r.Findings); first != nil && first.Fix != "" {
		writeWrapped(&b, "Fix: ", first.Fix)
	}
	writeMembers(&b, "Header", r.Header)
	writeMembers(&b, "Claims", r.Claims)
	title := "Checks"
	switch {
	case r.Provider != "" && r.Assumed:
		title += fmt.Sprintf(", with the rules for %s (chosen by the issuer; the server may have others)", r.Provider)
	case r.Provider != "":
		title += ", in the order of the server, with the rules for " + r.Provider
	}
	b.WriteString("\n" + title + "\n")
	for _, f := range r.Findings {
		writeFinding(&b, f)
	}
	return b.String()
}

// tokenSummary returns what the token is and what happens to it, in one or two sentences.
func tokenSummary(r *diagnose.TokenReport) string {
	first := firstFault(r.Findings)
	var text string
	for _, f := range r.Findings {
		if f.ID == "token.kind" {
			text = f.Title + "."
		}
	}
	switch {
	case r.Kind == "nothing":
		return text
	case r.Verdict == diagnose.Rejected:
		text += fmt.Sprintf(" The server rejects it with the reason %s.", r.Reason)
	case r.Verdict == diagnose.Accepted:
		text += " The server accepts it."
	default:
		text += " No rule that was checked rejects it; what was not checked is marked below."
	}
	if first != nil && first.ID != "token.kind" && r.Verdict != diagnose.Rejected {
		text = first.Title + ". " + text
	}
	return text
}

// firstFault returns the first fault, or nil if there is none.
func firstFault(findings []diagnose.Finding) *diagnose.Finding {
	for i := range findings {
		if findings[i].Level == diagnose.Fault {
			return &findings[i]
		}
	}
	return nil
}

// writeMembers writes a table of members.
func writeMembers(b *strings.Builder, title string, members []diagnose.TokenMember) {
	if len(members) == 0 {
		return
	}
	b.WriteString("\n" + title + "\n")
	width := 0
	const widest = 20
	for _, m := range members {
		width = max(width, min(utf8.RuneCountInString(m.Name), widest))
	}
	for _, m := range members {
		line := fmt.Sprintf("  %-*s  %s", width, m.Name, m.Value)
		if m.Words != "" {
			line += "  (" + m.Words + ")"
		}
		b.WriteString(line + "\n")
	}
}

// writeFinding writes one finding: a line if the check passed, and otherwise all it says.
func writeFinding(b *strings.Builder, f diagnose.Finding) {
	writeWrapped(b, fmt.Sprintf("  %-9s  ", f.Level), f.Title+": "+f.Evidence)
	const indent = "             "
	if f.Consequence != "" {
		writeWrapped(b, indent, f.Consequence)
	}
	if f.Fix != "" {
		writeWrapped(b, indent+"fix: ", f.Fix)
	}
}
