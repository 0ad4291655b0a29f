package forwarded

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/maypok86/otter/v2"
)

const (
	// maxValue bounds the value of a header that names one thing, in bytes before encoding. A
	// shorter part of it could name someone else, so a longer one is an error.
	maxValue = 1024
	// maxList bounds a list, in bytes: the header with the groups, and each list of the
	// assertion. Servers limit all headers of a request, some to 8 KiB.
	maxList = 2048
	// cacheEntries bounds the tokens whose headers are cached, and the callers.
	cacheEntries = 10_000
	// reuse is how long the headers of a caller are used again. What is left of the lifetime of an
	// assertion is for the backend.
	reuse = lifetime / 2
	// maxFields is how many headers there are at most: those of [Headers], and that a list is not
	// complete.
	maxFields = 6
)

// Config configures a [Forwarder].
type Config struct {
	_ [0]func()

	// Headers are the names of the headers.
	Headers Headers

	// Resource is the URL of the endpoint: the audience of the assertion.
	Resource string

	// Issuer is the iss of the assertion: the origin of the endpoint.
	Issuer string

	// Principal makes issuer and subject the user, joined by "|", in place of the subject alone.
	// It must be set if tokens of several issuers are accepted, because each of them may have a
	// user with the same subject.
	Principal bool

	// Keys sign the assertion. They must not be nil if Headers has a name for it.
	Keys *Keys
}

// Forwarder sets the headers of one endpoint. It is safe for concurrent use.
type Forwarder struct {
	Config
	tokens *otter.Cache[string, *cachedFields] // by the fingerprint of the access token
	// callers has the same headers by what they say, so that a user who gets a new access token does
	// not cost another signature, which takes about as long as the verification of the token.
	callers *otter.Cache[callerHash, *cachedFields]
}

// cachedFields are the headers for one caller, and until when they are used again.
type cachedFields struct {
	fields []field
	until  time.Time
}

// field is one header with its value, in the form of [http.Header].
type field struct {
	name   string
	values []string
}

// New returns a forwarder.
func New(cfg Config) (*Forwarder, error) {
	if cfg.Headers.Assertion != "" && cfg.Keys == nil {
		return nil, errors.New("an assertion needs keys")
	}
	f := &Forwarder{Config: cfg}
	var err error
	if f.tokens, err = newCache[string](); err != nil {
		return nil, err
	}
	f.callers, err = newCache[callerHash]()
	return f, err
}

// newCache returns a cache of cacheEntries. It removes nothing by time, for which it would need a
// goroutine that ends. Its values are pointers, like those of the caches of the library: they share
// the code of otter, of which each other type would add 0.2 MB to the program.
func newCache[K comparable]() (*otter.Cache[K, *cachedFields], error) {
	return otter.New(&otter.Options[K, *cachedFields]{
		MaximumSize: cacheEntries,
		// Maintenance runs in the goroutine that causes it: to start another one for each new entry
		// delays the request by more.
		Executor: func(maintain func()) { maintain() },
	})
}

// Strip removes from h what a client must not send; see [Headers.Strip].
func (f *Forwarder) Strip(h http.Header) { f.Headers.Strip(h) }

// Set sets the headers that name the caller. It does not remove those that a client sent: call
// Strip first. An error means that the caller cannot be named, and the request must not be
// forwarded.
func (f *Forwarder) Set(h http.Header, id gatehouse.Identity) error {
	now := time.Now()
	cached, known := f.tokens.GetIfPresent(id.Fingerprint)
	if !known || id.Fingerprint == "" || !now.Before(cached.until) {
		var err error
		if cached, err = f.ofCaller(id, now); err != nil {
			return err
		}
		if id.Fingerprint != "" {
			f.tokens.Set(id.Fingerprint, cached)
		}
	}
	for i := range cached.fields {
		h[cached.fields[i].name] = cached.fields[i].values
	}
	return nil
}

// ofCaller returns the headers of the caller. They may have been made for another access token that
// says the same.
func (f *Forwarder) ofCaller(id gatehouse.Identity, now time.Time) (*cachedFields, error) {
	user := f.user(id)
	if user == "" || len(user) > maxValue {
		return nil, fmt.Errorf("the name of the user has %d bytes, want 1 to %d", len(user), maxValue)
	}
	c := f.callerOf(id, user, now)
	key := c.hash()
	if cached, ok := f.callers.GetIfPresent(key); ok && now.Before(cached.until) {
		return cached, nil
	}
	cached, err := f.fields(c, now)
	if err == nil {
		f.callers.Set(key, cached)
	}
	return cached, err
}

// fields makes the headers of the caller.
func (f *Forwarder) fields(c caller, now time.Time) (*cachedFields, error) {
	fields := make([]field, 0, maxFields)
	add := func(name, value string) {
		if name != "" && value != "" {
			fields = append(fields, field{http.CanonicalHeaderKey(name), []string{value}})
		}
	}
	add(f.Headers.User, encode(c.Subject))
	add(f.Headers.Email, encode(c.Email))
	add(f.Headers.PreferredUsername, encode(c.PreferredUsername))
	add(f.Headers.Groups, c.Groups)
	if c.GroupsTruncated && f.Headers.Groups != "" {
		add(f.Headers.Groups+TruncatedSuffix, "true")
	}
	until := now.Add(reuse)
	if f.Headers.Assertion != "" {
		expiry := now.Add(lifetime)
		if !c.TokenExpiry.IsZero() {
			// The assertion is valid for as long as the token, which is about to expire.
			if expiry = c.TokenExpiry; expiry.Before(now.Add(leastLifetime)) {
				expiry = now.Add(leastLifetime)
			}
			until = now.Add(leastLifetime / 2)
		}
		text, err := f.sign(c.claims, now, expiry)
		if err != nil {
			return nil, err
		}
		if sameName(f.Headers.Assertion, authorization) {
			text = "Bearer " + text
		}
		add(f.Headers.Assertion, text)
	}
	return &cachedFields{fields, until}, nil
}

// user returns how the headers and the assertion name the user.
func (f *Forwarder) user(id gatehouse.Identity) string {
	if id.Subject == "" {
		return ""
	}
	if f.Principal {
		return id.Principal()
	}
	return id.Subject
}

// person is what a token may say about the person.
type person struct{ email, username string }

// personOf returns what the claims of OpenID Connect say. An email that the provider has not
// verified is left out: anyone could have entered it.
func personOf(id gatehouse.Identity) person {
	var claims struct {
		Email             any `json:"email"`
		EmailVerified     any `json:"email_verified"`
		PreferredUsername any `json:"preferred_username"`
		Username          any `json:"username"`
	}
	if id.Claims(&claims) != nil {
		return person{}
	}
	var p person
	if verified := claims.EmailVerified; verified == nil || verified == true || verified == "true" {
		p.email = text(claims.Email)
	}
	if p.username = text(claims.PreferredUsername); p.username == "" {
		p.username = text(claims.Username)
	}
	return p
}

// text returns the claim if it is a string that fits into a header.
func text(claim any) string {
	s, _ := claim.(string)
	if len(s) > maxValue {
		return ""
	}
	return s
}

// encode returns the value of a header for s: printable ASCII as it is, and every other byte,
// and "%", in percent-encoding (RFC 3986 §2.1) of UTF-8. So a value cannot begin another
// header, and backends agree on what it is.
func encode(s string) string { return encodeBut(s, "%") }

// encodeBut encodes the bytes of special, too.
func encodeBut(s, special string) string {
	plain := func(c byte) bool { return ' ' < c && c < 0x7f && strings.IndexByte(special, c) < 0 }
	if !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x7f || !plain(byte(r)) }) {
		return s
	}
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
	return b.String()
}

// encodeList returns the items, each encoded and without a comma of its own, separated by
// commas. It has as many whole items as fit into maxList. complete is false if some are
// missing.
func encodeList(items []string) (list string, complete bool) {
	var b strings.Builder
	for _, item := range items {
		encoded := encodeBut(item, "%,")
		if b.Len()+1+len(encoded) > maxList {
			return b.String(), false
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(encoded)
	}
	return b.String(), true
}

// bounded returns as many of the items as fit into maxList. complete is false if some are
// missing.
func bounded(items []string) (list []string, complete bool) {
	size := 0
	for i, item := range items {
		if size += len(item) + 3; size > maxList {
			return slices.Clone(items[:i]), false
		}
	}
	return items, true
}
