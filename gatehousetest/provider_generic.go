package gatehousetest

import (
	"fmt"
	"maps"
	"strings"
	"time"
)

// genericLookAlike is a change that makes a token of every provider invalid.
type genericLookAlike struct {
	name, reason   string
	header, claims map[string]any
	change         func(header, claims map[string]any) // in place of header and claims
	foreign        bool                                // signed with a key that is not published
}

// generic are the look-alikes that are made for every token that is a JWT. Each changes one
// thing.
var generic = []genericLookAlike{
	{name: "signed with another key", reason: "bad_signature", foreign: true},
	{name: "without a signature", reason: "wrong_algorithm", header: map[string]any{"alg": "none"}},
	{name: "expired", reason: "expired", claims: map[string]any{"exp": -3600.0, "iat": -7200.0}},
	{name: "valid later", reason: "not_yet_valid", claims: map[string]any{"nbf": 3600.0}},
	{name: "without exp", reason: "missing_claim", claims: map[string]any{"exp": nil}},
	{name: "without sub", reason: "missing_claim", claims: map[string]any{"sub": nil}},
	{name: "without iss", reason: "missing_claim", claims: map[string]any{"iss": nil}},
	{name: "of another issuer", reason: "wrong_issuer", claims: map[string]any{"iss": "https://issuer.evil.example"}},
	{name: "with a slash more or less in iss", reason: "wrong_issuer", change: toggleSlash},
	{name: "for another server", reason: "wrong_audience", claims: map[string]any{"aud": "https://mcp.evil.example/mcp"}},
	{name: "bound to a key", reason: "sender_constrained", claims: map[string]any{"cnf": map[string]any{"jkt": "x"}}},
	{name: "with a critical header", reason: "critical_header", header: map[string]any{"crit": []any{"exp"}}},
	{name: "of a type of no provider", reason: "wrong_type", header: map[string]any{"typ": "logout+jwt"}},
}

func toggleSlash(_, claims map[string]any) {
	issuer, _ := claims["iss"].(string)
	if trimmed := strings.TrimSuffix(issuer, "/"); trimmed != issuer {
		claims["iss"] = trimmed
		return
	}
	claims["iss"] = issuer + "/"
}

// of returns the look-alike of the token s.
func (g *genericLookAlike) of(v *Vendor, s Sample) (specimen, error) {
	made := Sample{Name: fmt.Sprintf("%s, %s", s.Name, g.name), Source: "made from " + s.Name, Reason: g.reason}
	made.Header, made.Claims = changed(s.Header, g.header), changed(s.Claims, g.claims)
	if g.change != nil {
		g.change(made.Header, made.Claims)
	}
	if !g.foreign {
		raw, err := v.raw(&made, time.Now())
		return specimen{Sample: made, raw: raw, generic: true}, err
	}
	alg, _ := made.Header["alg"].(string)
	raw, err := signed(maps.Clone(made.Header), dated(made.Claims, time.Now()), func() (any, error) {
		if alg == "HS256" {
			return []byte("another secret of at least thirty-two bytes"), nil
		}
		return newSampleKey(alg, foreignRSAKey)
	})
	return specimen{Sample: made, raw: raw, generic: true}, err
}
