package revocationstore

import (
	"fmt"
	"slices"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

// maxIssuers bounds the denials of one user: each holds a place in the table of every process.
const maxIssuers = 100

// An IssuerError is an issuer that is missing, or that no provider has: a denial with it would match no
// token.
type IssuerError struct {
	Issuer  string   // empty if it is missing
	Issuers []string // those of the providers
	several bool     // whether the one provider has too many
}

func (e *IssuerError) Error() string {
	switch {
	case e.several:
		return fmt.Sprintf("the provider has more than %d issuers", maxIssuers)
	case e.Issuer == "":
		return "there are several issuers, at which the same value may be of different users"
	}
	return fmt.Sprintf("%s is not an issuer of the providers", quote.String(e.Issuer))
}

// WithIssuers returns d once for each value of iss in the tokens that it is to match. If d has no issuer,
// they are those of the only provider. If d has the issuer of a provider, they are all that the provider
// puts into its tokens: Scalekit and Entra ID have several. d is returned as it is for a provider with
// tenants, at which a subject is unique. The error is a *[IssuerError].
func WithIssuers(d gatehouse.Denial, providers []gatehouse.Provider) ([]gatehouse.Denial, error) {
	var known []string
	tokenIssuers := map[string][]string{}
	for _, p := range providers {
		if len(p.Tenants) > 0 {
			return []gatehouse.Denial{d}, nil
		}
		if p.Issuer == "" || slices.Contains(known, p.Issuer) {
			continue
		}
		known = append(known, p.Issuer)
		if tokenIssuers[p.Issuer] = p.TokenIssuers; len(p.TokenIssuers) == 0 {
			tokenIssuers[p.Issuer] = []string{p.Issuer}
		}
	}
	if d.Issuer == "" && len(known) == 1 {
		d.Issuer = known[0]
	}
	issuers := tokenIssuers[d.Issuer]
	for _, list := range tokenIssuers {
		if len(issuers) == 0 && slices.Contains(list, d.Issuer) {
			issuers = []string{d.Issuer}
		}
	}
	if len(issuers) == 0 || len(issuers) > maxIssuers {
		return nil, &IssuerError{Issuer: d.Issuer, Issuers: known, several: len(issuers) > maxIssuers}
	}
	denials := make([]gatehouse.Denial, len(issuers))
	for i, issuer := range issuers {
		denials[i] = d
		denials[i].Issuer = issuer
	}
	return denials, nil
}
