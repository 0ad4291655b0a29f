package remote

import (
	"errors"
	"fmt"
	"time"
)

// Class is the kind of a failed fetch, for logs, metrics and diagnosis.
type Class string

// The classes.
const (
	BadURL   Class = "bad_url"   // the URL is not one to fetch from, or could not be located
	Network  Class = "network"   // no answer: DNS, connection, TLS, a body cut short
	Timeout  Class = "timeout"   // no whole answer within Timeout
	Redirect Class = "redirect"  // to another origin, or too many
	NotFound Class = "not_found" // status 404: this issuer has no such document
	Status   Class = "status"    // any other status but 200
	TooLarge Class = "too_large" // more than MaxBytes
	NotJSON  Class = "not_json"  // the body is not one JSON object in UTF-8
	Refused  Class = "refused"   // Accept refused it
	Closed   Class = "closed"    // the document was closed meanwhile
)

// ErrTooSoon is wrapped by an [*UnavailableError] when the copy at hand is as
// new as MinInterval permits.
var ErrTooSoon = errors.New("fetched a moment ago")

var (
	errClosed = errors.New("document is closed")
	errBusy   = errors.New("too many callers wait for the fetch under way")
)

// FetchError says why one fetch brought no new copy.
type FetchError struct {
	Class Class
	URL   string // fetched from; the document's own URL if it could not be located
	Err   error

	// RetryAfter is what the issuer asked for (RFC 9110 section 10.2.3),
	// bounded; 0 if it did not.
	RetryAfter time.Duration
}

func (e *FetchError) Error() string { return fmt.Sprintf("GET %q: %v", e.URL, e.Err) }

func (e *FetchError) Unwrap() error { return e.Err }

// UnavailableError says that there is no copy to serve now. Its text is for
// logs only.
type UnavailableError struct {
	After time.Duration // when to ask again; positive
	Err   error
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("%v; ask again in %s", e.Err, e.After.Round(time.Millisecond))
}

func (e *UnavailableError) Unwrap() error { return e.Err }

// RetryAfter returns After. It lets a caller that does not know this package
// find the time with errors.As.
func (e *UnavailableError) RetryAfter() time.Duration { return e.After }

// ClassOf returns the class of the [*FetchError] that err wraps, or "".
func ClassOf(err error) Class {
	var fe *FetchError
	if errors.As(err, &fe) {
		return fe.Class
	}
	return ""
}
