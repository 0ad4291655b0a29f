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
	maxRetryAfter = time.Minute // of the Retry-After that is honored
	minMaxAge     = time.Minute // of the Cache-Control max-age that is honored
)

// fetch gets the document once. It returns the copy, without a Sequence, and the time
// until the next refresh.
func (d *Document) fetch(startedAt time.Time) (Copy, time.Duration, *FetchError) {
	ctx, cancel := context.WithTimeout(d.ctx, d.cfg.Timeout)
	defer cancel()
	target, err := d.locate(ctx)
	if err != nil {
		class := ClassOf(err) // of the document that Locate read
		if class == "" {
			class = BadURL
		}
		return Copy{}, 0, d.fetchError(ctx, d.cfg.URL, class, err)
	}
	resp, err := d.get(ctx, target)
	if err != nil {
		class := Network
		if errors.Is(err, errRedirect) {
			class = Redirect
		}
		return Copy{}, 0, d.fetchError(ctx, target.String(), class, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		class := Status
		if resp.StatusCode == http.StatusNotFound {
			class = NotFound
		}
		fe := d.fetchError(ctx, target.String(), class, fmt.Errorf("status %d, want 200", resp.StatusCode))
		fe.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), time.Now())
		return Copy{}, 0, fe
	}
	body, class, err := readObject(resp, d.cfg.MaxBytes)
	if err != nil {
		return Copy{}, 0, d.fetchError(ctx, target.String(), class, err)
	}
	c := Copy{Body: body, FetchedAt: startedAt, Expires: startedAt.Add(d.cfg.HardTTL)}
	return c, refreshAfter(resp.Header.Get("Cache-Control"), d.cfg.SoftTTL), nil
}

// fetchError returns the error of a fetch from url. If the fetch was ended by Close or
// by its timeout, that is the error, and err only its consequence.
func (d *Document) fetchError(ctx context.Context, url string, class Class, err error) *FetchError {
	switch {
	case d.ctx.Err() != nil:
		class, err = Closed, errClosed
	case ctx.Err() != nil:
		class, err = Timeout, fmt.Errorf("no complete response within %s: %w", d.cfg.Timeout, context.DeadlineExceeded)
	}
	return &FetchError{Class: class, URL: url, Err: err}
}

// locate returns the current URL of the document.
func (d *Document) locate(ctx context.Context) (*url.URL, error) {
	configured, err := parseURL(d.cfg.URL)
	if err != nil || d.cfg.Locate == nil {
		return configured, err
	}
	raw, err := d.cfg.Locate(ctx)
	if err != nil {
		return nil, fmt.Errorf("locating: %w", err)
	}
	located, err := parseURL(raw)
	if err != nil {
		return nil, err
	}
	if configured.Scheme == "https" && located.Scheme != "https" {
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

// readObject returns the body of resp, if it is at most maxBytes long and one JSON
// object, or else the class of the error.
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

// retryAfter returns the duration of a Retry-After value, which is a number of seconds
// or an HTTP date; 0 if it is neither.
func retryAfter(value string, now time.Time) time.Duration {
	var wait time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}

// refreshAfter returns softTTL, or the max-age of a Cache-Control value if that is
// shorter. A longer one is ignored: a key that the issuer removed must not stay in use
// for longer.
func refreshAfter(cacheControl string, softTTL time.Duration) time.Duration {
	for directive := range strings.SplitSeq(cacheControl, ",") {
		name, arg, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		if seconds, err := strconv.ParseUint(strings.Trim(arg, `"`), 10, 31); err == nil {
			return min(softTTL, max(time.Duration(seconds)*time.Second, minMaxAge))
		}
	}
	return softTTL
}
