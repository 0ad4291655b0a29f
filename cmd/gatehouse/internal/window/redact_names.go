package window

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// secretNames are the names of headers, parameters and JSON members whose values are
// secret, as normalName returns them.
var secretNames = []string{
	"accesstoken", "apikey", "authorization", "authorizationcode", "clientassertion", "clientsecret", "codeverifier",
	"cookie", "devicecode", "idtoken", "passphrase", "passwd", "password", "privatekey", "proxyauthorization", "pwd",
	"refreshtoken", "secret", "secretkey", "setcookie", "token", "xapikey",
}

// secretEndings mark a name that ends with one of them, such as "registration_access_token".
var secretEndings = []string{"token", "secret", "password", "passphrase", "apikey", "privatekey", "secretkey", "cookie"}

// harmlessNames end like a secret, but are those of MCP and of lists in pages.
var harmlessNames = []string{"progresstoken", "nexttoken", "pagetoken", "nextpagetoken", "continuationtoken", "relatedtoken"}

// secretParameters are secret in forms and queries in addition to secretNames. As
// members of JSON, these names are common and mostly harmless: JSON-RPC errors have a
// code. There, only text that looks random is secret, see randomText.
var secretParameters = []string{"code", "state"}

// randomText matches the values of "code" and "state" that are secret in JSON.
var randomText = regexp.MustCompile(`^[A-Za-z0-9._~+=-]{20,}$`)

// normalName returns the letters and digits of name in lower case, so that all spellings
// of a name are equal: "access_token", "Access-Token", "access token[]" and "accessToken".
func normalName(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, name)
}

func isSecretName(name string) bool {
	name = normalName(name)
	endsWith := func(ending string) bool { return strings.HasSuffix(name, ending) }
	return slices.Contains(secretNames, name) ||
		slices.ContainsFunc(secretEndings, endsWith) && !slices.Contains(harmlessNames, name)
}

func isSecretParameter(name string) bool {
	return isSecretName(name) || slices.Contains(secretParameters, normalName(name))
}

// tokenShapes matches text that has the shape of a credential: JWTs, whole or cut off,
// and Clerk's prefixed tokens and keys. The long ones are matched within a word too.
var tokenShapes = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){0,4}|` +
	`\b(?:oat|ak|mt|rt|ort|sk_test|sk_live|ask)_[A-Za-z0-9]{12,}|` +
	`(?:oat|ort|sk_test|sk_live)_[A-Za-z0-9]{24,}`)

var (
	// schemeCredentials matches a scheme of HTTP authentication and what follows it.
	schemeCredentials = regexp.MustCompile(`(?i)\b((?:bearer|basic|dpop)\s+)([A-Za-z0-9._~+/-]{16,}=*)`)

	// plainWord matches what follows such a scheme without being a credential: a word, or
	// the name of a parameter of a challenge.
	plainWord = regexp.MustCompile(`^[a-z_/.-]+=?$`)

	// userInfo matches the user and the password of a URL.
	userInfo = regexp.MustCompile(`://[^/?#\s:@"'<>]*:[^/?#\s@"'<>]+@`)
)

// redactShapes returns text without what has the shape of a credential.
func redactShapes(text string) string {
	text = tokenShapes.ReplaceAllStringFunc(text, shorten)
	text = userInfo.ReplaceAllString(text, "://…@")
	return schemeCredentials.ReplaceAllStringFunc(text, func(match string) string {
		parts := schemeCredentials.FindStringSubmatch(match)
		if plainWord.MatchString(parts[2]) {
			return match
		}
		return parts[1] + shorten(parts[2])
	})
}

// quotedNames matches the names of members in JSON that is malformed, or in text.
var quotedNames = regexp.MustCompile(`["']([^"']*)["']\s*:`)

// namesSecret reports whether text, which is neither JSON nor a form, seems to contain
// a secret after its name: "client_secret: …", or JSON that is malformed.
func namesSecret(text string) bool {
	if strings.Contains(text, `\u00`) {
		return true // an escape that only JSON needs; it may hide a name
	}
	for _, match := range quotedNames.FindAllStringSubmatch(text, -1) {
		if isSecretName(match[1]) {
			return true
		}
	}
	text = strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(text))
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
	case strings.HasPrefix(after, ">"): // an element of XML, and not a placeholder like "<token>"
		return len(after) > 1 && !strings.ContainsRune("< \t\r\n\"'.,;:)]", rune(after[1]))
	case strings.HasPrefix(separator, "="):
		return quoted || strings.TrimLeft(separator, "= \t\r\n\"'") != separator[1:]
	}
	return false
}
