package signin

import (
	"context"
	"time"
)

// UI is how a sign-in talks to the user. Its methods may be called concurrently.
type UI interface {
	// Note prints one line.
	Note(format string, args ...any)

	// Step prints one line about the flow, if the user asked for such lines.
	Step(format string, args ...any)

	// Begin sets the activity that is reported if the user interrupts the program.
	Begin(activity string)

	// OpenBrowser shows url in a browser. The error says why no browser could be
	// started.
	OpenBrowser(url string) error

	// Countdown shows what the program waits for, and how much is left of limit, until
	// ctx ends.
	Countdown(ctx context.Context, what string, limit time.Duration)
}
