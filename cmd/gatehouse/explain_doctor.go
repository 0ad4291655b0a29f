package main

import (
	"cmp"
	"context"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gatehouse-mcp/gatehouse/diagnose"
)

// tokenFlags are the flags with which "gatehouse doctor" explains a token in addition to its
// checks. The token is sent nowhere.
type tokenFlags struct {
	file  string
	stdin string // "-", or empty
}

func (o *tokenFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&o.file, "token-file", "", "explain the token in `FILE` too, as \"gatehouse explain\" does;\nit is not sent")
	flags.StringVar(&o.stdin, "token", "", "read that token from standard input; \"-\" is the only value")
}

// check reports a token on the command line, without printing it.
func (o *tokenFlags) check() error {
	switch {
	case isTokenInFileFlag(o.file), o.stdin != "" && o.stdin != "-":
		return errTokenArgument()
	case o.file != "" && o.stdin != "":
		return newUsageError("leave one of them out", "--token and --token-file, want one source of a token")
	}
	return nil
}

// given reports whether there is a token to explain.
func (o *tokenFlags) given() bool { return o.file != "" || o.stdin != "" }

// read reads the text. The caller does so once, however many targets it is compared with.
func (o *tokenFlags) read(ctx context.Context, con *console) ([]byte, error) {
	con.Begin("reading the token")
	if o.stdin != "" {
		return readToken(ctx, con, o.stdin)
	}
	return readToken(ctx, con, o.file)
}

// explainFor adds the findings about the token to the report on a target. The query of the target
// is a part of the resource, but may be a secret: it is used, and not printed.
func explainFor(ctx context.Context, report *diagnose.Report, text []byte, target string) {
	cfg := diagnose.TokenConfig{Text: text, FetchKeys: true}
	target = cmp.Or(target, report.Target)
	var err error
	switch {
	case target == "":
		cfg.Server, _, err = diagnose.ServerOfEnvironment()
	case len(report.Clients) > 0:
		cfg.Target = target
	default:
		cfg.Server.Provider = diagnose.ProviderOf(target)
	}
	var explained *diagnose.TokenReport
	if err == nil {
		explained, err = diagnose.Token(ctx, cfg)
	}
	if err != nil {
		report.Findings = append(report.Findings, diagnose.Finding{
			ID: "token", Level: diagnose.Unchecked, Title: "Not checked: the token", Evidence: withoutQueryOf(target, err.Error()),
			Fix: `correct what is wrong with the target, or run "gatehouse explain" without one`,
		})
		return
	}
	for _, f := range explained.Findings {
		for _, text := range []*string{&f.Title, &f.Evidence, &f.Consequence, &f.Fix} {
			*text = withoutQueryOf(target, *text)
		}
		report.Findings = append(report.Findings, f)
	}
}

// withoutQueryOf returns text without the query of a target, as the report has it.
func withoutQueryOf(target, text string) string {
	_, query, _ := strings.Cut(target, "?")
	if query == "" {
		return text
	}
	return strings.ReplaceAll(text, "?"+query, "?[redacted]")
}
