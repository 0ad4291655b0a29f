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

// TokenKind is a class of Clerk's tokens. All are signed by one key, under one
// kid and iss.
type TokenKind string

// The kinds of tokens there are.
const (
	OAuthToken    TokenKind = "oauth_token"   // an access token, the only one for a resource server
	IDToken       TokenKind = "id_token"      // for the client alone
	SessionToken  TokenKind = "session_token" // of a signed-in browser, a minute long
	TemplateToken TokenKind = "jwt_template"  // custom claims, aud among them if one likes
	M2MToken      TokenKind = "m2m_token"     // of a machine
	APIKey        TokenKind = "api_key"       // never a JWT
)

// The cat header tells Clerk's JWTs of typ JWT apart.
const (
	catSession  = "cl_B7d4PD111AAA"
	catTemplate = "cl_B7d4PD222AAA"
	catM2M      = "cl_B7d4PD333AAA"
)

const (
	sessionLifetime = time.Minute
	machineLifetime = time.Hour

	// frontend is the azp of session and template tokens: the origin of the
	// application one is signed in to.
	applicationOrigin = "http://localhost:3000"
)

// Token describes a token to Mint. The zero value is the access token that
// the first user would get.
type Token struct {
	// Kind is the token's class. Empty means OAuthToken.
	Kind TokenKind

	// User is an id, username, email or first name. Empty means the first
	// user. Machines have none.
	User string

	// Organization is the id or slug of one of the user's organizations. It
	// becomes org_id, in session tokens the claim o. Empty means none.
	Organization string

	// Scopes of OAuth and ID tokens. Nil means profile and email.
	Scopes []string

	// ClientID of OAuth and ID tokens. Empty means a new one.
	ClientID string

	// Resource becomes aud, whatever Settings.AudClaimEnabled says. Empty
	// means none.
	Resource string

	// Lifetime counts from now. Zero means the kind's own; a negative one
	// makes a token that has expired.
	Lifetime time.Duration

	// Opaque makes OAuth and machine tokens opaque. Other kinds ignore it.
	Opaque bool

	// Header and Claims are put over those of a JWT, last. A nil value removes
	// one.
	Header, Claims map[string]any
}

// Mint returns a token as described, signed as every token of this server is,
// without anybody signing in.
func (s *Server) IssueToken(t Token) (string, error) {
	dir := s.currentDirectory()
	user, err := dir.findUser(cmp.Or(t.User, dir.users[0].ID))
	if err != nil {
		return "", fmt.Errorf("localclerk: minting a token: %w", err)
	}
	o, m, err := dir.membership(user, t.Organization)
	if err != nil {
		return "", fmt.Errorf("localclerk: minting a token: %w", err)
	}
	if t.Scopes == nil {
		t.Scopes = splitScope(defaultScope)
	}
	t.ClientID = cmp.Or(t.ClientID, randomString(base62, clientIDLength))
	switch t.Kind {
	case OAuthToken, "":
		return s.issueOAuthToken(t, user, o)
	case IDToken:
		return s.signJWT(t, typJWT, "", s.idTokenClaims(s.newTokenGrant(t, user, o), user, t.Scopes, cmp.Or(t.Lifetime, idTokenLifetime)))
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
	return "", fmt.Errorf("localclerk: minting a token: got kind %q, want one of %q", t.Kind,
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

// baseClaims are those that session, template and machine tokens share.
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

// mintJWT signs claims with what t puts over them.
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

// sessionClaims are a session token's own claims, version 2. Permissions such
// as org:teams:read come apart into features (fea), permissions (o.per) and a
// bit mask of permissions for each feature (o.fpm).
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

// compactPermissions leaves out what is not of the form org:feature:permission.
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
