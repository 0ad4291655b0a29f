package localclerk

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	opaquePrefix = "oat_"

	typAccessToken = "at+jwt" // RFC 9068 section 2.1
	typJWT         = "JWT"

	// accessTokenLifetime is the value of expires_in.
	accessTokenLifetime = 24 * time.Hour
	idTokenLifetime     = 24 * time.Hour

	// notBeforeEarly is the time from nbf to iat in Clerk's tokens.
	notBeforeEarly = 10 * time.Second
)

// newAccessToken returns the content of a new access token. As measured at Clerk, it
// expires one second later than expires_in says.
func newAccessToken(g *grant, scopes []string, now time.Time, lifetime time.Duration, opaque bool) *accessToken {
	id := randomString(crockford, tokenIDLength)
	if opaque {
		id = randomString(hex, opaqueTokenLength)
	}
	return &accessToken{
		grant:     g,
		id:        opaquePrefix + id,
		scopes:    scopes,
		issuedAt:  now,
		expiresAt: now.Add(lifetime + time.Second),
	}
}

// issueAccessToken returns an access token, opaque or a JWT according to settings. A
// JWT has the resource of the grant as aud if the settings enable that.
func (s *Server) issueAccessToken(g *grant, scopes []string, settings Settings) (string, error) {
	t := newAccessToken(g, scopes, s.now(), accessTokenLifetime, !settings.OAuthJWTAccessTokens)
	if !settings.OAuthJWTAccessTokens {
		return s.store.addAccessToken(t), nil
	}
	claims := t.claims(s.issuer)
	if !settings.AudClaimEnabled {
		delete(claims, "aud")
	}
	keys := s.currentKeys()
	return keys.sign(keys.header(typAccessToken), claims)
}

// claims returns the claims of a JWT access token. As at Clerk, they contain no
// email, name or role.
func (t *accessToken) claims(issuer string) jwt.MapClaims {
	claims := jwt.MapClaims{
		"client_id": t.grant.clientID,
		"exp":       t.expiresAt.Unix(),
		"iat":       t.issuedAt.Unix(),
		"iss":       issuer,
		"jti":       t.id,
		"nbf":       t.issuedAt.Add(-notBeforeEarly).Unix(),
		"scope":     strings.Join(t.scopes, " "),
		"sub":       t.grant.user,
	}
	if t.grant.organization != "" && slices.Contains(t.scopes, ScopeOrganization) {
		claims["org_id"] = t.grant.organization
	}
	if t.grant.resource != "" {
		claims["aud"] = []string{t.grant.resource}
	}
	return claims
}

// issueIDToken returns an ID token (OpenID Connect Core 1.0 section 2) with the claims
// that userinfo returns for scopes.
func (s *Server) issueIDToken(g *grant, user User, scopes []string) (string, error) {
	keys := s.currentKeys()
	return keys.sign(keys.header(typJWT), s.idTokenClaims(g, user, scopes, idTokenLifetime))
}

func (s *Server) idTokenClaims(g *grant, user User, scopes []string, lifetime time.Duration) jwt.MapClaims {
	now := s.now()
	claims := jwt.MapClaims{
		"aud": []string{g.clientID},
		"exp": now.Add(lifetime).Unix(),
		"iat": now.Unix(),
		"iss": s.issuer,
		"jti": newID(""),
		"sub": g.user,
	}
	if g.nonce != "" {
		claims["nonce"] = g.nonce
	}
	maps.Copy(claims, user.claims(scopes))
	if g.organization != "" && slices.Contains(scopes, ScopeOrganization) {
		claims["org_id"] = g.organization
	}
	return claims
}

// readAccessToken returns the content of an access token of this server, opaque or
// JWT. It does not check whether an opaque token has expired or is revoked. For a
// JWT that has expired it returns an error.
func (s *Server) readAccessToken(value string) (accessToken, error) {
	if strings.HasPrefix(value, opaquePrefix) {
		t, ok := s.store.opaqueToken(value)
		if !ok {
			return accessToken{}, errUnknown
		}
		return t, nil
	}
	return s.readJWT(value)
}

func (s *Server) readJWT(value string) (accessToken, error) {
	claims := struct {
		ClientID     string `json:"client_id"`
		Scope        string `json:"scope"`
		Organization string `json:"org_id"`
		jwt.RegisteredClaims
	}{}
	keys := s.currentKeys()
	keyOf := func(token *jwt.Token) (any, error) {
		if token.Header["typ"] != typAccessToken {
			return nil, fmt.Errorf("got typ %q, want at+jwt", token.Header["typ"])
		}
		return keys.verificationKeys(token)
	}
	_, err := jwt.ParseWithClaims(value, &claims, keyOf, jwt.WithValidMethods(signingAlgs), jwt.WithIssuer(s.issuer),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithTimeFunc(s.now))
	if err != nil {
		return accessToken{}, err
	}
	if claims.IssuedAt == nil {
		return accessToken{}, errors.New("the iat claim is missing")
	}
	g := &grant{clientID: claims.ClientID, user: claims.Subject, organization: claims.Organization}
	if len(claims.Audience) > 0 {
		g.resource = claims.Audience[0]
	}
	return accessToken{
		grant:     g,
		id:        claims.ID,
		scopes:    splitScope(claims.Scope),
		issuedAt:  claims.IssuedAt.Time,
		expiresAt: claims.ExpiresAt.Time,
	}, nil
}

// activeToken returns an access token and its user. It returns false if the token has
// expired or is revoked, or if the user is banned or does not exist.
func (s *Server) activeToken(value string) (accessToken, User, bool) {
	t, err := s.readAccessToken(value)
	if err != nil || t.revoked || !s.now().Before(t.expiresAt) {
		return accessToken{}, User{}, false
	}
	user, ok := s.currentDirectory().user(t.grant.user)
	return t, user, ok && !user.Banned
}

// checkCodeVerifier checks a code_verifier against an S256 code_challenge (RFC 7636
// section 4.6). It rejects a verifier without a challenge, which indicates a
// downgrade attack (RFC 9700 section 4.8.2).
func checkCodeVerifier(challenge, verifier string) error {
	if challenge == "" {
		if verifier != "" {
			return fmt.Errorf("there is a code_verifier, but the authorization request had no code_challenge")
		}
		return nil
	}
	if got := len(verifier); got < 43 || got > 128 {
		return fmt.Errorf("the PKCE code verifier has %d characters, want 43 to 128", got)
	}
	sum := sha256.Sum256([]byte(verifier))
	if base64.RawURLEncoding.EncodeToString(sum[:]) != challenge {
		return fmt.Errorf("the PKCE code challenge did not match the code verifier")
	}
	return nil
}
