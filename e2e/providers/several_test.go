//go:build providers && unix

package providers

import (
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
)

// TestSeveralProviders accepts the users of two servers at one endpoint. No part of a token
// of one server is of any use with parts of a token of the other one.
func TestSeveralProviders(t *testing.T) {
	e := newEndpoint(t)
	first, second := startOIDCProvider(t, e, "jwt"), startBetterAuth(t, e)
	providers := []gatehouse.Provider{gatehouse.OIDC(first, mcpScope), betterAuthProvider(second)}
	providers[0].Tokens.Algorithms = []string{"RS256"}
	providers[1].Tokens.Algorithms = []string{"EdDSA"}
	e.protect(t, gatehouse.Provider{}, func(cfg *gatehouse.Config) { cfg.Providers = providers })
	t.Run("go-sdk signs in at the first", func(t *testing.T) {
		if got := whoamiOfGoSDK(t, e, adaAtOIDCProvider(t)); got.Issuer != first {
			t.Errorf("got a user of %s, want one of %s", got.Issuer, first)
		}
	})
	atFirst, atSecond := issueAtOIDCProvider(t, e, first), issueAtBetterAuth(t, e, second)
	for token, want := range map[string]gatehouse.Provider{atFirst["ada"].Access: providers[0], atSecond["ada"].Access: providers[1]} {
		if got := e.whoamiWith(t, token); got.Issuer != want.Issuer || got.Provider != want.Name {
			t.Errorf("got %+v, want a user of %s (%s)", got, want.Name, want.Issuer)
		}
	}
	a, b := strings.Split(atFirst["ada"].Access, "."), strings.Split(atSecond["ada"].Access, ".")
	for _, test := range []struct {
		name, token string
		want        gatehouse.Reason
	}{
		{"header of the second", b[0] + "." + a[1] + "." + a[2], "wrong_algorithm"},
		{"claims of the second", a[0] + "." + b[1] + "." + a[2], "wrong_algorithm"},
		{"signature of the second", a[0] + "." + a[1] + "." + b[2], "bad_signature"},
		{"header of the first", a[0] + "." + b[1] + "." + b[2], "wrong_algorithm"},
		{"claims of the first", b[0] + "." + a[1] + "." + b[2], "wrong_algorithm"},
		{"signature of the first", b[0] + "." + b[1] + "." + a[2], "bad_signature"},
		{"ID token of the first", atFirst["ada"].ID, "wrong_type"},
		{"ID token of the second", atSecond["openid"].ID, "wrong_type"},
		{"machine at the first", atFirst["robot"].Access, "machine_token"},
		{"machine at the second", atSecond["robot"].Access, "machine_token"},
		{"opaque token of the second", atSecond["unbound"].Access, "opaque"},
	} {
		e.wantReason(t, test.token, test.name, test.want)
	}
}
