package localclerk

import (
	"slices"
	"time"
)

// Client is a registered OAuth application, without its secret.
type Client struct {
	ID           string
	Name         string
	RedirectURIs []string
	Scopes       []string
	Dynamic      bool // registered itself
	Public       bool // has no secret
	CreatedAt    time.Time
}

// OpaqueToken is an opaque access token that was issued, without its value.
type OpaqueToken struct {
	ID           string
	ClientID     string
	User         string // user_…
	Organization string // org_…, or empty
	Scopes       []string
	IssuedAt     time.Time
	ExpiresAt    time.Time
	Revoked      bool
}

// Clients returns the clients there are, oldest first. Those of metadata
// documents are among them once they came.
func (s *Server) Clients() []Client {
	var clients []Client
	for _, c := range s.store.allClients() {
		clients = append(clients, Client{
			ID:           c.id,
			Name:         c.name,
			RedirectURIs: slices.Clone(c.redirectURIs),
			Scopes:       slices.Clone(c.scopes),
			Dynamic:      c.dynamic,
			Public:       c.public(),
			CreatedAt:    c.createdAt,
		})
	}
	return clients
}

// OpaqueTokens returns the opaque access tokens that have not expired, oldest
// first. JWTs are not kept: [Event.Response] has the claims of each.
func (s *Server) OpaqueTokens() []OpaqueToken {
	now := s.now()
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	var tokens []OpaqueToken
	for _, t := range s.store.accessTokens.all() {
		if now.Before(t.expiresAt) {
			tokens = append(tokens, t.describe())
		}
	}
	return tokens
}

// OpaqueToken returns what an opaque access token stands for, and whether this
// server issued it.
func (s *Server) OpaqueToken(value string) (OpaqueToken, bool) {
	t, ok := s.store.opaqueToken(value)
	if !ok {
		return OpaqueToken{}, false
	}
	return t.describe(), true
}

func (t *accessToken) describe() OpaqueToken {
	return OpaqueToken{
		ID:           t.id,
		ClientID:     t.grant.clientID,
		User:         t.grant.user,
		Organization: t.grant.organization,
		Scopes:       slices.Clone(t.scopes),
		IssuedAt:     t.issuedAt,
		ExpiresAt:    t.expiresAt,
		Revoked:      t.revoked || t.grant.revoked,
	}
}
