// Package endpoint sends one request to an endpoint of an identity provider that verifies
// tokens or describes users. The answer is bounded in size, redirects are not followed,
// because the request has a secret or a token, and plain http stays on this machine.
package endpoint

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/remote"
)

const (
	// MaxAnswer bounds an answer, in bytes.
	MaxAnswer = 512 << 10
	// defaultRetryAfter is for a 429 without a Retry-After header, and maxRetryAfter bounds
	// that header.
	defaultRetryAfter = 10 * time.Second
	maxRetryAfter     = time.Hour
)

// Client returns a client for [Send] with the transport of base, of which the rest is
// ignored. A nil base means http.DefaultTransport.
func Client(base *http.Client) *http.Client {
	var transport http.RoundTripper
	if base != nil {
		transport = base.Transport
	}
	return &http.Client{CheckRedirect: noRedirect, Transport: remote.Transport(transport)}
}

// noRedirect stops a client from sending a secret to the target of a redirect.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// StatusError is the error of an answer with another status than 200.
type StatusError struct {
	Status int
	After  time.Duration // that the endpoint asks to wait; 0 if it asks for no pause
	Body   []byte        // at most [MaxAnswer] bytes; some providers say there what is wrong
}

// Error returns the status.
func (e *StatusError) Error() string { return fmt.Sprintf("status %d, want 200", e.Status) }

// RetryAfter returns how long to wait before the next request.
func (e *StatusError) RetryAfter() time.Duration { return e.After }

// Send sends r, whose context must have a deadline, and returns the body of the answer. If its
// status is not 200, the error is a [*StatusError].
func Send(client *http.Client, r *http.Request) ([]byte, error) {
	r.Header.Set("Accept", "application/json")
	resp, err := client.Do(r)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	if resp.StatusCode != http.StatusOK {
		return nil, &StatusError{resp.StatusCode, retryAfter(resp), body[:min(len(body), MaxAnswer)]}
	}
	if err != nil {
		return nil, err
	}
	if len(body) > MaxAnswer {
		return nil, fmt.Errorf("answer is longer than %d bytes", MaxAnswer)
	}
	return body, nil
}

// retryAfter returns the Retry-After of resp in seconds (RFC 9110 section 10.2.3). A date is
// not read.
func retryAfter(resp *http.Response) time.Duration {
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		return min(time.Duration(min(seconds, int(maxRetryAfter/time.Second)))*time.Second, maxRetryAfter)
	}
	if resp.StatusCode == http.StatusTooManyRequests {
		return defaultRetryAfter
	}
	return 0
}
