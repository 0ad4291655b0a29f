package token

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

const (
	// latestDate is the end of the year 9999, in seconds. A date in milliseconds lies beyond it.
	latestDate = 253402300799
	// maxDateText bounds the text of a NumericDate, in bytes.
	maxDateText = 40
)

// claimNames are the claims that are read: RFC 7519 §4.1, RFC 9068 §2.2 and the
// names that issuers used before it ("azp", "scp").
var claimNames = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "azp", "scope", "scp", "cnf"}

// claims is what a JWT claims set says, with its types checked and nothing else.
type claims struct {
	issuer, subject, id       string
	clientID, authorizedParty string
	audience, scope, scp      []string
	expiry, notBefore, issued time.Time
	hasAudience, confirmation bool
	others                    []string // required claims that have no field above and are not empty
}

// parseClaims reads text. After a fault the claims hold what was read before it.
func parseClaims(text string, required []string) (claims, error) {
	var c claims
	o := object{scanner: scanner{text: text}}
	for o.next() {
		known, err := c.set(o.name, o.value)
		if err != nil {
			return c, &Error{Reason: reason.Malformed, Claim: o.name, Err: fmt.Errorf("claim %s: %w", quote(o.name), err)}
		}
		if known && !o.escaped {
			continue
		}
		if err := o.checkSpelling(claimNames, required); err != nil {
			return c, malformed("payload", err)
		}
		if slices.Contains(required, o.name) && o.value.isString() && o.value.raw != `""` {
			c.others = append(c.others, o.name)
		}
	}
	if o.err != nil {
		return c, malformed("payload", o.err)
	}
	return c, nil
}

// set sets the claim name, and reports whether it is one of claimNames.
func (c *claims) set(name string, v value) (known bool, err error) {
	switch name {
	case "iss":
		c.issuer, err = v.str()
	case "sub":
		c.subject, err = v.str()
	case "aud":
		c.hasAudience = true
		c.audience, err = v.strings()
	case "exp":
		c.expiry, err = v.date()
	case "nbf":
		c.notBefore, err = v.date()
	case "iat":
		c.issued, err = v.date()
	case "jti":
		c.id, err = v.str()
	case "cnf":
		c.confirmation = true
	default:
		return c.setOptional(name, v)
	}
	return true, err
}

// setOptional sets the claims that RFC 7519 does not know. It allows no null in its
// own; in these, some issuers write one for nothing.
func (c *claims) setOptional(name string, v value) (known bool, err error) {
	switch name {
	case "client_id":
		c.clientID, err = v.strOrNull()
	case "azp":
		c.authorizedParty, err = v.strOrNull()
	case "scope":
		c.scope, err = v.scopes()
	case "scp":
		c.scp, err = v.scopes()
	default:
		return false, nil
	}
	return true, err
}

// has reports whether the claim name is there and says anything.
func (c *claims) has(name string) bool {
	switch name {
	case "iss":
		return c.issuer != ""
	case "sub":
		return c.subject != ""
	case "aud":
		return len(c.audience) > 0
	case "exp":
		return !c.expiry.IsZero()
	case "nbf":
		return !c.notBefore.IsZero()
	case "iat":
		return !c.issued.IsZero()
	case "jti":
		return c.id != ""
	case "client_id":
		return c.clientID != ""
	case "azp":
		return c.authorizedParty != ""
	case "scope":
		return len(c.scope) > 0
	case "scp":
		return len(c.scp) > 0
	}
	return slices.Contains(c.others, name)
}

// client returns the client's name: "client_id" (RFC 9068 §2.2), else "azp" (OpenID Connect).
func (c *claims) client() string {
	if c.clientID != "" {
		return c.clientID
	}
	return c.authorizedParty
}

// scopes returns "scope" (RFC 9068 §2.2.3), else "scp".
func (c *claims) scopes() []string {
	if len(c.scope) > 0 {
		return c.scope
	}
	return c.scp
}

// scopes returns the words of a string, which RFC 6749 §3.3 parts by spaces and
// nothing else, or the items of an array, or nothing for null.
func (v value) scopes() ([]string, error) {
	if v.isNull() {
		return nil, nil
	}
	if !v.isString() {
		return v.strings()
	}
	s, err := v.str()
	return slices.DeleteFunc(strings.Split(s, " "), func(word string) bool { return word == "" }), err
}

// date returns a NumericDate (RFC 7519 §2): seconds since 1970, fractions allowed.
func (v value) date() (time.Time, error) {
	if !v.isNumber() || len(v.raw) > maxDateText {
		return time.Time{}, fmt.Errorf("%s, want a number of seconds", quote(v.raw))
	}
	seconds, err := strconv.ParseFloat(v.raw, 64)
	if err != nil || seconds < 0 || seconds > latestDate {
		return time.Time{}, fmt.Errorf("%s, want seconds between the years 1970 and 9999", v.raw)
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), nil
}
