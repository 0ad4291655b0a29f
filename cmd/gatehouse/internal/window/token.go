package window

import (
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/token"
)

// bearerToken is the token of a request. Nothing in it is verified: it is for
// explanations only.
type bearerToken struct {
	raw string // empty without a token; it must not leave this package
	token.Unverified
}

// readToken returns the token of an Authorization header.
func readToken(header string) bearerToken {
	scheme, raw, _ := strings.Cut(header, " ")
	raw = strings.TrimSpace(raw)
	if !strings.EqualFold(scheme, "Bearer") || raw == "" {
		return bearerToken{}
	}
	return bearerToken{raw: raw, Unverified: token.Peek(raw)}
}

// show adds the token to a message: its kind, its last characters and its claims.
func (t bearerToken) show(m *Message) {
	if t.raw == "" {
		return
	}
	m.add("Authorization", fmt.Sprintf("Bearer %s, %s", shorten(t.raw), withArticle(t.Kind)))
	m.add("claims of the token", t.claims())
}

// isAccessToken reports whether nothing marks t as another kind of token.
func (t bearerToken) isAccessToken() bool {
	switch t.Kind {
	case "access token", "opaque access token", "JWT", "malformed JWT":
		return true
	}
	return false
}

// isOpaque reports whether t is an opaque access token of Clerk's.
func (t bearerToken) isOpaque() bool { return t.Kind == "opaque access token" }

// expiredFor returns how long ago t expired. It is negative for a token that has not,
// or has no expiry.
func (t bearerToken) expiredFor(now time.Time) time.Duration {
	if t.Expiry.IsZero() {
		return -1
	}
	return now.Sub(t.Expiry).Round(time.Second)
}

// withArticle returns a kind of token after "a" or "an", as it is spoken.
func withArticle(kind string) string {
	if kind != "" && strings.Contains("AEIMOaeio", kind[:1]) {
		return "an " + kind
	}
	return "a " + kind
}

// claims returns the claims of a JWT, indented, or "".
func (t bearerToken) claims() string {
	if len(t.Payload) > maxClaims {
		return ""
	}
	return indent(redact(t.Payload))
}
