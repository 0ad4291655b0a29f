package window

import (
	"fmt"
	"html"
	"net/url"
	"regexp"
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
	if unescaped := html.UnescapeString(text); unescaped != text {
		if shown := r.text(unescaped); shown != unescaped {
			return shown
		}
	}
	return redactShapes(r.words(text))
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
	return redactShapes(strings.Join(shown, "&"))
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

// escapedAssignments matches words with an assignment whose "=" is percent-encoded, once
// or several times, such as "http%3A%2F%2Fclient.example%2Fcallback%3Fcode%3D…".
var escapedAssignments = regexp.MustCompile(`\S*%(?:25)*3[Dd]\S*`)

// words returns text without the secret parameters of the URLs, forms and assignments
// in it. All other words keep their spelling.
func (r redactor) words(text string) string {
	text = escapedAssignments.ReplaceAllStringFunc(text, func(word string) string {
		unescaped, err := url.PathUnescape(word)
		if err != nil {
			return withheld
		}
		if shown := r.text(unescaped); shown != unescaped {
			return shown
		}
		return word
	})
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
