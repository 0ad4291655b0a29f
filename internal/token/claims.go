package token

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// claimNames are the claims that are read of every token (RFC 7519 §4.1, RFC 7800 §3.1).
var claimNames = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf"}

// The claims that name the client and the scopes if a Verifier names none: those of RFC
// 9068 §2.2, and those that issuers used before it.
var (
	defaultClientClaims = []string{"client_id", "azp"}
	defaultScopeClaims  = []string{"scope", "scp"}
)

// claims is a JWT claims set whose types are checked and nothing else.
type claims struct {
	issuer, subject, id       string
	audience                  []string
	expiry, notBefore, issued time.Time
	hasAudience, confirmation bool
	others                    members // of those that rules name

	client string   // set by readOptional
	scopes []string // set by readOptional
}

// parseClaims reads text, with the values of the claims that are called names. If it fails,
// the claims hold what was read before.
func parseClaims(text string, names []string) (claims, error) {
	c, err := readClaims(text, names)
	if err == nil {
		err = c.checkSpelling(names)
	}
	return c, err
}

// checkSpelling returns an error if a claim is another spelling of one of names.
func (c *claims) checkSpelling(names []string) error {
	if err := c.others.checkSpelling(names); err != nil {
		return malformed("payload", err)
	}
	return nil
}

// usualOthers is how many claims that rules name most tokens have.
const usualOthers = 4

// readClaims is parseClaims without the check of how the names are spelled.
func readClaims(text string, names []string) (claims, error) {
	c := claims{others: make(members, 0, min(len(names), usualOthers))}
	var claimError error // about one claim, which the error names
	err := strictjson.Walk(text, func(m strictjson.Member) error {
		known, err := c.set(m)
		if err != nil {
			claimError = malformedClaim(m.Name, err)
			return claimError
		}
		if known && !m.Escaped {
			return nil
		}
		return c.others.add(m, claimNames, names)
	})
	if err != nil && claimError == nil {
		return c, malformed("payload", err)
	}
	return c, claimError
}

func malformedClaim(name string, err error) error {
	return &Error{Reason: reason.Malformed, Claim: strings.Clone(name), Err: fmt.Errorf("claim %s: %w", quote.String(name), err)}
}

// set sets the claim of m, and reports whether it is one of claimNames.
func (c *claims) set(m strictjson.Member) (known bool, err error) {
	switch m.Name {
	case "iss":
		c.issuer, err = strictjson.Text(m.Value)
	case "sub":
		c.subject, err = strictjson.Text(m.Value)
	case "aud":
		c.hasAudience = true
		c.audience, err = texts(m.Value)
	case "exp":
		c.expiry, err = date(m.Value)
	case "nbf":
		c.notBefore, err = date(m.Value)
	case "iat":
		c.issued, err = date(m.Value)
	case "jti":
		c.id, err = strictjson.Text(m.Value)
	case "cnf":
		c.confirmation = true
	default:
		return false, nil
	}
	return true, err
}

// readOptional sets the client and the scopes: each is the first of the claims with these
// names that is not empty. All of them must have the right type. Unlike the claims of RFC
// 7519, they may be null, which some issuers write in place of no claim.
func (c *claims) readOptional(clientClaims, scopeClaims []string) error {
	for _, name := range clientClaims {
		value, err := textOrNull(c.others.get(name))
		if err != nil {
			return malformedClaim(name, err)
		}
		if c.client == "" {
			c.client = value
		}
	}
	for _, name := range scopeClaims {
		value, err := scopes(c.others.get(name))
		if err != nil {
			return malformedClaim(name, err)
		}
		if len(c.scopes) == 0 {
			c.scopes = value
		}
	}
	return nil
}

// has reports whether the claim is present and not empty.
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
	case "cnf":
		return c.confirmation
	}
	switch value := c.others.get(name); strictjson.Kind(value) {
	case '"':
		return strings.Trim(value, `" `) != ""
	case '[':
		items, err := strictjson.Texts(value)
		return err == nil && slices.ContainsFunc(items, func(item string) bool { return item != "" })
	}
	return false
}
