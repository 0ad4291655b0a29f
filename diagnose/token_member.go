package diagnose

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
	"github.com/gatehouse-mcp/gatehouse/internal/token"
)

// maxMemberValue bounds the value of a member that is shown, in bytes.
const maxMemberValue = 512

// headerWords and claimWords say what members mean that are not obvious (RFC 7515 section 4.1,
// RFC 7519 section 4.1, RFC 9068 section 2.2, OpenID Connect Core 1.0 section 2).
var headerWords = map[string]string{
	"alg": "algorithm of the signature",
	"typ": "type of the token",
	"kid": "key of the signature",
}

var claimWords = map[string]string{
	"iss":       "issuer",
	"sub":       "user, or the client itself",
	"aud":       "servers that the token is for",
	"client_id": "client",
	"azp":       "client",
	"cid":       "client",
	"appid":     "client",
	"scope":     "scopes",
	"scp":       "scopes",
	"jti":       "ID of the token",
	"cnf":       "key that the token is bound to",
	"nonce":     "only ID tokens have it",
	"at_hash":   "only ID tokens have it",
	"c_hash":    "only ID tokens have it",
	"org_id":    "organization",
	"sid":       "session",
	"act":       "who acts for the user",
}

// dates are the claims whose values are dates in seconds (RFC 7519 section 2).
var dates = []string{"exp", "nbf", "iat", "auth_time", "updated_at"}

// membersOf returns the members of a JSON object; of a malformed one, those that precede the
// fault. words say what they mean.
func membersOf(text string, now time.Time, words map[string]string) []TokenMember {
	out := []TokenMember{}
	_ = strictjson.Walk(text, func(m strictjson.Member) error {
		shown := TokenMember{Name: quote.Clip(m.Name, quote.MaxBytes), Value: shownValue(m), Words: words[m.Name]}
		if slices.Contains(dates, m.Name) {
			if seconds, err := strconv.ParseFloat(m.Value, 64); err == nil && seconds >= 0 && seconds < 1e11 {
				shown.Words = whenInWords(time.Unix(int64(seconds), 0), now)
			}
		}
		out = append(out, shown)
		return nil
	})
	return out
}

// notShown replaces what may be a secret.
const notShown = `"(not shown)"`

var (
	// secretName matches the names of members whose values may be secrets.
	secretName = regexp.MustCompile(`(?i)(^|[_.:/-])(access_?token|refresh_?token|id_?token|token|secret|password|cookie|api_?key|code|handshake)$`)
	// jwtShape matches JWTs, also within other text.
	jwtShape = regexp.MustCompile(`ey[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_.-]*`)
	// word matches what may be a key within other text.
	word = regexp.MustCompile(`[A-Za-z0-9_.~+/-]{8,}`)
)

// shownValue returns the value of a member without what may be a secret. The ID of a token is none,
// although that of Clerk's begins as its opaque tokens do.
func shownValue(m strictjson.Member) string {
	if secretName.MatchString(m.Name) && strictjson.Kind(m.Value) != '0' {
		return notShown
	}
	value := jwtShape.ReplaceAllString(m.Value, "(not shown)")
	if m.Name != "jti" {
		value = word.ReplaceAllStringFunc(value, func(w string) string {
			if token.HasKeyPrefix(w) {
				return "(not shown)"
			}
			return w
		})
	}
	if nestedSecret.MatchString(value) {
		return notShown
	}
	return quote.Clip(value, maxMemberValue)
}

// nestedSecret matches a member of a nested object whose value may be a secret.
var nestedSecret = regexp.MustCompile(`(?i)"(access_?token|refresh_?token|id_?token|client_?secret|secret|password|cookie|api_?key)"\s*:\s*"[^"]`)

// whenInWords returns a date in the clear and its distance from now: "2026-11-22 13:00:00 UTC, 3
// days 2 hours ago".
func whenInWords(t, now time.Time) string {
	distance := "now"
	switch d := t.Sub(now).Round(time.Second); {
	case d > 0:
		distance = "in " + durationInWords(d)
	case d < 0:
		distance = durationInWords(-d) + " ago"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC") + ", " + distance
}

// units are the parts of a duration in words.
var units = []struct {
	name   string
	length time.Duration
}{
	{"day", 24 * time.Hour},
	{"hour", time.Hour},
	{"minute", time.Minute},
	{"second", time.Second},
}

// durationInWords returns a positive duration as its two largest parts: "3 days 2 hours".
func durationInWords(d time.Duration) string {
	var parts []string
	for _, u := range units {
		n := d / u.length
		d -= n * u.length
		if n == 0 {
			if len(parts) > 0 {
				break
			}
			continue
		}
		s := ""
		if n > 1 {
			s = "s"
		}
		parts = append(parts, fmt.Sprintf("%d %s%s", n, u.name, s))
		if len(parts) == 2 {
			break
		}
	}
	return strings.Join(parts, " ")
}
