package main

import (
	"context"
	"time"
)

// clock bounds how long the server may take, without the time in which a person
// signs in.
type clock struct {
	limit  time.Duration
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

// startClock returns a context that ends with errNoAnswer when the limit is over.
func startClock(ctx context.Context, limit time.Duration) (context.Context, *clock) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(limit, func() { cancel(errNoAnswer) })
	return ctx, &clock{limit: limit, timer: timer, cancel: cancel}
}

// pause stops the clock; resume starts it anew.
func (c *clock) pause() (resume func()) {
	c.timer.Stop()
	return func() { c.timer.Reset(c.limit) }
}

func (c *clock) stop() {
	c.timer.Stop()
	c.cancel(context.Canceled)
}
