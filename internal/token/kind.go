package token

import (
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// The kinds of token that [Peek] names in addition to those of prefixes and kindsByType.
const (
	KindAccess    = "access token"
	KindMachine   = "access token of a machine"
	KindID        = "ID token"
	KindSession   = "session token"
	KindTemplate  = "JWT template token"
	KindM2M       = "M2M token"
	KindRefresh   = "refresh token"
	KindLogout    = "logout token"
	KindHandshake = "handshake token"
	KindAPIKey    = "API key"
	KindSecretKey = "secret key"
	KindJWT       = "JWT" // nothing says more
	KindMalformed = "malformed JWT"
	KindEncrypted = "encrypted token"
	KindOpaque    = "opaque token"
)

// prefixes are how texts that are not JWTs begin, and what they are. The first one that fits
// counts. Their forms are from the documentation of the providers.
var prefixes = []struct{ prefix, kind, issuer string }{
	{"oat_", "opaque access token", "Clerk"},
	{"mt_", "opaque M2M token", "Clerk"},
	{"ak_", KindAPIKey, "Clerk"},
	{"sk_test_", KindSecretKey, "Clerk or Stripe"},
	{"sk_live_", KindSecretKey, "Clerk or Stripe"},
	{"sk_", KindSecretKey, ""},
	{"pk_", "publishable key", "Clerk or Stripe"},
	{"whsec_", "secret of a webhook", ""},
	{"ya29.", "opaque access token", "Google"},
	{"1//", KindRefresh, "Google"},
	{"AIza", KindAPIKey, "Google"},
	{"GOCSPX-", "client secret", "Google"},
	{"gho_", "opaque access token", "GitHub"},
	{"ghu_", "opaque access token", "GitHub"},
	{"ghs_", "opaque access token", "GitHub"},
	{"ghr_", KindRefresh, "GitHub"},
	{"ghp_", "personal access token", "GitHub"},
	{"github_pat_", "personal access token", "GitHub"},
	{"glpat-", "personal access token", "GitLab"},
	{"ory_at_", "opaque access token", "Ory Hydra"},
	{"ory_rt_", KindRefresh, "Ory Hydra"},
	{"ory_ac_", "authorization code", "Ory Hydra"},
	{"sb_publishable_", "publishable key", "Supabase"},
	{"sb_secret_", KindSecretKey, "Supabase"},
	{"sk-ant-", KindAPIKey, "Anthropic"},
	{"sk-", KindAPIKey, "OpenAI or a similar service"},
	{"xoxb-", "opaque access token", "Slack"},
	{"xoxp-", "opaque access token", "Slack"},
}

// unreadableKind returns the kind of a text that is not a signed JWT, by its first letters, and
// who issues such texts, if that is known.
func unreadableKind(raw string) (kind, issuer string) {
	for _, p := range prefixes {
		if strings.HasPrefix(raw, p.prefix) {
			return p.kind, p.issuer
		}
	}
	switch strings.Count(raw, ".") {
	case 2:
		return KindMalformed, ""
	case 4:
		return KindEncrypted, ""
	}
	return KindOpaque, ""
}

// HasKeyPrefix reports whether raw begins as the opaque tokens, keys and secrets do whose forms
// are known.
func HasKeyPrefix(raw string) bool {
	return slices.ContainsFunc(prefixes, func(p struct{ prefix, kind, issuer string }) bool {
		return len(raw) > len(p.prefix) && strings.HasPrefix(raw, p.prefix)
	})
}

// payload is the claims of a token that is not verified, by name, as JSON.
type payload map[string]string

// readPayload returns the claims; of malformed ones, what precedes the fault.
func readPayload(text string) payload {
	p := payload{}
	_ = strictjson.Walk(text, func(m strictjson.Member) error {
		if m.Value != "null" {
			p[m.Name] = m.Value
		}
		return nil
	})
	return p
}

// has reports whether one of the claims is present.
func (p payload) has(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { _, ok := p[name]; return ok })
}

// text returns the claim if it is a string, or "".
func (p payload) text(name string) string {
	text, err := strictjson.Text(p[name])
	if err != nil {
		return ""
	}
	return text
}

// client returns the client that the token names, or "".
func (p payload) client() string {
	for _, name := range []string{"client_id", "azp", "cid", "appid"} {
		if text := p.text(name); text != "" {
			return text
		}
	}
	return ""
}

// onlyAudience returns the one value of "aud", or "" if there are none or several.
func (p payload) onlyAudience() string {
	audience, err := texts(p["aud"])
	if err != nil || len(audience) != 1 {
		return ""
	}
	return audience[0]
}

// isMachine reports whether the claims are those of a client that signed in as itself, in one
// of the forms in which providers write that.
func (p payload) isMachine() bool {
	subject := p.text("sub")
	agent := strings.Contains(p.text("sub_profile"), "ai_agent") || p.text("sub_profile") == "service"
	return subject != "" && subject == p.client() ||
		strings.HasSuffix(subject, "@clients") || p.text("gty") == "client-credentials" || // Auth0
		agent && !p.has("act") || // Auth0
		p.text("idtyp") == "app" || p.has("oid", "tid") && p["oid"] == p["sub"] && !p.has("scp") || // Entra ID
		p.has("clientHost") || // Keycloak
		strings.HasPrefix(subject, "m2m-client-") // Stytch
}

// sessionPrefixes are how the claim sid of session tokens begins.
var sessionPrefixes = []string{
	"sess_",    // Clerk
	"session_", // WorkOS
}

// isSession reports whether the claims are those of a session in a browser or an application.
func (p payload) isSession() bool {
	sid := p.text("sid")
	named := slices.ContainsFunc(sessionPrefixes, func(prefix string) bool { return strings.HasPrefix(sid, prefix) })
	return named || p.has("https://stytch.com/session") || p.text("drn") == "DS" || p.text("token_type") == "mcp_session" ||
		p.has("session_id") && p.has("aal") && p.client() == "" || // Supabase
		sid != "" && p.client() == "" && !p.has("scope", "scp") || // Scalekit
		p.client() == "" && !p.has("scope", "scp") && p.text("iss") != "" && p.onlyAudience() == p.text("iss") // Better Auth
}

// isID reports whether the claims are those of an ID token (OpenID Connect Core 1.0, section 2).
func (p payload) isID() bool {
	if p.has("nonce", "at_hash", "c_hash") || p.text("token_use") == "id" || strings.HasPrefix(p.text("jti"), "ID.") {
		return true
	}
	if p.has("scope", "scp", "scopes") || p.text("typ") == "Bearer" || p.text("token_use") == "access" || p.isMachine() {
		return false
	}
	if p.client() != "" {
		return p.client() == p.onlyAudience() && !p.has("jti") // Scalekit writes that into access tokens, too
	}
	return p.has("aud") && p.has("email", "email_verified", "name", "preferred_username", "nickname", "given_name")
}

// backchannelLogout is the event of a logout token (OpenID Connect Back-Channel Logout, section 2.4).
const backchannelLogout = "http://schemas.openid.net/event/backchannel-logout"

// claimKinds are the kinds that claims show, in order: the first one that fits counts.
var claimKinds = []struct {
	kind string
	fits func(payload) bool
}{
	{KindLogout, func(p payload) bool {
		return strings.Contains(p["events"], backchannelLogout) || p.text("typ") == "Logout"
	}},
	{KindRefresh, func(p payload) bool { // Keycloak, Descope
		return p.text("typ") == "Refresh" || p.text("typ") == "Offline" || p.text("drn") == "DSR"
	}},
	{KindID, func(p payload) bool { return p.text("typ") == "ID" }}, // Keycloak
	{KindM2M, func(p payload) bool { return strings.HasPrefix(p.text("sub"), "mch_") }},
	{KindHandshake, func(p payload) bool { return p.has("handshake") }},
	{KindAPIKey, func(p payload) bool { // Supabase
		return p.text("role") == "service_role" || p.text("role") == "anon" && p.text("iss") == "supabase"
	}},
	{"identity pool token", func(p payload) bool { return p.text("iss") == "https://cognito-identity.amazonaws.com" }},
	{KindID, func(p payload) bool { return p.has("nonce", "at_hash", "c_hash") }},
	{KindSession, payload.isSession},
	{KindID, payload.isID},
	{KindMachine, payload.isMachine},
	{KindAccess, func(p payload) bool {
		return p.client() != "" || p.has("scope", "scp", "scopes") || strings.HasPrefix(p.text("jti"), "AT.")
	}},
}

// kindByClaims returns the kind of token that the claims show, or "".
func kindByClaims(text string) string {
	p := readPayload(text)
	for _, k := range claimKinds {
		if k.fits(p) {
			return k.kind
		}
	}
	return ""
}

// kindOf returns the kind of a JWT. marked is that of Clerk's header parameter, or "". The type of
// access tokens (RFC 9068) leaves open whose token it is.
func kindOf(marked, typ, text string) string {
	byType := kindsByType[strings.ToLower(mediaType(typ))]
	switch p := readPayload(text); {
	case marked != "":
		return marked
	case byType != "" && byType != KindAccess:
		return byType
	case byType == KindAccess && strings.HasPrefix(p.text("sub"), "mch_"):
		return KindM2M
	case byType == KindAccess && p.isMachine():
		return KindMachine
	case byType == KindAccess:
		return KindAccess
	}
	if kind := kindByClaims(text); kind != "" {
		return kind
	}
	return KindJWT
}
