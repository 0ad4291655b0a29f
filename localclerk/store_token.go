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

// accessToken is what an opaque token stands for, and what the claims of a JWT
// say.
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

func (v *store) addRefreshToken(g *grant, now time.Time) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.putRefreshToken(g, now)
}

func (v *store) putRefreshToken(g *grant, now time.Time) string {
	value := newSecret()
	v.refreshTokens.put(value, &refreshToken{grant: g, issuedAt: now})
	return value
}

// peekRefresh returns the grant of a refresh token that rotate would take. A
// token that was rotated away before revokes the family.
func (v *store) checkRefreshToken(value, clientID string) (*grant, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.activeRefreshToken(value, clientID)
}

func (v *store) activeRefreshToken(value, clientID string) (*grant, error) {
	t, ok := v.refreshTokens.get(value)
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

// rotate spends a refresh token and returns the next one of its family.
func (v *store) rotateRefreshToken(value, clientID string, now time.Time) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	g, err := v.activeRefreshToken(value, clientID)
	if err != nil {
		return "", err
	}
	t, _ := v.refreshTokens.get(value)
	t.used = true
	return v.putRefreshToken(g, now), nil
}

func (v *store) addAccessToken(t *accessToken) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	value := opaquePrefix + randomString(base62, opaqueTokenLength)
	v.accessTokens.put(value, t)
	return value
}

// opaque returns a copy of what an opaque access token stands for.
func (v *store) opaqueToken(value string) (accessToken, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t, ok := v.accessTokens.get(value)
	if !ok {
		return accessToken{}, false
	}
	found := *t
	found.revoked = t.revoked || t.grant.revoked
	return found, true
}

// refreshGrant returns the grant of a refresh token that still works.
func (v *store) refreshToken(value string) (refreshToken, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t, ok := v.refreshTokens.get(value)
	if !ok || t.used || t.grant.revoked {
		return refreshToken{}, false
	}
	return *t, true
}

// revoke ends the family of a refresh or opaque access token, and reports
// whose it was. A token that is unknown is nobody's.
func (v *store) revokeToken(value, clientID string) (owner string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var g *grant
	if t, ok := v.refreshTokens.get(value); ok {
		g = t.grant
	} else if t, ok := v.accessTokens.get(value); ok {
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
func (v *store) revokeUser(user string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var grants []*grant
	for _, c := range v.codes.all() {
		grants = append(grants, c.grant)
	}
	for _, t := range v.refreshTokens.all() {
		grants = append(grants, t.grant)
	}
	for _, t := range v.accessTokens.all() {
		grants = append(grants, t.grant)
	}
	for _, g := range grants {
		if g.user == user {
			g.revoked = true
		}
	}
}
