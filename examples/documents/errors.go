package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// modelError is an error whose text is for the model and its user. It says what to do, and has no details of
// the server, such as SQL, paths and addresses.
type modelError struct{ text string }

func (e *modelError) Error() string { return e.text }

func errForModel(format string, args ...any) error { return &modelError{fmt.Sprintf(format, args...)} }

var (
	// errNotFound is also for documents that the caller may not see, so that their IDs cannot be guessed.
	errNotFound = errForModel("there is no such document in this workspace; list_documents returns those that there are")
	errTimeout  = errForModel("it took too long and was stopped; try again, or ask for less")
	errInternal = errForModel("the server could not do this; try again later")
	errIdentity = errForModel("the request has no verified caller")
)

// forModel returns err if it is for the model. Of any other error, the details are for the log
// only, where operation says what failed.
func forModel(ctx context.Context, operation string, err error) error {
	var known *modelError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case ctx.Err() != nil:
		return errTimeout
	}
	slog.Error("operation failed", "operation", operation, "error", err)
	return errInternal
}

// logged returns err as an error for the model. Its text must be written for users; the log gets the
// details, if err has some.
func logged(operation string, err error) error {
	slog.Warn("operation failed", "operation", operation, "error", err)
	return &modelError{err.Error()}
}
