package diagnose

import (
	"bytes"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf16"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// tokenText is a text and the token in it.
type tokenText struct {
	token string // empty if there is none

	// around says what is around the token, in words: "quotes". A server that gets it rejects
	// the token.
	around []string

	// response says which members of the answer of a token endpoint the text is, and its
	// error. The token is then one of them.
	response []string
	oauthErr string

	truncated bool // the token is as a log shows it, with an ellipsis in place of its rest
}

// maxUnwraps bounds how often something around the token is removed.
const maxUnwraps = 8

// readTokenText finds the token in a text. White space at its ends is not part of it: files end
// with a line break.
func readTokenText(text []byte) tokenText {
	s := strings.TrimSpace(decodeText(text))
	t := tokenText{}
	if t.readResponse(s) {
		return t
	}
	for range maxUnwraps {
		what, rest := unwrap(s)
		if what == "" {
			break
		}
		t.around = append(t.around, what)
		s = strings.TrimSpace(rest)
	}
	t.token = s
	t.truncated = strings.HasSuffix(s, "…") || strings.HasSuffix(s, "...")
	return t
}

// decodeText returns the text in UTF-8. PowerShell writes files in UTF-16.
func decodeText(text []byte) string {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	little, big := bytes.HasPrefix(text, []byte{0xff, 0xfe}), bytes.HasPrefix(text, []byte{0xfe, 0xff})
	if !little && !big || len(text)%2 != 0 {
		return string(text)
	}
	units := make([]uint16, 0, len(text)/2-1)
	for i := 2; i < len(text); i += 2 {
		low, high := text[i], text[i+1]
		if big {
			low, high = high, low
		}
		units = append(units, uint16(high)<<8|uint16(low))
	}
	return string(utf16.Decode(units))
}

// responseTokens are the members of the answer of a token endpoint that are tokens (RFC 6749
// section 5.1, OpenID Connect Core 1.0 section 3.1.3.3), in the order in which they are explained.
var responseTokens = []string{"access_token", "id_token", "refresh_token"}

// readResponse reads the answer of a token endpoint, and reports whether the text is one.
func (t *tokenText) readResponse(s string) bool {
	if !strings.HasPrefix(s, "{") {
		return false
	}
	members, err := strictjson.Members([]byte(s))
	if err != nil {
		return false
	}
	for _, name := range responseTokens {
		value, err := strictjson.Text(string(members[name]))
		if err != nil || value == "" {
			continue
		}
		t.response = append(t.response, name)
		if t.token == "" {
			t.token = strings.TrimSpace(value)
		}
	}
	if text, err := strictjson.Text(string(members["error"])); err == nil {
		t.oauthErr = text
		if description, err := strictjson.Text(string(members["error_description"])); err == nil {
			t.oauthErr += ": " + description
		}
	}
	return len(t.response) > 0 || t.oauthErr != ""
}

var (
	// assignment is a line of a shell or of a .env file.
	assignment = regexp.MustCompile(`^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(\S.*)$`)
	// escaped is a percent-encoded dot, slash, plus sign or equals sign.
	escaped = regexp.MustCompile(`%(?i:2E|2F|2B|3D)`)
	// wrapped are line breaks in a token, with the white space around them.
	wrapped = regexp.MustCompile(`\s*[\r\n]+\s*`)
)

// quotes are pairs of characters that people and programs put around a token.
var quotes = []string{`""`, `''`, "``", "<>", "()", "“”", "‘’"}

// unwrap removes one thing that is around a token, and says what it is. It returns "" if there
// is nothing.
func unwrap(s string) (what, rest string) {
	for _, pair := range quotes {
		runes := []rune(pair)
		first, last := string(runes[0]), string(runes[1])
		if inner, ok := strings.CutPrefix(s, first); ok && strings.HasSuffix(inner, last) {
			return "quotes or brackets", strings.TrimSuffix(inner, last)
		}
	}
	if name, value, ok := strings.Cut(s, ":"); ok && strings.EqualFold(strings.TrimSpace(name), "authorization") {
		return `the name of the header, "Authorization:"`, value
	}
	if scheme, value, ok := strings.Cut(s, " "); ok {
		switch {
		case strings.EqualFold(scheme, "Bearer"):
			return `"Bearer ", the authentication scheme`, value
		case strings.EqualFold(scheme, "DPoP"), strings.EqualFold(scheme, "Token"):
			return fmt.Sprintf("%q, another authentication scheme", scheme+" "), value
		}
	}
	if m := assignment.FindStringSubmatch(s); m != nil && !strings.Contains(s, "\n") && strings.Trim(m[2], "=") != "" {
		return fmt.Sprintf("the name of a variable, %s", quote.String(m[1]+"=")), m[2]
	}
	if joined := wrapped.ReplaceAllString(s, ""); joined != s && isOneToken(joined) {
		return "line breaks within it", joined
	}
	if escaped.MatchString(s) {
		if decoded, err := url.PathUnescape(s); err == nil && isOneToken(decoded) {
			return "percent-encoding", decoded
		}
	}
	return "", s
}

// isOneToken reports whether s has only characters of a bearer token (RFC 6750 section 2.1), and
// at most the dots of one.
func isOneToken(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/="
	return strings.Trim(s, letters) == "" && strings.Count(s, ".") <= 4
}

// textFindings returns the findings about what is around the token.
func (e *explainer) textFindings() []Finding {
	var out []Finding
	t := e.text
	if len(t.around) > 0 {
		out = append(out, Finding{
			ID:          "token.text",
			Level:       Fault,
			Title:       "The text is more than a token",
			Evidence:    "around the token there is " + strings.Join(t.around, ", and ") + "; the rest is explained below without it",
			Consequence: "a client that sends the text as it is gets 400 invalid_request (reason malformed_credentials), or is taken to have no token",
			Fix:         `store the token alone; the client writes "Bearer " before it`,
		})
	}
	if t.oauthErr != "" && t.token == "" {
		out = append(out, Finding{
			ID:          "token.response",
			Level:       Fault,
			Title:       "The text is an error of a token endpoint",
			Evidence:    quote.String(t.oauthErr),
			Consequence: "the client has no token",
			Fix:         `run "gatehouse call URL list -v", which signs in and explains the error`,
		})
	}
	if len(t.response) > 0 {
		out = append(out, Finding{
			ID:       "token.response",
			Level:    OK,
			Title:    "The text is the answer of a token endpoint",
			Evidence: fmt.Sprintf("it has %s; this is about %s", quote.List(t.response), t.response[0]),
		})
	}
	return out
}
