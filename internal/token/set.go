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
	const unknown = -1
	jws, err := split(raw, s.maxBytes)
	if err != nil {
		return nil, unknown, err
	}
	h, err := readHeader(jws.header, s.names.header)
	if err != nil {
		return nil, unknown, malformed("header", err)
	}
	only := len(s.members) == 1
	if only { // the header can be checked first, which costs less than reading the claims
		if err := s.checkHeader(0, &h); err != nil {
			return nil, 0, err
		}
	}
	c, err := readClaims(jws.payload, s.names.claims)
	if err != nil {
		return nil, unknown, err
	}
	if c.issuer == "" {
		return nil, unknown, &Error{Reason: reason.MissingClaim, Claim: "iss"}
	}
	i, ok := s.byIssuer[c.issuer]
	if !ok {
		return nil, unknown, wrongIssuer(c.issuer, s.issuers)
	}
	m := &s.members[i]
	if !only {
		if err := m.CheckSize(raw); err != nil {
			return nil, i, err
		}
		if err := s.checkHeader(i, &h); err != nil {
			return nil, i, err
		}
	}
	if err := c.checkSpelling(s.own[i].claims); err != nil {
		return nil, i, err
	}
	t, err = m.verify(ctx, &jws, &h, &c, now)
	return t, i, err
}

// checkHeader checks a header by the rules of the member i.
func (s *Set) checkHeader(i int, h *header) error {
	if err := h.others.checkSpelling(s.own[i].header); err != nil {
		return malformed("header", err)
	}
	return s.members[i].checkHeader(h)
}

// verify checks a token whose issuer is one of m's, and whose header m accepts.
func (m *Member) verify(ctx context.Context, jws *compact, h *header, c *claims, now time.Time) (*Token, error) {
	if err := c.readOptional(m.clientClaims(), m.scopeClaims()); err != nil {
		return nil, err
	}
	var generation uint64
	var err error
	if m.Secret != nil {
		generation, err = secretGeneration, jws.checkMAC(m.Secret)
	} else {
		generation, err = jws.checkSignature(ctx, h, c.issued, m.Keys)
	}
	if err != nil {
		return nil, err
	}
	if err := m.checkClaims(c, now); err != nil {
		return nil, err
	}
	t := m.token(c, jws.payload)
	t.Type, t.Algorithm, t.KeyID, t.Generation = h.typ, h.algorithm, h.keyID, generation
	return t, nil
}
