package localclerk

import (
	"sync"
)

// How much a Server remembers. The oldest makes room for the newest.
const (
	maxClients       = 2000
	maxTransactions  = 2000
	maxCodes         = 10_000
	maxRefreshTokens = 20_000
	maxAccessTokens  = 20_000
)

// vault remembers clients, what was issued to them, and the authorizations
// under way. All of it is lost with the process.
type store struct {
	mu                   sync.Mutex
	clients              boundedMap[*client]
	transactions         boundedMap[transaction]
	codes                boundedMap[*authorizationCode]
	refreshTokens        boundedMap[*refreshToken]
	accessTokens         boundedMap[*accessToken]
	preregisteredClients boundedMap[struct{}] // metadata documents registered beforehand
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

func newStore() store {
	return store{
		clients:              newBoundedMap[*client](maxClients),
		transactions:         newBoundedMap[transaction](maxTransactions),
		codes:                newBoundedMap[*authorizationCode](maxCodes),
		refreshTokens:        newBoundedMap[*refreshToken](maxRefreshTokens),
		accessTokens:         newBoundedMap[*accessToken](maxAccessTokens),
		preregisteredClients: newBoundedMap[struct{}](maxClients),
	}
}

func (v *store) addClient(c *client) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.clients.put(c.id, c)
}

func (v *store) client(id string) (*client, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.clients.get(id)
}

func (v *store) preregister(clientID string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.preregisteredClients.put(clientID, struct{}{})
}

func (v *store) preregistered(clientID string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, ok := v.preregisteredClients.get(clientID)
	return ok
}

// allClients returns the clients, oldest first.
func (v *store) allClients() []*client {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.clients.all()
}
