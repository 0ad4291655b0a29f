package remote

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
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

// hint returns what to do about the failure, for the log, or "" if Err says it.
func (e *FetchError) hint() string {
	switch e.Class {
	case Network:
		return networkHint(e.Err)
	case Timeout:
		return reachHint
	case Redirect, NotJSON:
		return "check the issuer in the configuration, and whether a login page or a proxy answers in its place"
	case NotFound:
		return "check the issuer in the configuration, character by character; many issuers have a path, such as /realms/NAME of Keycloak"
	case Status:
		return "check the status page of the provider, and whether it rejects requests from this machine"
	}
	return ""
}

const reachHint = "check the issuer in the configuration, and from this machine that it can be reached: DNS, proxy, firewall"

func networkHint(err error) string {
	var unknown x509.UnknownAuthorityError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &unknown):
		return "if the certificate is from an authority of your own, add that to the authorities of this machine, " +
			"or name a file with its certificate in the environment variable SSL_CERT_FILE"
	case errors.As(err, &certificate):
		return "correct the certificate of the issuer, or the host of the issuer in the configuration"
	case errors.Is(err, http.ErrSchemeMismatch):
		return "the server speaks http: if it listens on this machine, write http:// in the configuration; otherwise correct the port"
	}
	return reachHint
}

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

// Logged returns true: the document has logged why it is unavailable. So one that is located with
// it does not log the same again.
func (e *UnavailableError) Logged() bool { return true }

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
