package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// newFlagSet returns an empty flag set that leaves all printing to run.
func newFlagSet(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	return flags
}

// parse reads flags and positional arguments in any order, since people type
// both "call --json URL" and "call URL --json", and returns the positional ones.
// What follows "--" is positional. The error is [flag.ErrHelp] or a usage failure.
func parse(flags *flag.FlagSet, args []string) ([]string, error) {
	var verbatim []string
	if i := slices.Index(args, "--"); i >= 0 {
		args, verbatim = args[:i], args[i+1:]
	}
	var positional []string
	for {
		if err := flags.Parse(args); err != nil {
			return nil, badFlag(flags, err)
		}
		if flags.NArg() == 0 {
			return append(positional, verbatim...), nil
		}
		positional = append(positional, flags.Arg(0))
		args = flags.Args()[1:]
	}
}

func badFlag(flags *flag.FlagSet, err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	hint := fmt.Sprintf(`"gatehouse help %s" explains the flags`, flags.Name())
	problem, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !unknown {
		return misuse(hint, "%s", problem)
	}
	var names []string
	flags.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
	if near := nearest(problem, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", "--"+near)
	}
	return misuse(hint, "unknown flag %q", "--"+problem)
}
