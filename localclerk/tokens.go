package localclerk

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	opaquePrefix = "oat_"

	typAccessToken = "at+jwt" // RFC 9068 section 2.1
	typJWT         = "JWT"

	// accessTokenLifetime is what expires_in says.
	accessTokenLifetime = 24 * time.Hour
	idTokenLifetime     = 24 * time.Hour

	// notBeforeEarly is how long before its iat a token of Clerk's is valid.
	notBeforeEarly = 10 * time.Second
)

// issueAccessToken returns a token of the instance's present kind.
func (s *Server) issueAccessToken(g *grant, scopes []string, settings Settings) (string, error) {
	now := s.now()
	t := &accessToken{
		grant:   g,
		id:      opaquePrefix + randomString(crockford, tokenIDLength),
		scopes:  scopes,
		issued:  now,
		expires: now.Add(accessTokenLifetime + time.Second), // as measured: exp - iat = 86401
	}
	if !settings.OAuthJWTAccessTokens {
		t.id = opaquePrefix + randomString(hex, opaqueTokenLength)
		return s.vault.addAccessToken(t), nil
	}
	return s.currentKeys().sign(typAccessToken, t.claims(s.issuer, settings))
}

// claims are those of a JWT access token: no email, name or role, and aud only
// where the instance binds tokens to resources.
func (t *accessToken) claims(issuer string, settings Settings) jwt.MapClaims {
	claims := jwt.MapClaims{
		"client_id": t.grant.clientID,
		"exp":       t.expires.Unix(),
		"iat":       t.issued.Unix(),
		"iss":       issuer,
		"jti":       t.id,
		"nbf":       t.issued.Add(-notBeforeEarly).Unix(),
		"scope":     strings.Join(t.scopes, " "),
		"sub":       t.grant.user,
	}
	if t.grant.organization != "" && slices.Contains(t.scopes, ScopeOrganization) {
		claims["org_id"] = t.grant.organization
	}
	if t.grant.resource != "" && settings.AudClaimEnabled {
		claims["aud"] = []string{t.grant.resource}
	}
	return claims
}

// issueIDToken returns an ID token (OpenID Connect Core 1.0 section 2) with
// the claims userinfo would give for scopes.
func (s *Server) issueIDToken(g *grant, scopes []string) (string, error) {
	people := s.currentPeople()
	user, ok := people.user(g.user)
	if !ok {
		return "", fmt.Errorf("no user %q any more", g.user)
	}
	now := s.now()
	claims := jwt.MapClaims{
		"aud": []string{g.clientID},
		"exp": now.Add(idTokenLifetime).Unix(),
		"iat": now.Unix(),
		"iss": s.issuer,
		"jti": newID(""),
		"sub": g.user,
	}
	if g.nonce != "" {
		claims["nonce"] = g.nonce
	}
	for name, value := range user.claims(scopes) {
		claims[name] = value
	}
	if g.organization != "" && slices.Contains(scopes, ScopeOrganization) {
		claims["org_id"] = g.organization
	}
	return s.currentKeys().sign(typJWT, claims)
}

// readAccessToken returns what an access token of this server stands for,
// opaque or JWT. It does not look at expiry or revocation of opaque ones:
// their record is returned as it is. An expired JWT is no token any more.
func (s *Server) readAccessToken(value string) (accessToken, error) {
	if strings.HasPrefix(value, opaquePrefix) {
		t, ok := s.vault.opaque(value)
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
	token, err := jwt.ParseWithClaims(value, &claims, s.currentKeys().verificationKeys,
		jwt.WithValidMethods(signingAlgs), jwt.WithIssuer(s.issuer), jwt.WithExpirationRequired(), jwt.WithTimeFunc(s.now))
	if err != nil {
		return accessToken{}, err
	}
	if token.Header["typ"] != typAccessToken || claims.IssuedAt == nil {
		return accessToken{}, fmt.Errorf("typ %q is not that of an access token", token.Header["typ"])
	}
	g := &grant{clientID: claims.ClientID, user: claims.Subject, organization: claims.Organization}
	if len(claims.Audience) > 0 {
		g.resource = claims.Audience[0]
	}
	return accessToken{
		grant:   g,
		id:      claims.ID,
		scopes:  splitScope(claims.Scope),
		issued:  claims.IssuedAt.Time,
		expires: claims.ExpiresAt.Time,
	}, nil
}

// liveToken returns an access token that is neither expired nor revoked, and
// its user, who is neither gone nor banned.
func (s *Server) liveToken(value string) (accessToken, User, bool) {
	t, err := s.readAccessToken(value)
	if err != nil || t.revoked || !s.now().Before(t.expires) {
		return accessToken{}, User{}, false
	}
	user, ok := s.currentPeople().user(t.grant.user)
	return t, user, ok && !user.Banned
}

// provesPossession checks a code_verifier against an S256 code_challenge (RFC
// 7636 section 4.6). A verifier without a challenge is a downgrade (RFC 9700
// section 4.8.2).
func provesPossession(challenge, verifier string) error {
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
