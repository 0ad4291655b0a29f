package main

import "fmt"

// failure is an error together with the next step of the person who meets it.
type failure struct {
	problem string
	hint    string
	usage   bool  // the command line is wrong, rather than the world
	cause   error // may be nil
}

// fail returns a failure. The problem is format and args, one line; hint is what
// to do next. An error wrapped with %w stays reachable.
func fail(hint, format string, args ...any) *failure {
	err := fmt.Errorf(format, args...)
	return &failure{problem: err.Error(), hint: hint, cause: err}
}

// misuse returns a failure of the command line.
func misuse(hint, format string, args ...any) *failure {
	f := fail(hint, format, args...)
	f.usage = true
	return f
}

func (f *failure) Error() string { return f.problem }

func (f *failure) Unwrap() error { return f.cause }
