package gatehouse

import (
	"testing"
	"time"
)

// Denials is a deny list without a guard.
type Denials struct{ list denials }

// MaxDenials is the limit of the deny list.
const MaxDenials = maxDenials

// NewDenials returns an empty deny list.
func NewDenials() *Denials { return &Denials{} }

// Add adds a denial as [Guard.Deny] does.
func (d *Denials) Add(denial Denial) error { return d.list.add(denial) }

// Put adds a denial without checking the limit, which takes time for a long list.
func (d *Denials) Put(denial Denial) {
	if d.list.current.Load() == nil {
		d.list.current.Store(&map[denialKey][]Denial{})
	}
	current := *d.list.current.Load()
	current[denial.key()] = append(current[denial.key()], denial)
}

// Match reports whether a token of the subject is denied now.
func (d *Denials) Match(issuer, subject string) bool {
	return d.list.match(&verified{identity: Identity{Issuer: issuer, Subject: subject}}, time.Now())
}

// Verified is what is known of a verified token.
type Verified struct {
	Identity             Identity
	Payload              string
	Principal, SessionID string
	Bound                bool
	NotBefore            time.Time
}

// Repacked returns v as a cache gives it back.
func Repacked(v Verified) Verified {
	in := verified{v.Identity, v.Principal, v.SessionID, v.Bound, v.NotBefore}
	in.identity.payload = []byte(v.Payload)
	var out verified
	in.pack().unpack(&out)
	payload := string(out.identity.payload)
	out.identity.payload = nil
	return Verified{out.identity, payload, out.principal, out.sessionID, out.bound, out.notBefore}
}

// PackAllocations returns how many objects a cache keeps for v.
func PackAllocations(v Verified) float64 {
	in := verified{v.Identity, v.Principal, v.SessionID, v.Bound, v.NotBefore}
	in.identity.payload = []byte(v.Payload)
	return testing.AllocsPerRun(100, func() { kept = in.pack() })
}

var kept packed
