package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxRedirects      = 3
	maxResponseHeader = 64 << 10
	maxHeaderValue    = 256             // of Content-Type and ETag, in bytes
	maxRetryAfter     = time.Minute     // of the issuer's wish
	leastFreshFor     = time.Minute     // of the issuer's max-age
	maxClockStep      = 5 * time.Minute // a kept copy may be this far in the future
)

// newClient returns given, or a client of our own, with our redirect policy
// and without cookies.
func newClient(given *http.Client) *http.Client {
	client := &http.Client{}
	if given != nil {
		*client = *given
	} else if t, ok := http.DefaultTransport.(*http.Transport); ok {
		t = t.Clone()
		t.MaxResponseHeaderBytes = maxResponseHeader
		t.DisableKeepAlives = true // the next fetch is minutes away
		client.Transport = t
	}
	client.CheckRedirect = checkRedirect
	client.Jar = nil
	return client
}

var errRedirect = errors.New("redirect refused")

func checkRedirect(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("%w: more than %d", errRedirect, maxRedirects)
	case !sameOrigin(req.URL, via[0].URL):
		return fmt.Errorf("%w: it leads to %q", errRedirect, req.URL.Redacted())
	}
	return nil
}

// fetch gets the document once. It returns the copy, without a Sequence, and
// how long to leave it before the next refresh.
func (d *Document) fetch(begun time.Time) (Copy, time.Duration, *FetchError) {
	ctx, cancel := context.WithTimeout(d.ctx, d.cfg.Timeout)
	defer cancel()
	target, err := d.target(ctx)
	if err != nil {
		return Copy{}, 0, d.failure(ctx, d.cfg.URL, orElse(ClassOf(err), BadURL), err)
	}
	resp, err := d.get(ctx, target)
	if err != nil {
		class := Network
		if errors.Is(err, errRedirect) {
			class = Redirect
		}
		return Copy{}, 0, d.failure(ctx, target.String(), class, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		fe := d.failure(ctx, target.String(), Status, fmt.Errorf("status %d, want 200", resp.StatusCode))
		if resp.StatusCode == http.StatusNotFound {
			fe.Class = NotFound
		}
		fe.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), time.Now())
		return Copy{}, 0, fe
	}
	body, class, err := readObject(resp, d.cfg.MaxBytes)
	if err != nil {
		return Copy{}, 0, d.failure(ctx, target.String(), class, err)
	}
	return Copy{
		Body:        body,
		ContentType: bounded(resp.Header.Get("Content-Type")),
		ETag:        bounded(resp.Header.Get("ETag")),
		FetchedAt:   begun,
		Expires:     begun.Add(d.cfg.HardTTL),
	}, freshFor(resp.Header.Get("Cache-Control"), d.cfg.SoftTTL), nil
}

// failure prefers the end of ctx, the cause, over what it brought about.
func (d *Document) failure(ctx context.Context, from string, class Class, err error) *FetchError {
	switch {
	case d.ctx.Err() != nil:
		class, err = Closed, errClosed
	case ctx.Err() != nil:
		class, err = Timeout, fmt.Errorf("no whole answer within %s: %w", d.cfg.Timeout, context.DeadlineExceeded)
	}
	return &FetchError{Class: class, URL: from, Err: err}
}

func orElse(c, otherwise Class) Class {
	if c == "" {
		return otherwise
	}
	return c
}

// target returns where the document is now.
func (d *Document) target(ctx context.Context) (*url.URL, error) {
	named, err := parseURL(d.cfg.URL)
	if err != nil || d.cfg.Locate == nil {
		return named, err
	}
	raw, err := d.cfg.Locate(ctx)
	if err != nil {
		return nil, fmt.Errorf("locating: %w", err)
	}
	located, err := parseURL(raw)
	if err != nil {
		return nil, err
	}
	if named.Scheme == "https" && located.Scheme != "https" {
		return nil, fmt.Errorf("located URL %q is not https", raw)
	}
	return located, nil
}

func (d *Document) get(ctx context.Context, target *url.URL) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "gatehouse")
	resp, err := d.client.Do(req)
	var ue *url.Error
	if errors.As(err, &ue) {
		return nil, ue.Err // FetchError names method and URL already
	}
	return resp, err
}

// readObject reads a body of at most maxBytes that is one JSON object.
func readObject(resp *http.Response, maxBytes int64) ([]byte, Class, error) {
	if coding := resp.Header.Get("Content-Encoding"); coding != "" {
		return nil, NotJSON, fmt.Errorf("content encoding %q, want none or gzip", coding)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBytes+1))
	switch {
	case err != nil:
		return nil, Network, fmt.Errorf("reading the body: %w", err)
	case int64(len(body)) > maxBytes:
		return nil, TooLarge, fmt.Errorf("body is larger than %d bytes", maxBytes)
	}
	return body, NotJSON, checkObject(body)
}

func checkObject(body []byte) error {
	text := bytes.TrimLeft(body, " \t\r\n")
	switch {
	case len(text) == 0:
		return errors.New("body is empty, want a JSON object")
	case text[0] == '<':
		return errors.New("body is HTML or XML, want a JSON object")
	case text[0] != '{' || !json.Valid(text):
		return errors.New("body is not a JSON object")
	case !utf8.Valid(text): // RFC 8259 section 8.1
		return errors.New("body is not UTF-8")
	}
	return nil
}

func bounded(header string) string {
	if len(header) > maxHeaderValue {
		return ""
	}
	return header
}

// retryAfter reads a Retry-After value: seconds or an HTTP date.
func retryAfter(value string, now time.Time) time.Duration {
	var wait time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}

// freshFor returns soft, or the shorter max-age of a Cache-Control value. A
// longer one does not count: it would let a removed key live on.
func freshFor(value string, soft time.Duration) time.Duration {
	for directive := range strings.SplitSeq(value, ",") {
		name, arg, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		if seconds, err := strconv.ParseUint(strings.Trim(arg, `"`), 10, 31); err == nil {
			return min(soft, max(time.Duration(seconds)*time.Second, leastFreshFor))
		}
	}
	return soft
}
