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

// claimNames are the claims that are read: RFC 7519 §4.1, RFC 9068 §2.2 and the
// names that issuers used before it ("azp", "scp").
var claimNames = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "azp", "scope", "scp", "cnf"}

// claims is a JWT claims set whose types are checked and nothing else.
type claims struct {
	issuer, subject, id       string
	clientID, authorizedParty string
	audience, scope, scp      []string
	expiry, notBefore, issued time.Time
	hasAudience, confirmation bool
	others                    []string // required claims that have no field above and are not empty
}

// parseClaims reads text. If it fails, the claims hold what was read before.
func parseClaims(text string, required []string) (claims, error) {
	var c claims
	var claimError error // about one claim, which the error names
	err := strictjson.Walk(text, func(m strictjson.Member) error {
		known, err := c.set(m)
		if err != nil {
			claimError = &Error{Reason: reason.Malformed, Claim: strings.Clone(m.Name), Err: fmt.Errorf("claim %s: %w", quote.String(m.Name), err)}
			return claimError
		}
		if known && !m.Escaped {
			return nil
		}
		return c.setOther(m, required)
	})
	if err != nil && claimError == nil {
		return c, malformed("payload", err)
	}
	return c, claimError
}

// setOther reads a claim that has no field of its own.
func (c *claims) setOther(m strictjson.Member, required []string) error {
	if err := m.CheckSpelling(claimNames...); err != nil {
		return err
	}
	if err := m.CheckSpelling(required...); err != nil {
		return err
	}
	if slices.Contains(required, m.Name) && strictjson.Kind(m.Value) == '"' && m.Value != `""` {
		c.others = append(c.others, m.Name)
	}
	return nil
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
		return c.setOptional(m)
	}
	return true, err
}

// setOptional sets the claims that RFC 7519 does not define. Unlike those that it
// defines, they may be null, which some issuers write in place of no claim.
func (c *claims) setOptional(m strictjson.Member) (known bool, err error) {
	switch m.Name {
	case "client_id":
		c.clientID, err = textOrNull(m.Value)
	case "azp":
		c.authorizedParty, err = textOrNull(m.Value)
	case "scope":
		c.scope, err = scopes(m.Value)
	case "scp":
		c.scp, err = scopes(m.Value)
	default:
		return false, nil
	}
	return true, err
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
