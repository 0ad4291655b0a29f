package localclerk

import (
	"slices"
	"time"
)

// Client is an OAuth application without its secret.
type Client struct {
	ID           string
	Name         string
	RedirectURIs []string
	Scopes       []string
	Dynamic      bool // the client registered itself
	Public       bool // the client has no secret
	CreatedAt    time.Time
}

// OpaqueToken is the record of an opaque access token, without the value of the token.
type OpaqueToken struct {
	ID           string // oat_…
	ClientID     string
	User         string // user_…
	Organization string // org_…, or empty
	Scopes       []string
	IssuedAt     time.Time
	ExpiresAt    time.Time
	Revoked      bool // the token or its grant was revoked
}

// Clients returns all clients, oldest first. A client with a client ID metadata
// document is included after its first request.
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

// OpaqueTokens returns the opaque access tokens that have not expired, oldest first.
// JWTs are not stored; [Event.Response] contains their claims.
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

// OpaqueToken returns the record of an opaque access token, even if it has expired or
// is revoked. It returns false if this server did not issue the token or has
// evicted it.
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
