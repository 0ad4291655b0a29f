package localclerk

import (
	"cmp"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// TokenKind is a kind of Clerk's tokens. JWTs of all kinds have the same iss and kid
// and are signed with the same key.
type TokenKind string

// The kinds of tokens. A resource server must accept OAuthToken only.
const (
	OAuthToken    TokenKind = "oauth_token"   // an OAuth access token, valid for 24 hours
	IDToken       TokenKind = "id_token"      // an OpenID Connect ID token, valid for 24 hours
	SessionToken  TokenKind = "session_token" // the token of a signed-in browser, valid for a minute
	TemplateToken TokenKind = "jwt_template"  // a JWT with custom claims, which may contain aud, valid for a minute
	M2MToken      TokenKind = "m2m_token"     // a machine-to-machine token, valid for an hour
	APIKey        TokenKind = "api_key"       // an API key, always opaque
)

// The values of the cat header, with which Clerk distinguishes its JWTs of typ JWT.
const (
	catSession  = "cl_B7d4PD111AAA"
	catTemplate = "cl_B7d4PD222AAA"
	catM2M      = "cl_B7d4PD333AAA"
)

const (
	sessionLifetime = time.Minute
	machineLifetime = time.Hour

	// applicationOrigin is the azp of session and template tokens: the origin of
	// the application to which the user is signed in.
	applicationOrigin = "http://localhost:3000"
)

// Token describes a token for IssueToken. The zero value is an access token of the
// first user with the scopes profile and email.
type Token struct {
	// Kind is the kind of token. Empty means OAuthToken.
	Kind TokenKind

	// User is the user's ID, username, email address or first name. Empty means
	// the first user. M2M tokens and API keys have no user.
	User string

	// Organization is the ID or slug of one of the user's organizations. It is
	// the claim org_id, or in session tokens the claim o. Empty means none.
	Organization string

	// Scopes are the scopes of OAuth and ID tokens. Nil means profile and email.
	Scopes []string

	// ClientID is the client of OAuth and ID tokens. It need not be registered.
	// Empty means a new ID.
	ClientID string

	// Resource is the aud claim of a JWT, regardless of
	// Settings.AudClaimEnabled. It is ignored for ID tokens, whose aud is the
	// client. Empty means no aud.
	Resource string

	// Lifetime is the time from now until the token expires. Zero means the
	// usual lifetime of the kind. A negative one makes an expired token. As at
	// Clerk, OAuth tokens expire one second later.
	Lifetime time.Duration

	// Opaque makes OAuth and M2M tokens opaque. Other kinds ignore it.
	Opaque bool

	// Header and Claims set members of the header and claims of a JWT. They
	// replace those that IssueToken sets. A nil value removes the member.
	Header, Claims map[string]any
}

// IssueToken returns the token that t describes, without a sign-in. It is signed with
// the same key as the tokens of the token endpoint, so tests can use it to make
// tokens that are valid except for one claim. An opaque OAuth token is stored and
// works at every endpoint; opaque M2M tokens and API keys are only random strings.
func (s *Server) IssueToken(t Token) (string, error) {
	dir := s.currentDirectory()
	user, err := dir.findUser(cmp.Or(t.User, dir.users[0].ID))
	if err != nil {
		return "", fmt.Errorf("localclerk: issuing a token: %w", err)
	}
	o, m, err := dir.membership(user, t.Organization)
	if err != nil {
		return "", fmt.Errorf("localclerk: issuing a token: %w", err)
	}
	if t.Scopes == nil {
		t.Scopes = splitScope(defaultScope)
	}
	t.ClientID = cmp.Or(t.ClientID, randomString(base62, clientIDLength))
	switch t.Kind {
	case OAuthToken, "":
		return s.issueOAuthToken(t, user, o)
	case IDToken:
		claims := s.idTokenClaims(s.newTokenGrant(t, user, o), user, t.Scopes, cmp.Or(t.Lifetime, idTokenLifetime))
		return s.signJWT(t, typJWT, "", claims)
	case SessionToken:
		claims := s.baseClaims(user.ID, cmp.Or(t.Lifetime, sessionLifetime))
		maps.Copy(claims, sessionClaims(o, m))
		return s.signJWT(t, typJWT, catSession, claims)
	case TemplateToken:
		claims := s.baseClaims(user.ID, cmp.Or(t.Lifetime, sessionLifetime))
		claims["azp"] = applicationOrigin
		claims["jti"] = newID("")
		return s.signJWT(t, typJWT, catTemplate, claims)
	case M2MToken:
		id := newID("mt_")
		if t.Opaque {
			return id, nil
		}
		claims := s.baseClaims(newID("mch_"), cmp.Or(t.Lifetime, machineLifetime))
		claims["jti"] = id
		return s.signJWT(t, typJWT, catM2M, claims)
	case APIKey:
		return newID("ak_"), nil
	}
	return "", fmt.Errorf("localclerk: issuing a token: got kind %q, want one of %q", t.Kind,
		[]TokenKind{OAuthToken, IDToken, SessionToken, TemplateToken, M2MToken, APIKey})
}

func (s *Server) newTokenGrant(t Token, user User, o Organization) *grant {
	return &grant{clientID: t.ClientID, user: user.ID, organization: o.ID, scopes: t.Scopes, resource: t.Resource}
}

func (s *Server) issueOAuthToken(t Token, user User, o Organization) (string, error) {
	g := s.newTokenGrant(t, user, o)
	if o.ID != "" && !slices.Contains(g.scopes, ScopeOrganization) {
		g.scopes = append(slices.Clone(g.scopes), ScopeOrganization)
	}
	token := newAccessToken(g, g.scopes, s.now(), cmp.Or(t.Lifetime, accessTokenLifetime), t.Opaque)
	if t.Opaque {
		return s.store.addAccessToken(token), nil
	}
	return s.signJWT(t, typAccessToken, "", token.claims(s.issuer))
}

// baseClaims returns the claims that session, template and M2M tokens have in common.
func (s *Server) baseClaims(subject string, lifetime time.Duration) jwt.MapClaims {
	now := s.now()
	return jwt.MapClaims{
		"exp": now.Add(lifetime).Unix(),
		"iat": now.Unix(),
		"iss": s.issuer,
		"nbf": now.Add(-notBeforeEarly).Unix(),
		"sub": subject,
	}
}

// signJWT signs claims after it applied Resource, Claims and Header of t.
func (s *Server) signJWT(t Token, typ, cat string, claims jwt.MapClaims) (string, error) {
	if _, ok := claims["aud"]; !ok && t.Resource != "" {
		claims["aud"] = t.Resource
	}
	applyOverrides(claims, t.Claims)
	keys := s.currentKeys()
	header := keys.header(typ)
	if cat != "" {
		header["cat"] = cat
	}
	applyOverrides(header, t.Header)
	return keys.sign(header, claims)
}

func applyOverrides(values, overrides map[string]any) {
	for name, value := range overrides {
		values[name] = value
		if value == nil {
			delete(values, name)
		}
	}
}

// sessionClaims returns the claims of session tokens, version 2. Permissions such as
// org:teams:read are split into features (fea), permissions (o.per) and a bit mask
// of permissions for each feature (o.fpm).
func sessionClaims(o Organization, m Membership) map[string]any {
	claims := map[string]any{
		"azp": applicationOrigin,
		"fva": []int{0, -1},
		"sid": newID("sess_"),
		"sts": "active",
		"v":   2,
	}
	if o.ID == "" {
		return claims
	}
	org := map[string]any{"id": o.ID, "slg": o.Slug, "rol": strings.TrimPrefix(m.Role, "org:")}
	if fea, per, fpm := compactPermissions(m.Permissions); fea != "" {
		org["per"], org["fpm"] = per, fpm
		claims["fea"] = fea
	}
	claims["o"] = org
	return claims
}

// compactPermissions returns the claims fea, o.per and o.fpm. It ignores permissions
// that do not have the form org:feature:permission.
func compactPermissions(permissions []string) (fea, per, fpm string) {
	granted := map[string][]string{}
	var names []string
	for _, key := range permissions {
		parts := strings.Split(key, ":")
		if len(parts) != 3 || parts[0] != "org" {
			continue
		}
		granted[parts[1]] = append(granted[parts[1]], parts[2])
		names = append(names, parts[2])
	}
	slices.Sort(names)
	names = slices.Compact(names)
	var features, masks []string
	for _, feature := range slices.Sorted(maps.Keys(granted)) {
		mask := new(big.Int)
		for bit, name := range names {
			if slices.Contains(granted[feature], name) {
				mask.SetBit(mask, bit, 1)
			}
		}
		features = append(features, "o:"+feature)
		masks = append(masks, mask.String())
	}
	return strings.Join(features, ","), strings.Join(names, ","), strings.Join(masks, ",")
}
