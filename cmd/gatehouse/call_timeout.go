package main

import (
	"context"
	"errors"
	"time"
)

// errNoAnswer is the cause of a context that an answerTimeout ended.
var errNoAnswer = errors.New("no answer")

// answerTimeout bounds how long the server may take to answer. The time in which the
// user signs in does not count.
type answerTimeout struct {
	limit  time.Duration
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

// withAnswerTimeout returns a context that ends with errNoAnswer after limit.
func withAnswerTimeout(ctx context.Context, limit time.Duration) (context.Context, *answerTimeout) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(limit, func() { cancel(errNoAnswer) })
	return ctx, &answerTimeout{limit: limit, timer: timer, cancel: cancel}
}

// suspend stops the timer. resume starts it again with the whole limit.
func (t *answerTimeout) suspend() (resume func()) {
	t.timer.Stop()
	return func() { t.timer.Reset(t.limit) }
}

// stop releases the timer and ends the context.
func (t *answerTimeout) stop() {
	t.timer.Stop()
	t.cancel(context.Canceled)
}
