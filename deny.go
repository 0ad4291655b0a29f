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

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// maxDenials bounds the deny list. A denial is needed only until the tokens that it
// matches have expired, so a full list means that Until is set too late.
const maxDenials = 10_000

// Denial rejects valid tokens before they expire: those that match every field that
// is set. Set at least one of TokenID, SessionID, Subject and ClientID.
type Denial struct {
	// Issuer is iss. With several providers, set it: two of them may use the same ID for
	// something. Empty matches the tokens of all of them.
	Issuer string

	TokenID   string // jti
	SessionID string // sid
	Subject   string // sub
	ClientID  string // client_id

	// IssuedBefore exempts tokens that were issued at that time or later, so that the
	// user can sign in again. Zero exempts none. It is compared with iat, which is the
	// provider's clock: use the time in the provider's event, or add the largest
	// possible difference of the clocks, [Config.Leeway].
	IssuedBefore time.Time

	// Until is when the denial is removed. Set it to when the last token that it
	// matches expires. It is required.
	Until time.Time
}

// ErrTooManyDenials means that the deny list is full, and that [Guard.Deny] had no effect.
var ErrTooManyDenials = errors.New("gatehouse: deny list is full")

// Deny rejects tokens that are still valid, from the next request on, and ends the open
// streams and running calls of those tokens within a second: their contexts end, and
// nothing more is sent. A tool of go-sdk gets that end in the older revisions only with
// [Guard.Middleware]. Call Deny from a webhook that reports a banned user, or when a token
// was leaked. The list is kept in memory: other processes do not see it, and a restart
// clears it. Deny is safe for concurrent use. See also [Config.Revoked].
func (g *Guard) Deny(d Denial) error {
	if d.TokenID == "" && d.SessionID == "" && d.Subject == "" && d.ClientID == "" {
		return errors.New("gatehouse: denial matches every token; set TokenID, SessionID, Subject or ClientID")
	}
	if !d.Until.After(time.Now()) {
		return fmt.Errorf("gatehouse: denial ends at %s, which has passed; "+
			"set Until to the expiry of the last token that it matches", d.Until)
	}
	if err := g.denials.add(d); err != nil {
		return err
	}
	now := time.Now()
	g.requests.end(errEndedByDenial, func(o *openRequest) bool { return d.matches(&o.caller.verified, now) })
	return nil
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
		(d.IssuedBefore.IsZero() || id.IssuedAt.Before(d.IssuedBefore))
}

// denials is the deny list. Every request reads it, and writes are rare, so readers load an
// immutable map without a lock and writers replace it.
type denials struct {
	mu      sync.Mutex // held by writers
	current atomic.Pointer[map[denialKey][]Denial]
}

func (l *denials) add(d Denial) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	next, count, now := make(map[denialKey][]Denial), 0, time.Now()
	if old := l.current.Load(); old != nil {
		maps.Copy(next, *old)
	}
	ended := func(d Denial) bool { return !now.Before(d.Until) }
	for key, list := range next {
		list = slices.DeleteFunc(slices.Clone(list), ended)
		if next[key] = list; len(list) == 0 {
			delete(next, key)
		}
		count += len(list)
	}
	if count >= maxDenials {
		return ErrTooManyDenials
	}
	// The texts may be parts of larger ones, such as the claims of a token.
	for _, text := range []*string{&d.Issuer, &d.TokenID, &d.SessionID, &d.Subject, &d.ClientID} {
		*text = strings.Clone(*text)
	}
	next[d.key()] = append(next[d.key()], d)
	l.current.Store(&next)
	return nil
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
