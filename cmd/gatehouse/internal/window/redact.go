package window

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/token"
)

const (
	maxBody   = 16 << 10 // kept of a body
	maxFields = 60       // kept of a message
	maxValue  = 2 << 10  // kept of a field
	maxClaims = 8 << 10  // shown of a token's claims

	shownOfToken = 4 // last characters, to tell one from another
)

// secretNames are headers and parameters that open something.
var secretNames = map[string]bool{
	"access_token": true, "authorization": true, "client_assertion": true, "client_secret": true, "code": true,
	"code_verifier": true, "cookie": true, "id_token": true, "password": true, "proxy-authorization": true,
	"refresh_token": true, "secret": true, "set-cookie": true, "state": true, "token": true, "x-api-key": true,
}

// tokenShapes finds what looks like a credential wherever it stands: JWTs, also
// those cut short, and Clerk's prefixed tokens and keys.
var tokenShapes = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){0,4}|\b(?:oat|ak|mt|rt|ort|sk_test|sk_live|ask)_[A-Za-z0-9]{12,}`)

// secretMembers finds secret members of JSON text, nested or cut short.
var secretMembers = regexp.MustCompile(`(?i)("(?:access_token|client_secret|code_verifier|id_token|password|refresh_token|secret)"\s*:\s*")((?:[^"\\]|\\.)*)`)

// secretParams finds secret parameters of forms and URLs, but those that are
// shortened already.
var secretParams = regexp.MustCompile(`(?i)\b((?:access_token|client_secret|code|code_verifier|id_token|password|refresh_token|state)=)([^&\s"'\\…][^&\s"'\\]*)`)

// shorten keeps enough of a secret to tell it from another.
func shorten(secret string) string {
	if len(secret) < 6*shownOfToken {
		return fmt.Sprintf("… (%d characters)", len(secret))
	}
	return fmt.Sprintf("…%s (%d characters)", strings.ToValidUTF8(secret[len(secret)-shownOfToken:], "?"), len(secret))
}

// scrub takes everything out of text that looks like a credential.
func scrub(text string) string {
	text = strings.ToValidUTF8(text, "?")
	for _, secrets := range []*regexp.Regexp{secretMembers, secretParams} {
		text = secrets.ReplaceAllStringFunc(text, func(match string) string {
			m := secrets.FindStringSubmatch(match)
			return m[1] + shorten(m[2])
		})
	}
	return tokenShapes.ReplaceAllStringFunc(text, shorten)
}

// field is the value of a header or parameter as it may be shown.
func field(name, value string) string {
	if secretNames[strings.ToLower(name)] {
		return shorten(value)
	}
	return scrub(clip(value, maxValue))
}

// scrubURL is a path and query as it may be shown.
func scrubURL(u *url.URL) string {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || u.RawQuery == "" {
		return scrub(clip(u.EscapedPath(), maxValue))
	}
	for name, values := range query {
		for i, value := range values {
			values[i] = field(name, value)
		}
	}
	shown, err := url.QueryUnescape(query.Encode())
	if err != nil {
		shown = ""
	}
	return scrub(clip(u.EscapedPath()+"?"+shown, maxValue))
}

// scrubBody is a body as it may be shown, without the secrets given: indented if
// it is JSON. Of one that was cut short the last word goes too, because it may
// be half a secret.
func scrubBody(body []byte, cut bool, secrets ...string) string {
	text := string(body)
	if cut {
		text = strings.TrimRight(text, wordChars) + "…"
	}
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, shorten(secret))
		}
	}
	text = scrub(text)
	var indented bytes.Buffer
	if !cut && json.Indent(&indented, []byte(text), "", "  ") == nil {
		return indented.String()
	}
	return text
}

const wordChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=-"

func clip(text string, max int) string {
	if len(text) > max {
		text = text[:max] + "…"
	}
	return strings.ToValidUTF8(text, "?")
}

// presented is a bearer token as a request carried it.
type presented struct {
	raw    string // never leaves this package
	kind   string // "access token", "session token", "" for no token
	claims string // indented JSON, or ""
	token.Unverified
}

// readToken reads the Authorization header.
func readToken(header string) presented {
	scheme, raw, _ := strings.Cut(header, " ")
	raw = strings.TrimSpace(raw)
	if !strings.EqualFold(scheme, "Bearer") || raw == "" {
		return presented{}
	}
	p := presented{raw: raw, Unverified: token.Peek(raw)}
	p.kind = p.Kind
	p.claims = claimsOf(raw)
	return p
}

// show adds the token to a message: its kind, its last characters, its claims.
func (p presented) show(m *Message) {
	if p.raw == "" {
		return
	}
	m.add("Authorization", fmt.Sprintf("Bearer %s, %s", shorten(p.raw), withArticle(p.kind)))
	m.add("the token says", p.claims)
}

// claimsOf returns the claims of a JWT, indented, or "".
func claimsOf(raw string) string {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 || len(parts[1]) > maxClaims {
		return ""
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	return indent(scrub(string(claims)))
}

// indent returns JSON on several lines, other text as it is.
func indent(text string) string {
	var b bytes.Buffer
	if json.Indent(&b, []byte(text), "", "  ") != nil {
		return text
	}
	return b.String()
}
