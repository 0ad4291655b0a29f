package gatehouse

import (
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/token"
)

// TokenReasons lists the reasons of the token room.
func TokenReasons() []Reason {
	var out []Reason
	for _, reason := range token.Reasons() {
		out = append(out, Reason(reason))
	}
	return out
}

// MaxReasons is the size of the counters.
const MaxReasons = maxReasons

// Denials is the deny list alone, for tests with a clock of their own.
type Denials struct{ list denials }

// MaxDenials is the size of the deny list.
const MaxDenials = maxDenials

// NewDenials returns an empty deny list.
func NewDenials() *Denials { return &Denials{} }

// Add adds a denial as [Guard.Deny] does.
func (d *Denials) Add(denial Denial) error { return d.list.add(denial) }

// Put adds a denial without looking at the others.
func (d *Denials) Put(denial Denial) {
	if d.list.current.Load() == nil {
		d.list.current.Store(&map[denialKey][]Denial{})
	}
	current := *d.list.current.Load()
	current[denial.key()] = append(current[denial.key()], denial)
}

// Match reports whether a token of the subject is shut out now.
func (d *Denials) Match(issuer, subject string) bool {
	return d.list.match(&verified{identity: Identity{Issuer: issuer, Subject: subject}}, time.Now())
}
