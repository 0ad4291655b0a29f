package window

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

const (
	maxBody   = 16 << 10 // recorded of a body
	maxFields = 60       // shown of a message
	maxValue  = 2 << 10  // shown of a field
	maxName   = 120      // shown of a name, such as that of a tool or a client
	maxClaims = 8 << 10  // shown of a token's claims

	// maxNesting bounds how deep secrets are searched for, counting arrays, objects,
	// and JSON or URLs inside strings. Anything deeper is not shown.
	maxNesting = 64

	// maxWork bounds how many bytes are searched in one text. Text that is written to be
	// read in many ways would otherwise take exponential time.
	maxWork = 1 << 20

	// shownOfSecret is how many characters of a secret are shown, its last ones, so
	// that two secrets can be told apart.
	shownOfSecret = 4

	// withheld replaces text that cannot be parsed and seems to contain a secret.
	withheld = "(not shown: this may contain a secret)"
)

// secretNames are the names of headers, parameters and JSON members whose values are
// secret, as normalName returns them.
var secretNames = []string{
	"accesstoken", "apikey", "authorization", "clientassertion", "clientsecret", "codeverifier", "cookie", "idtoken",
	"password", "proxyauthorization", "refreshtoken", "secret", "setcookie", "token", "xapikey",
}

// secretParameters are secret in forms and queries in addition to secretNames. As
// members of JSON, these names are common and harmless: JSON-RPC errors have a code.
var secretParameters = []string{"code", "state"}

// normalName returns name in lower case without "_" and "-", so that all spellings of
// a name are equal: "access_token", "Access-Token" and "accessToken".
func normalName(name string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(name))
}

func isSecretName(name string) bool { return slices.Contains(secretNames, normalName(name)) }

func isSecretParameter(name string) bool {
	return isSecretName(name) || slices.Contains(secretParameters, normalName(name))
}

// tokenShapes matches text that has the shape of a credential: JWTs, whole or cut off,
// and Clerk's prefixed tokens and keys.
var tokenShapes = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){0,4}|` +
	`\b(?:oat|ak|mt|rt|ort|sk_test|sk_live|ask)_[A-Za-z0-9]{12,}`)

// shorten returns the last characters of a secret and its length. It returns what it
// shortened earlier unchanged.
func shorten(secret string) string {
	if strings.HasPrefix(secret, "…") && len(secret) <= len("…")+shownOfSecret {
		return secret // the first word of "…Ab12 (64 characters)"
	}
	if len(secret) < 6*shownOfSecret {
		return fmt.Sprintf("… (%d characters)", len(secret))
	}
	return fmt.Sprintf("…%s (%d characters)", strings.ToValidUTF8(secret[len(secret)-shownOfSecret:], "?"), len(secret))
}

// redactor removes secrets from one text. Its copies are for the values inside the text.
type redactor struct {
	own   string // another secret to remove, whatever its name and shape; may be empty
	depth int    // how many values the current one is nested in
	work  *int   // how many bytes have been read, those of nested values once for each level
}

func newRedactor(own string) redactor { return redactor{own: own, work: new(int)} }

// redact returns text without anything that has the name or the shape of a secret.
func redact(text string) string { return newRedactor("").text(text) }

// redactName returns text as part of a title or sentence.
func redactName(text string) string { return quote.Clip(redact(text), maxName) }

// redactField returns the value of a header or parameter as it may be shown.
func redactField(name, value string) string {
	if isSecretParameter(name) {
		return shorten(value)
	}
	return quote.Clip(redact(value), maxValue)
}

// redactURL returns the path and query of u as they may be shown, decoded.
func redactURL(u *url.URL) string {
	shown := redact(u.EscapedPath())
	if u.RawQuery != "" {
		shown += "?" + newRedactor("").query(u.RawQuery)
	}
	return quote.Clip(shown, maxValue)
}

// text returns text without secrets. JSON loses its white space if it contains one.
func (r redactor) text(text string) string {
	*r.work += len(text)
	if r.depth++; r.depth > maxNesting || *r.work > maxWork {
		return withheld
	}
	text = strings.ToValidUTF8(text, "?")
	if r.own != "" {
		text = strings.ReplaceAll(text, r.own, shorten(r.own))
	}
	if shown, err := r.json(text); err == nil {
		if shown == compact(text) {
			return text
		}
		return shown
	}
	if namesSecret(text) {
		return withheld
	}
	return tokenShapes.ReplaceAllStringFunc(r.words(text), shorten)
}

// query returns the parameters of a form or query, decoded and without secrets. A
// parameter that cannot be parsed is not shown.
func (r redactor) query(query string) string {
	var shown []string
	for parameter := range strings.SplitSeq(query, "&") {
		values, err := url.ParseQuery(parameter)
		if err != nil {
			shown = append(shown, "…")
		}
		for name, value := range values {
			shown = append(shown, r.parameter(r.text(name), value[0], strings.Contains(parameter, "=")))
		}
	}
	return tokenShapes.ReplaceAllStringFunc(strings.Join(shown, "&"), shorten)
}

// parameter returns one decoded parameter of a form or query without secrets.
func (r redactor) parameter(name, value string, hasValue bool) string {
	switch {
	case !hasValue:
		return name
	case isSecretParameter(name):
		return name + "=" + shorten(value)
	}
	return name + "=" + r.text(value)
}

// assignments matches words with a value, such as "code=…" or
// "https://client.example/callback?code=…&iss=…".
var assignments = regexp.MustCompile(`\S+=\S+`)

// words returns text without the secret parameters of the URLs, forms and assignments
// in it. All other words keep their spelling.
func (r redactor) words(text string) string {
	return assignments.ReplaceAllStringFunc(text, func(word string) string {
		parameters := strings.Split(word, "&")
		for i, parameter := range parameters {
			parameters[i] = r.assignment(parameter)
		}
		return strings.Join(parameters, "&")
	})
}

// nameChars are the characters of a parameter's name, escaped or not.
const nameChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.%"

// assignment returns text like "https://client.example/callback?code=…" without the
// value if it is secret, and otherwise without the secrets in the value.
func (r redactor) assignment(text string) string {
	before, value, found := strings.Cut(text, "=")
	if !found {
		return text
	}
	name := strings.TrimRight(before, `"'])`)
	name = name[len(strings.TrimRight(name, nameChars)):]
	name, err := url.QueryUnescape(name)
	if err != nil || isSecretParameter(name) {
		return before + "=" + shorten(value)
	}
	decoded, err := url.QueryUnescape(value)
	if err != nil {
		decoded = value
	}
	if shown := r.text(decoded); shown != decoded {
		return before + "=" + shown
	}
	return text
}

// namesSecret reports whether text, which is neither JSON nor a form, seems to contain
// a secret after its name: "client_secret: …", or JSON that is malformed.
func namesSecret(text string) bool {
	if strings.Contains(text, `\u00`) {
		return true // an escape that only JSON needs; it may hide a name
	}
	text = normalName(text)
	for _, name := range slices.Concat(secretNames, secretParameters) {
		for _, after := range strings.Split(text, name)[1:] {
			if introducesValue(after, ambiguousNames[name]) {
				return true
			}
		}
	}
	return false
}

// ambiguousNames are secret names that are also common words before a colon, as in
// "invalid state: expired".
var ambiguousNames = map[string]bool{"code": true, "secret": true, "state": true, "token": true}

// introducesValue reports whether after, the text after a name, begins with a separator
// and a value. The separator of an ambiguous name must be quoted, as in JSON. What
// redactor.words handles does not count.
func introducesValue(after string, ambiguous bool) bool {
	separator := strings.TrimLeft(after, "\\\"' \t\r\n")
	quoted := len(separator) < len(after)
	switch {
	case strings.HasPrefix(separator, ":"):
		return quoted || !ambiguous
	case strings.HasPrefix(separator, "="):
		return quoted || strings.TrimLeft(separator, "= \t\r\n\"'") != separator[1:]
	}
	return false
}
