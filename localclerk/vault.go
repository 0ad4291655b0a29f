package localclerk

import (
	"errors"
	"sync"
	"time"
)

// How much a Server remembers. The oldest makes room for the newest.
const (
	maxClients       = 2000
	maxTransactions  = 2000
	maxCodes         = 10_000
	maxRefreshTokens = 20_000
	maxAccessTokens  = 20_000
)

const (
	transactionLifetime = time.Hour
	codeLifetime        = 10 * time.Minute
)

// vault remembers clients, what was issued to them, and the authorizations
// under way. All of it is lost with the process.
type vault struct {
	mu           sync.Mutex
	clients      shelf[*client]
	transactions shelf[transaction]
	codes        shelf[*code]
	refresh      shelf[*refreshToken]
	access       shelf[*accessToken]
	admitted     shelf[struct{}] // metadata documents registered beforehand
}

// grant is one consent: who let which client do what. Every token that comes
// of it is of its family, and falls with it (RFC 9700 section 4.14.2).
type grant struct {
	clientID     string
	user         string // user_…
	organization string // org_…, or empty
	scopes       []string
	resource     string // RFC 8707, or empty
	nonce        string
	revoked      bool // guarded by vault.mu, like every field that changes
}

// transaction is an authorization request on its way through the pages.
type transaction struct {
	request authorizeRequest
	user    string // empty until somebody signed in
	expires time.Time
}

type code struct {
	grant       *grant
	redirectURI string // empty if the authorization request had none
	challenge   string // S256, or empty
	expires     time.Time
	spent       bool
}

type refreshToken struct {
	grant  *grant
	issued time.Time
	spent  bool
}

// accessToken is what an opaque token stands for, and what the claims of a JWT
// say.
type accessToken struct {
	grant   *grant
	id      string
	scopes  []string
	issued  time.Time
	expires time.Time
	revoked bool
}

func newVault() vault {
	return vault{
		clients:      newShelf[*client](maxClients),
		transactions: newShelf[transaction](maxTransactions),
		codes:        newShelf[*code](maxCodes),
		refresh:      newShelf[*refreshToken](maxRefreshTokens),
		access:       newShelf[*accessToken](maxAccessTokens),
		admitted:     newShelf[struct{}](maxClients),
	}
}

func (v *vault) addClient(c *client) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.clients.put(c.id, c)
}

func (v *vault) client(id string) (*client, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.clients.get(id)
}

func (v *vault) preregister(clientID string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.admitted.put(clientID, struct{}{})
}

func (v *vault) preregistered(clientID string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, ok := v.admitted.get(clientID)
	return ok
}

// allClients returns the clients, oldest first.
func (v *vault) allClients() []*client {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.clients.all()
}

// begin opens a transaction and returns its id.
func (v *vault) begin(request authorizeRequest, now time.Time) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	id := newSecret()
	v.transactions.put(id, transaction{request: request, expires: now.Add(transactionLifetime)})
	return id
}

func (v *vault) transaction(id string, now time.Time) (transaction, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t, ok := v.transactions.get(id)
	return t, ok && now.Before(t.expires)
}

// signIn notes who is signed in; an empty user signs out.
func (v *vault) signIn(id, user string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if t, ok := v.transactions.get(id); ok {
		t.user = user
		v.transactions.put(id, t)
	}
}

// finish closes a transaction. Only the first call finds it.
func (v *vault) finish(id string, now time.Time) (transaction, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t, ok := v.transactions.get(id)
	v.transactions.delete(id)
	return t, ok && now.Before(t.expires)
}

func (v *vault) addCode(c *code) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	value := newSecret()
	v.codes.put(value, c)
	return value
}

var (
	errUnknown = errors.New("it is unknown or was issued to another client")
	errExpired = errors.New("it has expired")
	errReused  = errors.New("it was used before; every token of this grant is now revoked")
	errRevoked = errors.New("it has been revoked")
)

// redeem spends a code. A second attempt revokes the family.
func (v *vault) redeem(value, clientID string, now time.Time) (code, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c, ok := v.codes.get(value)
	switch {
	case !ok || c.grant.clientID != clientID:
		return code{}, errUnknown
	case c.spent:
		c.grant.revoked = true
		return code{}, errReused
	case c.grant.revoked:
		return code{}, errRevoked
	case !now.Before(c.expires):
		return code{}, errExpired
	}
	c.spent = true
	return *c, nil
}

func (v *vault) addRefreshToken(g *grant, now time.Time) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.putRefreshToken(g, now)
}

func (v *vault) putRefreshToken(g *grant, now time.Time) string {
	value := newSecret()
	v.refresh.put(value, &refreshToken{grant: g, issued: now})
	return value
}

// peekRefresh returns the grant of a refresh token that rotate would take. A
// token that was rotated away before revokes the family.
func (v *vault) peekRefresh(value, clientID string) (*grant, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.liveRefresh(value, clientID)
}

func (v *vault) liveRefresh(value, clientID string) (*grant, error) {
	t, ok := v.refresh.get(value)
	switch {
	case !ok || t.grant.clientID != clientID:
		return nil, errUnknown
	case t.spent:
		t.grant.revoked = true
		return nil, errReused
	case t.grant.revoked:
		return nil, errRevoked
	}
	return t.grant, nil
}

// rotate spends a refresh token and returns the next one of its family.
func (v *vault) rotate(value, clientID string, now time.Time) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	g, err := v.liveRefresh(value, clientID)
	if err != nil {
		return "", err
	}
	t, _ := v.refresh.get(value)
	t.spent = true
	return v.putRefreshToken(g, now), nil
}

func (v *vault) addAccessToken(t *accessToken) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	value := opaquePrefix + randomString(base62, opaqueTokenLength)
	v.access.put(value, t)
	return value
}

// opaque returns a copy of what an opaque access token stands for.
func (v *vault) opaque(value string) (accessToken, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t, ok := v.access.get(value)
	if !ok {
		return accessToken{}, false
	}
	found := *t
	found.revoked = t.revoked || t.grant.revoked
	return found, true
}

// refreshGrant returns the grant of a refresh token that still works.
func (v *vault) refreshGrant(value string) (refreshToken, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t, ok := v.refresh.get(value)
	if !ok || t.spent || t.grant.revoked {
		return refreshToken{}, false
	}
	return *t, true
}

// revoke ends the family of a refresh or opaque access token, and reports
// whose it was. A token that is unknown is nobody's.
func (v *vault) revoke(value, clientID string) (owner string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var g *grant
	if t, ok := v.refresh.get(value); ok {
		g = t.grant
	} else if t, ok := v.access.get(value); ok {
		g = t.grant
	} else {
		return ""
	}
	if g.clientID == clientID {
		g.revoked = true
	}
	return g.clientID
}

// revokeUser revokes every grant of a user.
func (v *vault) revokeUser(user string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var grants []*grant
	for _, c := range v.codes.all() {
		grants = append(grants, c.grant)
	}
	for _, t := range v.refresh.all() {
		grants = append(grants, t.grant)
	}
	for _, t := range v.access.all() {
		grants = append(grants, t.grant)
	}
	for _, g := range grants {
		if g.user == user {
			g.revoked = true
		}
	}
}
