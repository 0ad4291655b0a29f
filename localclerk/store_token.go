package localclerk

import (
	"errors"
	"time"
)

type refreshToken struct {
	grant    *grant
	issuedAt time.Time
	used     bool
}

// accessToken is the content of an access token: the record of an opaque token or
// the claims of a JWT.
type accessToken struct {
	grant     *grant
	id        string
	scopes    []string
	issuedAt  time.Time
	expiresAt time.Time
	revoked   bool
}

var (
	errUnknown = errors.New("it is unknown or was issued to another client")
	errExpired = errors.New("it has expired")
	errReused  = errors.New("it was used before; every token of this grant is now revoked")
	errRevoked = errors.New("it has been revoked")
)

func (s *store) addRefreshToken(g *grant, now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.putRefreshToken(g, now)
}

// putRefreshToken is addRefreshToken for callers that hold s.mu.
func (s *store) putRefreshToken(g *grant, now time.Time) string {
	value := newSecret()
	s.refreshTokens.put(value, &refreshToken{grant: g, issuedAt: now})
	return value
}

// checkRefreshToken returns the grant of an active refresh token without using the
// token. A refresh token that was used before revokes its grant (RFC 9700
// section 4.14.2).
func (s *store) checkRefreshToken(value, clientID string) (*grant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.activeRefreshToken(value, clientID)
}

// activeRefreshToken is checkRefreshToken for callers that hold s.mu.
func (s *store) activeRefreshToken(value, clientID string) (*grant, error) {
	t, ok := s.refreshTokens.get(value)
	switch {
	case !ok || t.grant.clientID != clientID:
		return nil, errUnknown
	case t.used:
		t.grant.revoked = true
		return nil, errReused
	case t.grant.revoked:
		return nil, errRevoked
	}
	return t.grant, nil
}

// rotateRefreshToken marks a refresh token as used and returns the next one of the
// same grant.
func (s *store) rotateRefreshToken(value, clientID string, now time.Time) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.activeRefreshToken(value, clientID)
	if err != nil {
		return "", err
	}
	t, _ := s.refreshTokens.get(value)
	t.used = true
	return s.putRefreshToken(g, now), nil
}

func (s *store) addAccessToken(t *accessToken) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	value := opaquePrefix + randomString(base62, opaqueTokenLength)
	s.accessTokens.put(value, t)
	return value
}

// opaqueToken returns a copy of the record of an opaque access token.
func (s *store) opaqueToken(value string) (accessToken, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.accessTokens.get(value)
	if !ok {
		return accessToken{}, false
	}
	found := *t
	found.revoked = t.revoked || t.grant.revoked
	return found, true
}

// refreshToken returns a refresh token that is neither used nor revoked.
func (s *store) refreshToken(value string) (refreshToken, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.refreshTokens.get(value)
	if !ok || t.used || t.grant.revoked {
		return refreshToken{}, false
	}
	return *t, true
}

// revokeToken revokes the grant of a refresh token or opaque access token if the
// token was issued to clientID. It returns the client ID to which the token was
// issued, or "" if the token is unknown.
func (s *store) revokeToken(value, clientID string) (owner string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var g *grant
	if t, ok := s.refreshTokens.get(value); ok {
		g = t.grant
	} else if t, ok := s.accessTokens.get(value); ok {
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
func (s *store) revokeUser(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var grants []*grant
	for _, c := range s.codes.all() {
		grants = append(grants, c.grant)
	}
	for _, t := range s.refreshTokens.all() {
		grants = append(grants, t.grant)
	}
	for _, t := range s.accessTokens.all() {
		grants = append(grants, t.grant)
	}
	for _, g := range grants {
		if g.user == user {
			g.revoked = true
		}
	}
}
