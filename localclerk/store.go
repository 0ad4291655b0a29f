package localclerk

import (
	"sync"
)

// The size limits of the store. A new entry evicts the oldest one.
const (
	maxClients       = 2000
	maxTransactions  = 2000
	maxCodes         = 10_000
	maxRefreshTokens = 20_000
	maxAccessTokens  = 20_000
)

// store keeps the clients, the authorization requests in progress, and the codes
// and tokens that were issued. It is kept in memory only.
type store struct {
	mu                   sync.Mutex
	clients              boundedMap[*client]
	transactions         boundedMap[transaction]
	codes                boundedMap[*authorizationCode]
	refreshTokens        boundedMap[*refreshToken]
	accessTokens         boundedMap[*accessToken]
	preregisteredClients boundedMap[struct{}] // client IDs, see PreregisterClient
}

// grant is the consent of one user to one client. Every code and token that is
// issued from it points to it, so that all of them are revoked together (RFC
// 9700 section 4.14.2).
type grant struct {
	clientID     string
	user         string // user_…
	organization string // org_…, or empty
	scopes       []string
	resource     string // RFC 8707, or empty
	nonce        string
	revoked      bool // guarded by store.mu
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

func (s *store) addClient(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients.put(c.id, c)
}

func (s *store) client(id string) (*client, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clients.get(id)
}

func (s *store) preregister(clientID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.preregisteredClients.put(clientID, struct{}{})
}

func (s *store) preregistered(clientID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.preregisteredClients.get(clientID)
	return ok
}

// allClients returns the clients, oldest first.
func (s *store) allClients() []*client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clients.all()
}
