package gatehouse

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// maxDenials bounds the deny list. A denial is needed only until the tokens that it
// matches have expired, so a full list means that Until is set too late.
const maxDenials = 10_000

// maxDenialText bounds each text of a denial, in bytes.
const maxDenialText = 1024

// Denial rejects valid tokens before they expire: those that match every field that
// is set. Set at least one of TokenID, SessionID, Subject and ClientID. Each text is UTF-8
// without NUL, and has at most 1024 bytes. Times are kept in milliseconds, rounded up. A denial cannot be removed before
// it ends: set IssuedBefore so that the user can sign in again.
type Denial struct {
	// Issuer is iss. With several providers, set it: two of them may use the same ID for
	// something. Empty matches the tokens of all of them.
	Issuer string

	TokenID   string // jti
	SessionID string // sid
	Subject   string // sub
	ClientID  string // client_id

	// Organization limits the denial to tokens for this organization ([Organization.ID]). It
	// is not enough by itself.
	Organization string

	// IssuedBefore exempts tokens that were issued at that time or later, so that the
	// user can sign in again. Zero exempts none. It is compared with iat, which is the
	// provider's clock: use the time in the provider's event, or add the largest
	// possible difference of the clocks, [Config.Leeway].
	IssuedBefore time.Time

	// Until is when the denial is removed. Set it to when the last token that it
	// matches expires. It is required. The end of the year 9999 takes the place of a later time.
	Until time.Time
}

// ErrTooManyDenials means that the deny list is full, and that [Guard.Deny] had no effect.
var ErrTooManyDenials = errors.New("gatehouse: deny list is full")

// Deny rejects tokens that are still valid, from the next request on, and ends the open
// streams and running calls of those tokens within a second: their contexts end, and
// nothing more is sent. A tool of go-sdk gets that end in the older revisions only with
// [Guard.Middleware]. Call Deny from a webhook that reports a banned user, or when a token
// was leaked.
//
// Without [Config.Revocations], the list is kept in memory: other processes do not know of it,
// and a restart clears it. With it, Deny then appends the denial to the store and waits up to
// five seconds for that. If this fails, Deny returns an error that is [ErrDenialNotShared]:
// the denial is in effect in this process, which also keeps trying to append it. Call Deny
// again with the same denial, which does no harm, if the caller can retry: the process may end
// before it succeeds.
//
// Deny is safe for concurrent use. See also [Config.Revoked].
func (g *Guard) Deny(d Denial) error {
	if err := d.validate(); err != nil {
		return fmt.Errorf("gatehouse: %w", err)
	}
	if !d.Until.After(time.Now()) {
		return fmt.Errorf("gatehouse: denial ends at %s, which has passed; "+
			"set Until to the expiry of the last token that it matches", d.Until)
	}
	d = d.normalized()
	if g.denials.add(maxDenials, d) > 0 {
		return ErrTooManyDenials
	}
	g.endDenied(d)
	if g.revocations == nil {
		return nil
	}
	return g.revocations.share(d)
}

// endDenied ends the open requests that the denials match.
func (g *Guard) endDenied(list ...Denial) {
	var added denials
	added.add(len(list), list...)
	now := time.Now()
	g.requests.end(errEndedByDenial, func(o *openRequest) bool { return added.match(&o.caller.verified, now) })
}

// validate returns what is wrong with d, apart from its end.
func (d *Denial) validate() error {
	if d.TokenID == "" && d.SessionID == "" && d.Subject == "" && d.ClientID == "" {
		return errors.New("denial matches every token; set TokenID, SessionID, Subject or ClientID")
	}
	for _, field := range d.texts() {
		if len(*field.text) > maxDenialText {
			return fmt.Errorf("denial has a %s of %d bytes, want at most %d; deny by another field",
				field.name, len(*field.text), maxDenialText)
		}
		if !utf8.ValidString(*field.text) || strings.ContainsRune(*field.text, 0) {
			return fmt.Errorf("denial has a %s %q, which is not UTF-8 or has a NUL; deny by another field", field.name, *field.text)
		}
	}
	return nil
}

type denialText struct {
	name string
	text *string
}

// texts returns pointers to the texts of d.
func (d *Denial) texts() [6]denialText {
	return [...]denialText{
		{"Issuer", &d.Issuer},
		{"TokenID", &d.TokenID},
		{"SessionID", &d.SessionID},
		{"Subject", &d.Subject},
		{"ClientID", &d.ClientID},
		{"Organization", &d.Organization},
	}
}

// normalized returns d with its times in UTC and rounded up to a millisecond, as every store
// keeps them. Equal denials are then equal by ==.
func (d Denial) normalized() Denial {
	d.IssuedBefore, d.Until = ceilMillisecond(d.IssuedBefore), ceilMillisecond(d.Until)
	return d
}

// lastTime is the last time that every store can keep. Far later ones would overflow to times that have
// passed.
var lastTime = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

func ceilMillisecond(t time.Time) time.Time {
	switch {
	case t.IsZero():
		return time.Time{}
	case t.After(lastTime):
		return lastTime
	}
	return time.UnixMilli(t.Add(time.Millisecond - time.Nanosecond).UnixMilli()).UTC()
}

// covers reports whether d rejects every token that other rejects, for as long. Both must
// match by the same fields.
func (d *Denial) covers(other *Denial) bool {
	a, b := *d, *other
	a.IssuedBefore, a.Until, b.IssuedBefore, b.Until = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return a == b && !d.Until.Before(other.Until) &&
		(d.IssuedBefore.IsZero() || !other.IssuedBefore.IsZero() && !d.IssuedBefore.Before(other.IssuedBefore))
}

var errRevoked = &TokenError{Reason: reason.Revoked, err: errors.New("token was revoked by Deny or Config.Revoked")}

// revoked reports whether a denial or [Config.Revoked] rejects the token.
func (g *Guard) revoked(v *verified) bool {
	return g.denials.match(v, time.Now()) || g.Revoked != nil && g.Revoked(v.identity)
}

// denialKey is the claim by which a denial is found: the most specific that it sets.
type denialKey struct{ claim, value string }

func (d Denial) key() denialKey {
	switch {
	case d.TokenID != "":
		return denialKey{"jti", d.TokenID}
	case d.SessionID != "":
		return denialKey{"sid", d.SessionID}
	case d.Subject != "":
		return denialKey{"sub", d.Subject}
	}
	return denialKey{"client_id", d.ClientID}
}

func (d Denial) matches(v *verified, now time.Time) bool {
	id := &v.identity
	return now.Before(d.Until) &&
		(d.Issuer == "" || d.Issuer == id.Issuer) &&
		(d.TokenID == "" || d.TokenID == id.TokenID) &&
		(d.SessionID == "" || d.SessionID == v.sessionID) &&
		(d.Subject == "" || d.Subject == id.Subject) &&
		(d.ClientID == "" || d.ClientID == id.ClientID) &&
		(d.Organization == "" || d.Organization == id.Organization.ID) &&
		(d.IssuedBefore.IsZero() || id.IssuedAt.Before(d.IssuedBefore))
}

// denials is the deny list. Every request reads it, and writes are rare, so readers load an
// immutable map without a lock and writers replace it.
type denials struct {
	mu      sync.Mutex // held by writers
	current atomic.Pointer[map[denialKey][]Denial]
}

// add adds those denials of list that no other one covers, and removes those that have ended.
// It returns how many were left out because there were limit denials already.
func (l *denials) add(limit int, list ...Denial) (dropped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	next, count := l.withoutEnded(now)
	copied := make(map[denialKey]bool) // the lists that no reader has
	for _, d := range list {
		key := d.key()
		old := next[key]
		if !now.Before(d.Until) || slices.ContainsFunc(old, func(other Denial) bool { return other.covers(&d) }) {
			continue
		}
		covered := func(other Denial) bool { return d.covers(&other) }
		if replaces := slices.ContainsFunc(old, covered); !replaces && count >= limit {
			dropped++
			continue
		}
		if !copied[key] {
			old, copied[key] = slices.Clone(old), true
		}
		count -= len(old)
		// The texts may be parts of larger ones, such as the claims of a token.
		for _, field := range d.texts() {
			*field.text = strings.Clone(*field.text)
		}
		next[d.key()] = append(slices.DeleteFunc(old, covered), d)
		count += len(next[d.key()])
	}
	l.current.Store(&next)
	return dropped
}

// withoutEnded returns a copy of the map without the denials that have ended, and how many it
// has. The lists may be those of the map. l.mu must be held.
func (l *denials) withoutEnded(now time.Time) (next map[denialKey][]Denial, count int) {
	next = make(map[denialKey][]Denial)
	if old := l.current.Load(); old != nil {
		maps.Copy(next, *old)
	}
	ended := func(d Denial) bool { return !now.Before(d.Until) }
	for key, list := range next {
		if slices.ContainsFunc(list, ended) {
			list = slices.DeleteFunc(slices.Clone(list), ended)
			if next[key] = list; len(list) == 0 {
				delete(next, key)
			}
		}
		count += len(list)
	}
	return next, count
}

// all returns the denials that have not ended.
func (l *denials) all(now time.Time) []Denial {
	current := l.current.Load()
	if current == nil {
		return nil
	}
	var out []Denial
	for _, list := range *current {
		for _, d := range list {
			if now.Before(d.Until) {
				out = append(out, d)
			}
		}
	}
	return out
}

func (l *denials) match(v *verified, now time.Time) bool {
	current := l.current.Load()
	if current == nil {
		return false
	}
	id := &v.identity
	for _, key := range [...]denialKey{{"jti", id.TokenID}, {"sid", v.sessionID}, {"sub", id.Subject}, {"client_id", id.ClientID}} {
		for _, d := range (*current)[key] {
			if d.matches(v, now) {
				return true
			}
		}
	}
	return false
}
