package token

import (
	"context"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// Member is one provider of a [Set], with its keys.
type Member struct {
	*Verifier
	Keys Keys
}

// Set checks the access tokens of several providers. "iss" selects the provider, whose
// rules and keys alone are then used: a token is never tried with those of another one.
// It is immutable and safe for concurrent use.
type Set struct {
	members  []Member
	byIssuer map[string]int
	issuers  []string
	names    names   // of all members
	own      []names // of each member
	maxBytes int
}

// NewSet returns the set of members. If two have an issuer in common, the first has it.
func NewSet(members ...Member) *Set {
	s := &Set{members: members, byIssuer: make(map[string]int)}
	for i, m := range members {
		var own names
		own.add(m.Verifier)
		s.own = append(s.own, own)
		s.names.add(m.Verifier)
		s.maxBytes = max(s.maxBytes, m.maxBytes())
		for _, issuer := range m.Issuers {
			if _, ok := s.byIssuer[issuer]; !ok && issuer != "" {
				s.byIssuer[issuer] = i
				s.issuers = append(s.issuers, issuer)
			}
		}
	}
	return s
}

// CheckSize rejects raw if it is longer than every member allows.
func (s *Set) CheckSize(raw string) error { return CheckSize(raw, s.maxBytes) }

// Verify returns the access token that raw is, and the index of its provider among the
// members. With an error, the index is that of the provider that rejects the token, or -1 if
// it is not known. The errors are those of [Verifier.Verify].
func (s *Set) Verify(ctx context.Context, raw string, now time.Time) (t *Token, member int, err error) {
	var p Parsed
	if member, err = s.Parse(raw, &p); err != nil {
		return nil, member, err
	}
	t, err = p.Verify(ctx, now)
	return t, member, err
}

// Parsed is a token that passed the checks that need no key: its form, header and issuer. Nothing
// in it is verified before [Parsed.Verify].
type Parsed struct {
	member *Member
	jws    compact
	header header
	claims claims
	signed bool
}

// Issuer returns the claim iss, which is one of the member's issuers.
func (p *Parsed) Issuer() string { return p.claims.issuer }

// Subject returns the claim sub. It may be empty.
func (p *Parsed) Subject() string { return p.claims.subject }

// Signed reports whether Verify found that a key of the issuer made the signature. It may be true
// although Verify returned an error, as for a token that has expired.
func (p *Parsed) Signed() bool { return p.signed }

// Parse sets p to the token that raw is, and checks everything that is checked before the
// signature. member and the errors are those of [Set.Verify].
func (s *Set) Parse(raw string, p *Parsed) (member int, err error) {
	const unknown = -1
	if p.jws, err = split(raw, s.maxBytes); err != nil {
		return unknown, err
	}
	if p.header, err = readHeader(p.jws.header, s.names.header); err != nil {
		return unknown, malformed("header", err)
	}
	only := len(s.members) == 1
	if only { // the header can be checked first, which costs less than reading the claims
		if err := s.checkHeader(0, &p.header); err != nil {
			return 0, err
		}
	}
	if p.claims, err = readClaims(p.jws.payload, s.names.claims); err != nil {
		return unknown, err
	}
	if p.claims.issuer == "" {
		return unknown, &Error{Reason: reason.MissingClaim, Claim: "iss"}
	}
	i, ok := s.byIssuer[p.claims.issuer]
	if !ok {
		return unknown, wrongIssuer(p.claims.issuer, s.issuers)
	}
	p.member = &s.members[i]
	if !only {
		if err := p.member.CheckSize(raw); err != nil {
			return i, err
		}
		if err := s.checkHeader(i, &p.header); err != nil {
			return i, err
		}
	}
	if err := p.claims.checkSpelling(s.own[i].claims); err != nil {
		return i, err
	}
	return i, p.claims.readOptional(p.member.clientClaims(), p.member.scopeClaims())
}

// checkHeader checks a header by the rules of the member i.
func (s *Set) checkHeader(i int, h *header) error {
	if err := h.others.checkSpelling(s.own[i].header); err != nil {
		return malformed("header", err)
	}
	return s.members[i].checkHeader(h)
}

// Verify checks the signature and the claims of a token that [Set.Parse] accepted.
func (p *Parsed) Verify(ctx context.Context, now time.Time) (*Token, error) {
	m := p.member
	var generation uint64
	var err error
	if m.Secret != nil {
		generation, err = secretGeneration, p.jws.checkMAC(m.Secret)
	} else {
		generation, err = p.jws.checkSignature(ctx, &p.header, p.claims.issued, m.Keys)
	}
	if err != nil {
		return nil, err
	}
	p.signed = true
	if err := m.checkClaims(&p.claims, now); err != nil {
		return nil, err
	}
	t := m.token(&p.claims, p.jws.payload)
	t.Type, t.Algorithm, t.KeyID, t.Generation = p.header.typ, p.header.algorithm, p.header.keyID, generation
	return t, nil
}
