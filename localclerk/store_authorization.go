package localclerk

import (
	"time"
)

const (
	transactionLifetime = time.Hour
	codeLifetime        = 10 * time.Minute
)

// transaction is an authorization request on its way through the pages.
type transaction struct {
	request   authorizationRequest
	user      string // empty until somebody signed in
	expiresAt time.Time
}

type authorizationCode struct {
	grant         *grant
	redirectURI   string // empty if the authorization request had none
	codeChallenge string // S256, or empty
	expiresAt     time.Time
	used          bool
}

// begin opens a transaction and returns its id.
func (v *store) beginTransaction(request authorizationRequest, now time.Time) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	id := newSecret()
	v.transactions.put(id, transaction{request: request, expiresAt: now.Add(transactionLifetime)})
	return id
}

func (v *store) transaction(id string, now time.Time) (transaction, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t, ok := v.transactions.get(id)
	return t, ok && now.Before(t.expiresAt)
}

// signIn notes who is signed in; an empty user signs out.
func (v *store) setTransactionUser(id, user string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if t, ok := v.transactions.get(id); ok {
		t.user = user
		v.transactions.put(id, t)
	}
}

// finish closes a transaction. Only the first call finds it.
func (v *store) finishTransaction(id string, now time.Time) (transaction, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t, ok := v.transactions.get(id)
	v.transactions.delete(id)
	return t, ok && now.Before(t.expiresAt)
}

func (v *store) addCode(c *authorizationCode) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	value := newSecret()
	v.codes.put(value, c)
	return value
}

// redeem spends a code. A second attempt revokes the family.
func (v *store) redeemCode(value, clientID string, now time.Time) (authorizationCode, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c, ok := v.codes.get(value)
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
