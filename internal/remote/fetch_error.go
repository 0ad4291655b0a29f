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
	BadURL   Class = "bad_url"   // the URL is invalid, or Locate failed
	Network  Class = "network"   // no complete response: DNS, connection, TLS, a body that breaks off
	Timeout  Class = "timeout"   // no complete response within Timeout
	Redirect Class = "redirect"  // to another origin, or too many
	NotFound Class = "not_found" // status 404: this issuer has no such document
	Status   Class = "status"    // any other status but 200
	TooLarge Class = "too_large" // more than MaxBytes
	NotJSON  Class = "not_json"  // the body is not one JSON object in UTF-8
	Rejected Class = "rejected"  // Accept returned an error
	Closed   Class = "closed"    // the document was closed during the fetch
)

// ErrTooSoon is wrapped by an [*UnavailableError] if the current copy is as new as
// MinInterval permits.
var ErrTooSoon = errors.New("fetched a moment ago")

var (
	errClosed = errors.New("document is closed")
	errBusy   = errors.New("too many callers are waiting for the running fetch")
)

// FetchError is the reason why a fetch returned no new copy.
type FetchError struct {
	Class Class
	URL   string // that was fetched; the document's own URL if Locate failed
	Err   error

	// RetryAfter is the Retry-After of the response (RFC 9110 section 10.2.3), at
	// most one minute; 0 if it had none.
	RetryAfter time.Duration
}

func (e *FetchError) Error() string { return fmt.Sprintf("GET %q: %v", e.URL, e.Err) }

func (e *FetchError) Unwrap() error { return e.Err }

// UnavailableError means that there is no copy to return now. Its text is for logs
// only.
type UnavailableError struct {
	After time.Duration // when to try again; positive
	Err   error
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("%v; try again in %s", e.Err, e.After.Round(time.Millisecond))
}

func (e *UnavailableError) Unwrap() error { return e.Err }

// RetryAfter returns After. With it, a caller that does not import this package can
// get the time with errors.As.
func (e *UnavailableError) RetryAfter() time.Duration { return e.After }

// ClassOf returns the class of the [*FetchError] that err wraps, or "".
func ClassOf(err error) Class {
	var fe *FetchError
	if errors.As(err, &fe) {
		return fe.Class
	}
	return ""
}
