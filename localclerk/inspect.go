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
	Created      time.Time
}

// OpaqueToken is an opaque access token that was issued, without its value.
type OpaqueToken struct {
	ID           string
	ClientID     string
	User         string // user_…
	Organization string // org_…, or empty
	Scopes       []string
	Issued       time.Time
	Expires      time.Time
	Revoked      bool
}

// Clients returns the clients there are, oldest first. Those of metadata
// documents are among them once they came.
func (s *Server) Clients() []Client {
	var clients []Client
	for _, c := range s.vault.allClients() {
		clients = append(clients, Client{
			ID:           c.id,
			Name:         c.name,
			RedirectURIs: slices.Clone(c.redirectURIs),
			Scopes:       slices.Clone(c.scopes),
			Dynamic:      c.dynamic,
			Public:       c.public(),
			Created:      c.created,
		})
	}
	return clients
}

// OpaqueTokens returns the opaque access tokens that have not expired, oldest
// first. JWTs are not kept: [Event.Response] has the claims of each.
func (s *Server) OpaqueTokens() []OpaqueToken {
	now := s.now()
	s.vault.mu.Lock()
	defer s.vault.mu.Unlock()
	var tokens []OpaqueToken
	for _, t := range s.vault.access.all() {
		if now.Before(t.expires) {
			tokens = append(tokens, t.inspect())
		}
	}
	return tokens
}

// OpaqueToken returns what an opaque access token stands for, and whether this
// server issued it.
func (s *Server) OpaqueToken(value string) (OpaqueToken, bool) {
	t, ok := s.vault.opaque(value)
	if !ok {
		return OpaqueToken{}, false
	}
	return t.inspect(), true
}

func (t *accessToken) inspect() OpaqueToken {
	return OpaqueToken{
		ID:           t.id,
		ClientID:     t.grant.clientID,
		User:         t.grant.user,
		Organization: t.grant.organization,
		Scopes:       slices.Clone(t.scopes),
		Issued:       t.issued,
		Expires:      t.expires,
		Revoked:      t.revoked || t.grant.revoked,
	}
}
