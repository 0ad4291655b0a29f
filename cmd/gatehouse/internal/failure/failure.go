// Package failure describes errors together with the user's next step.
package failure

import "fmt"

// Error is an error with a hint for the user. The program prints both.
type Error struct {
	Problem string // what failed, one line
	Hint    string // what to do next
	cause   error  // may be nil
}

// New returns an Error whose problem is formatted from format and args. An error
// that format wraps with %w is reachable with [errors.Is] and [errors.As].
func New(hint, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Problem: err.Error(), Hint: hint, cause: err}
}

// Error returns the problem without the hint.
func (e *Error) Error() string { return e.Problem }

// Unwrap returns the error that New formatted.
func (e *Error) Unwrap() error { return e.cause }
