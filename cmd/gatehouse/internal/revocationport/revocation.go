// Package revocationport serves revocations on the operator port of a gateway, and has the client of it. It
// is how "gatehouse revoke" reaches a gateway that shares its revocations with no other.
package revocationport

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

const (
	// MinKey is the length of a key in bytes.
	MinKey = 32
	// DefaultLength is how long a revocation lasts. Few access tokens live longer than a day.
	DefaultLength = 24 * time.Hour
	// MaxLength bounds it: each gateway keeps all revocations that have not ended.
	MaxLength = 90 * 24 * time.Hour
	// MaxText bounds each value in bytes, as [gatehouse.Denial] does.
	MaxText = 1024
)

// Revocation is a revocation as it is printed, sent and received.
type Revocation struct {
	Issuer       string     `json:"issuer,omitempty"`
	Subject      string     `json:"subject,omitempty"`
	SessionID    string     `json:"session,omitempty"`
	ClientID     string     `json:"client,omitempty"`
	TokenID      string     `json:"tokenId,omitempty"`
	Organization string     `json:"organization,omitempty"`
	IssuedBefore *time.Time `json:"issuedBefore,omitempty"`
	Until        time.Time  `json:"until"`
}

// lastTime is the last time that JSON can have (RFC 3339 §1). A store may have a later one.
var lastTime = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// Of returns d as a revocation.
func Of(d gatehouse.Denial) Revocation {
	r := Revocation{d.Issuer, d.Subject, d.SessionID, d.ClientID, d.TokenID, d.Organization, nil, earlier(d.Until, lastTime)}
	if !d.IssuedBefore.IsZero() {
		before := earlier(d.IssuedBefore, lastTime)
		r.IssuedBefore = &before
	}
	return r
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// ListOf returns the denials as revocations.
func ListOf(denials []gatehouse.Denial) []Revocation {
	list := make([]Revocation, len(denials))
	for i, d := range denials {
		list[i] = Of(d)
	}
	return list
}

// Texts returns the values with their names, in the order in which they are printed.
func (r *Revocation) Texts() [6]Text {
	return [...]Text{
		{"subject", r.Subject}, {"session", r.SessionID}, {"client", r.ClientID}, {"token-id", r.TokenID},
		{"organization", r.Organization}, {"issuer", r.Issuer},
	}
}

// Text is a value of a revocation with its name.
type Text struct{ Name, Value string }

// denial returns the denial of r, which was received at now. An end that is missing is that of
// DefaultLength. The error says what to change.
func (r *Revocation) denial(now time.Time) (gatehouse.Denial, error) {
	if r.Subject == "" && r.SessionID == "" && r.ClientID == "" && r.TokenID == "" {
		return gatehouse.Denial{}, errors.New("the revocation says neither which user nor which session, client or token; add subject, session, client or tokenId")
	}
	for _, part := range r.Texts() {
		if len(part.Value) > MaxText || strings.ContainsRune(part.Value, 0) {
			return gatehouse.Denial{}, fmt.Errorf("%s is longer than %d bytes or has a NUL; copy it from the identity provider or from the token", part.Name, MaxText)
		}
	}
	until := r.Until
	if until.IsZero() {
		until = now.Add(DefaultLength)
	}
	if !until.After(now) || until.After(now.Add(MaxLength+time.Minute)) {
		return gatehouse.Denial{}, fmt.Errorf("until is %s, want a time in the next %d days; set it to when the last token expires", until.Format(time.RFC3339), int(MaxLength.Hours()/24))
	}
	d := gatehouse.Denial{
		Issuer: r.Issuer, Subject: r.Subject, SessionID: r.SessionID, ClientID: r.ClientID, TokenID: r.TokenID,
		Organization: r.Organization, Until: wholeMilliseconds(until),
	}
	if r.IssuedBefore != nil {
		d.IssuedBefore = wholeMilliseconds(*r.IssuedBefore)
	}
	return d, nil
}

// wholeMilliseconds returns t as a store keeps it: in UTC and rounded up to a millisecond.
func wholeMilliseconds(t time.Time) time.Time {
	return t.UTC().Add(time.Millisecond - time.Nanosecond).Truncate(time.Millisecond)
}
