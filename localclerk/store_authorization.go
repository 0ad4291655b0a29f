package localclerk

import (
	"time"
)

const (
	transactionLifetime = time.Hour
	codeLifetime        = 10 * time.Minute
)

// transaction is an authorization request that waits for the user on the sign-in
// and consent pages.
type transaction struct {
	request   authorizationRequest
	user      string // user_…, or empty before sign-in
	expiresAt time.Time
}

type authorizationCode struct {
	grant         *grant
	redirectURI   string // empty if the authorization request had none
	codeChallenge string // S256, or empty
	expiresAt     time.Time
	used          bool
}

// beginTransaction stores a transaction and returns its ID.
func (s *store) beginTransaction(request authorizationRequest, now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := newSecret()
	s.transactions.put(id, transaction{request: request, expiresAt: now.Add(transactionLifetime)})
	return id
}

func (s *store) transaction(id string, now time.Time) (transaction, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.transactions.get(id)
	return t, ok && now.Before(t.expiresAt)
}

// setTransactionUser sets the user who is signed in. An empty user signs out.
func (s *store) setTransactionUser(id, user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok := s.transactions.get(id); ok {
		t.user = user
		s.transactions.put(id, t)
	}
}

// finishTransaction removes and returns a transaction. Only the first call finds
// it.
func (s *store) finishTransaction(id string, now time.Time) (transaction, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.transactions.get(id)
	s.transactions.delete(id)
	return t, ok && now.Before(t.expiresAt)
}

func (s *store) addCode(c *authorizationCode) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	value := newSecret()
	s.codes.put(value, c)
	return value
}

// redeemCode returns a code and marks it as used. A second attempt revokes the
// grant (RFC 6749 section 4.1.2).
func (s *store) redeemCode(value, clientID string, now time.Time) (authorizationCode, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.codes.get(value)
	switch {
	case !ok || c.grant.clientID != clientID:
		return authorizationCode{}, errUnknown
	case c.used:
		c.grant.revoked = true
		return authorizationCode{}, errReused
	case c.grant.revoked:
		return authorizationCode{}, errRevoked
	case !now.Before(c.expiresAt):
		return authorizationCode{}, errExpired
	}
	c.used = true
	return *c, nil
}
