package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/diagnose"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

const (
	maxTargets     = 20
	doctorHelpHint = `"gatehouse help doctor" explains the command`
)

// errFindings means that the report has a fault. The report says everything, so the error is
// not printed.
var errFindings = errors.New("the report has a fault")

// doctorOptions is the command line of "gatehouse doctor".
type doctorOptions struct {
	targets []string

	json, verbose                  bool
	timeout, requestTimeout, hold  time.Duration
	origin                         string
	secretKeyFile, sendTokenFile   string
	signIn, yes, noBrowser         bool
	user, org, clientID, clientKey string
	scope                          string
	explain                        tokenFlags
}

func newDoctorCommand(con *console) *cobra.Command {
	var options doctorOptions
	cmd := &cobra.Command{
		Use:   "doctor [TARGET...]",
		Short: "Find out why clients cannot sign in to a server, and what to change",
		Long: `Check what MCP clients meet on their way to a sign-in, and print for each problem what was
seen, what clients make of it, and the setting or the line to write.

A TARGET is the URL of an MCP endpoint, as users type it; the Frontend API URL or the
publishable key of a Clerk instance; or the issuer of any provider. Without a TARGET, the
settings in the environment and in a .env file are checked as a server reads them.

Nothing is changed, no client is registered and no secret is needed. With the secret key
of a Clerk instance, in CLERK_SECRET_KEY or in a file, its settings are checked too. With
--sign-in, a new client registers and signs in, and is removed afterwards as far as the
provider allows.

The exit status is 0 if there is no fault, 1 if there is one, and 2 for wrong usage.`,
		Example: `  gatehouse doctor https://mcp.example.com/mcp
  gatehouse doctor https://verb-noun-42.clerk.accounts.dev
  gatehouse doctor
  gatehouse doctor --json https://mcp.example.com/mcp
  gatehouse doctor --sign-in http://localhost:3000/mcp`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			options.targets = args
			if err := options.check(); err != nil {
				return err
			}
			return runDoctor(cmd.Context(), con, &options)
		},
	}
	options.addFlags(cmd.Flags())
	for _, name := range []string{"timeout", "request-timeout", "stream", "origin", "user", "org", "client-id", "scope"} {
		cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	return cmd
}

func (o *doctorOptions) addFlags(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.BoolVar(&o.json, "json", false, "print the report as JSON, one object for each target")
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "print what was seen for passed checks too")
	flags.DurationVar(&o.timeout, "timeout", diagnose.DefaultTimeout, "check each target for at most `DURATION`")
	flags.DurationVar(&o.requestTimeout, "request-timeout", diagnose.DefaultRequestTimeout,
		"wait at most `DURATION` for one answer")
	flags.StringVar(&o.origin, "origin", "",
		"check what a web page of this `ORIGIN` needs (CORS),\nlike https://app.example.com")
	flags.StringVar(&o.secretKeyFile, "secret-key-file", "",
		"read the secret key of the Clerk instance from `FILE`\n(default CLERK_SECRET_KEY)")
	flags.StringVar(&o.sendTokenFile, "send-token-file", "",
		"send the access token in `FILE` to the endpoint, for the\nchecks that need one: revisions, sessions, streams")
	flags.DurationVar(&o.hold, "stream", 0,
		"with a token: hold an event stream open for `DURATION`,\nto see whether a proxy cuts it")
	o.explain.add(flags)
	flags.BoolVar(&o.signIn, "sign-in", false, "register a client and sign in, as a new client does;\nasks before it registers")
	flags.BoolVar(&o.yes, "yes", false, "with --sign-in: do not ask")
	flags.BoolVar(&o.noBrowser, "no-browser", false, "with --sign-in: print the sign-in link")
	flags.StringVar(&o.user, "user", "", "with --sign-in: sign in as user `NAME` of a local Clerk")
	flags.StringVar(&o.org, "org", "", "with --user: the organization to choose, by `ID` or slug")
	flags.StringVar(&o.clientID, "client-id", "", "with --sign-in: use the client `ID` and register none")
	flags.StringVar(&o.clientKey, "client-secret-file", "", "with --client-id: read its secret from `FILE`")
	flags.StringVar(&o.scope, "scope", "", "with --sign-in: request these `SCOPES` too")
}

// check reports what is out of range or contradictory.
func (o *doctorOptions) check() error {
	if err := o.explain.check(); err != nil {
		return err
	}
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{{"timeout", o.timeout}, {"request-timeout", o.requestTimeout}} {
		if d.value <= 0 {
			return newUsageError("write it like 10s or 2m", "--%s is %s, want more than 0", d.flag, d.value)
		}
	}
	switch {
	case len(o.targets) > maxTargets:
		return newUsageError("check them in several runs", "got %d targets, want at most %d", len(o.targets), maxTargets)
	case o.hold < 0:
		return newUsageError("write it like 90s", "--stream is %s, want 0 or more", o.hold)
	case o.signIn && len(o.targets) != 1:
		return newUsageError("pass the URL of one MCP endpoint", "--sign-in with %d targets, want one", len(o.targets))
	case o.signIn && o.sendTokenFile != "":
		return newUsageError("leave one of them out", "--sign-in and --send-token-file, want one source of a token")
	case o.org != "" && o.user == "":
		return newUsageError("--org needs --user; in the browser, the consent page asks for the organization",
			"--org without --user")
	case o.clientKey != "" && o.clientID == "":
		return newUsageError("pass the ID of the client with --client-id", "--client-secret-file without --client-id")
	}
	for _, needed := range []struct {
		flag string
		set  bool
	}{{"yes", o.yes}, {"no-browser", o.noBrowser}, {"user", o.user != ""}, {"client-id", o.clientID != ""}, {"scope",
		o.scope != ""}} {
		if needed.set && !o.signIn {
			return newUsageError(doctorHelpHint, "--%s without --sign-in", needed.flag)
		}
	}
	if o.origin != "" {
		if err := wellknown.Origin(o.origin); err != nil {
			return newUsageError("write it like https://app.example.com", "--origin %q %w", o.origin, err)
		}
	}
	return nil
}

// config returns the configuration of the run.
func (o *doctorOptions) config(con *console) (diagnose.Config, error) {
	cfg := diagnose.Config{
		RequestTimeout: o.requestTimeout,
		Timeout:        o.timeout,
		Progress:       con.progress,
		Origin:         o.origin,
		Stream:         o.hold,
	}
	settings, err := env.Load(".")
	if err == nil { // a broken .env file is a finding of the run without a target
		settings.Environment = func(name string) (string, bool) { return con.getenv(name), true }
		cfg.ClerkSecretKey = gatehouse.Secret(settings.Get("CLERK_SECRET_KEY"))
		cfg.ClerkAPIURL = settings.Get("CLERK_API_URL")
	}
	if o.secretKeyFile != "" {
		key, err := readSecretFile(o.secretKeyFile, "the secret key")
		if err != nil {
			return cfg, err
		}
		cfg.ClerkSecretKey = gatehouse.Secret(key)
	}
	if o.sendTokenFile != "" {
		token, err := readTokenFile(con.stdin, o.sendTokenFile)
		if err != nil {
			return cfg, err
		}
		cfg.Token = gatehouse.Secret(token)
	}
	return cfg, nil
}

const maxTokenFile = 64 << 10 // bytes

// readTokenFile reads an access token from a file, or from stdin if its name is "-".
func readTokenFile(stdin io.Reader, name string) (string, error) {
	reader := stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return "", fmt.Errorf("reading the token: %w", err)
		}
		defer file.Close()
		reader = file
	}
	data, err := io.ReadAll(io.LimitReader(reader, maxTokenFile+1))
	if err != nil {
		return "", fmt.Errorf("reading the token: %w", err)
	}
	token := strings.TrimSpace(string(data))
	token = strings.TrimSpace(strings.TrimPrefix(token, "Bearer "))
	if token == "" || len(data) > maxTokenFile || strings.ContainsFunc(token,
		func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", failure.New("write only the token into it", "token file %q does not have one token of at most %d bytes",
			name, maxTokenFile)
	}
	return token, nil
}

func runDoctor(ctx context.Context, con *console, options *doctorOptions) error {
	con.verbose = options.verbose
	cfg, err := options.config(con)
	if err != nil {
		return err
	}
	targets := options.targets
	if len(targets) == 0 {
		targets = []string{""}
	}
	var token []byte
	if options.explain.given() {
		if token, err = options.explain.read(ctx, con); err != nil {
			return err
		}
	}
	faults := false
	for i, target := range targets {
		report, err := options.examine(ctx, con, cfg, target)
		if err != nil {
			return err
		}
		if options.explain.given() {
			explainFor(ctx, report, token, target)
		}
		faults = faults || report.Count(diagnose.Fault) > 0
		if err := options.print(con, report, i == 0); err != nil {
			return err
		}
	}
	if faults {
		return errFindings
	}
	return nil
}

// examine checks one target.
func (o *doctorOptions) examine(ctx context.Context, con *console, cfg diagnose.Config, target string) (*diagnose.Report,
	error) {
	con.Begin("checking " + wellknown.Redacted(target))
	report, err := diagnose.Run(ctx, cfg, target)
	if err == nil && o.signIn {
		report, err = o.checkSignIn(ctx, con, cfg, report)
	}
	con.endProgress()
	var wrong *diagnose.TargetError
	switch {
	case errors.As(err, &wrong):
		return nil, newUsageError(wrong.Fix, "%s", wrong.Problem)
	case err != nil:
		return nil, err
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return report, nil
}

func (o *doctorOptions) print(con *console, report *diagnose.Report, first bool) error {
	if o.json {
		return con.printJSON(report)
	}
	text := describeReport(report, o.verbose, con.stdoutColor())
	if !first {
		text = "\n" + text
	}
	return con.printColored(text)
}
