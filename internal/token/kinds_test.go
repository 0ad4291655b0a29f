package token_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/internal/token"
)

// kindTest is a token and rules that are not those of RFC 9068. Each row of one rule changes
// one thing of the row before that is accepted.
type kindTest struct {
	name       string
	draft      draft
	rules      func(*token.Verifier)
	wantReason reason.Reason // empty means accepted
}

func requireUse(v *token.Verifier) {
	v.RequiredValues = map[string][]string{"token_use": {"access"}, "ver": {"1", "2.0"}}
}

func rejectKinds(v *token.Verifier) {
	v.RejectedClaims = map[string]map[string]string{"nonce": {"": "ID token"}, "typ": {"Refresh": "refresh token"}, "amr": {"otp": "step"}}
}

func requireGroups(v *token.Verifier) { v.RequiredClaims = []string{"groups"} }

func ownAudiences(v *token.Verifier) { v.Rules.Audiences = []string{"api://default", "7f3c"} }

func boundClients(v *token.Verifier) { v.BoundClients = []string{"dGd3hVEbAbMZNBbK"} }

func boundScopes(v *token.Verifier) { v.BoundScopePrefix = "https://mcp.example.com/mcp/" }

func boundByBoth(v *token.Verifier) {
	boundClients(v)
	boundScopes(v)
}

func kindTests() []kindTest {
	valid := validDraft()
	used := valid.with("token_use", "access").with("ver", 1)
	unbound := valid.with("aud", nil)
	scoped := unbound.with("scope", "https://mcp.example.com/mcp/read")
	return []kindTest{
		{"required values", used, requireUse, ""},
		{"required value as a text", used.with("ver", "2.0"), requireUse, ""},
		{"another required value", used.with("token_use", "id"), requireUse, reason.WrongClaim},
		{"another number", used.with("ver", 2), requireUse, reason.WrongClaim},
		{"number written in another way", used.with("ver", raw("1.0")), requireUse, reason.WrongClaim},
		{"list with the required value", used.with("token_use", []string{"access"}), requireUse, reason.WrongClaim},
		{"required value in capitals", used.with("token_use", "ACCESS"), requireUse, reason.WrongClaim},
		{"required value null", used.with("token_use", null), requireUse, reason.MissingClaim},
		{"without a required value", used.with("token_use", nil), requireUse, reason.MissingClaim},
		{"required value under another spelling", used.with("Token_use", "access"), requireUse, reason.Malformed},

		{"no rejected claim", valid, rejectKinds, ""},
		{"rejected claim null", valid.with("nonce", null), rejectKinds, ""},
		{"another value of a rejected claim", valid.with("typ", "Bearer"), rejectKinds, ""},
		{"rejected claim", valid.with("nonce", "n"), rejectKinds, reason.WrongType},
		{"rejected claim false", valid.with("nonce", false), rejectKinds, reason.WrongType},
		{"rejected value", valid.with("typ", "Refresh"), rejectKinds, reason.WrongType},
		{"rejected value in a list", valid.with("amr", []string{"pwd", "otp"}), rejectKinds, reason.WrongType},
		{"other values in a list", valid.with("amr", []string{"pwd"}), rejectKinds, ""},
		{"rejected value in a list with a number", valid.with("amr", []any{1, "otp"}), rejectKinds, reason.WrongType},
		{"other values in a list with a number", valid.with("amr", []any{1, "pwd"}), rejectKinds, ""},
		{"rejected value with escapes in a list", valid.with("amr", raw(`["\u006ftp"]`)), rejectKinds, reason.WrongType},
		{"rejected claim under another spelling", valid.with("NONCE", "n"), rejectKinds, reason.Malformed},

		{"required list", valid.with("groups", []string{"", "a"}), requireGroups, ""},
		{"required list of empty texts", valid.with("groups", []string{""}), requireGroups, reason.MissingClaim},

		{"audience of the provider", valid.with("aud", "api://default"), ownAudiences, ""},
		{"audience of the provider in a list", valid.with("aud", []string{"x", "7f3c"}), ownAudiences, ""},
		{"resource next to audiences of the provider", valid, ownAudiences, ""},
		{"another audience", valid.with("aud", "api://other"), ownAudiences, reason.WrongAudience},
		{"audience with a slash more", valid.with("aud", "api://default/"), ownAudiences, reason.WrongAudience},
		{"no audience", unbound, ownAudiences, reason.Unbound},

		{"bound client", unbound, boundClients, ""},
		{"bound client, empty audience", valid.with("aud", []string{}), boundClients, ""},
		{"bound client, audience of the resource", valid, boundClients, ""},
		{"another client", unbound.with("client_id", "other"), boundClients, reason.WrongAudience},
		{"no client", unbound.with("client_id", nil), func(v *token.Verifier) {
			boundClients(v)
			v.RequiredClaims = nil
		}, reason.WrongAudience},
		{"bound client, foreign audience", valid.with("aud", "https://other.example"), boundClients, reason.WrongAudience},
		{"empty audience without bound clients", valid.with("aud", []string{}), func(*token.Verifier) {}, reason.WrongAudience},

		{"bound scope", scoped, boundScopes, ""},
		{"bound scope among others", scoped.with("scope", "openid https://mcp.example.com/mcp/read"), boundScopes, ""},
		{"prefix alone", unbound.with("scope", "https://mcp.example.com/mcp/"), boundScopes, reason.WrongAudience},
		{"scope of another resource", unbound.with("scope", "https://mcp.example.com/mcp2/read"), boundScopes, reason.WrongAudience},
		{"scope of another resource whose name continues that of this one",
			unbound.with("scope", "https://mcp.example.com/mcp/admin/read"), boundScopes, reason.WrongAudience},
		{"scope with dot segments", unbound.with("scope", "https://mcp.example.com/mcp/../other/read"), boundScopes, reason.WrongAudience},
		{"scope in another spelling", unbound.with("scope", "https://mcp.example.com/%6Dcp/read"), boundScopes, reason.WrongAudience},
		{"scope in capitals", unbound.with("scope", "HTTPS://mcp.example.com/mcp/read"), boundScopes, reason.WrongAudience},
		{"scope after a tab", unbound.with("scope", "openid\thttps://mcp.example.com/mcp/read"), boundScopes, reason.WrongAudience},
		{"scope after a line break", unbound.with("scope", "openid\nhttps://mcp.example.com/mcp/read"), boundScopes, reason.WrongAudience},
		{"scope in the middle of another", unbound.with("scope", "x:https://mcp.example.com/mcp/read"), boundScopes, reason.WrongAudience},
		{"scope with a slash after a prefix without one", unbound.with("scope", "mcp:files/read"),
			func(v *token.Verifier) { v.BoundScopePrefix = "mcp:" }, ""},
		{"aud with an empty name", valid.with("aud", ""), boundScopes, reason.WrongAudience},
		{"aud with an empty name in a list", valid.with("aud", []string{""}), boundScopes, reason.WrongAudience},
		{"aud null", valid.with("aud", null), boundScopes, reason.Malformed},
		{"no scope", unbound.with("scope", nil), boundScopes, reason.WrongAudience},
		{"bound client and scope", scoped, boundByBoth, ""},
		{"bound scope of another client", scoped.with("client_id", "other"), boundByBoth, reason.WrongAudience},
		{"bound client without the scope", unbound, boundByBoth, reason.WrongAudience},

		{"one of several issuers", valid.with("iss", "https://second.example"), severalIssuers, ""},
		{"first of several issuers", valid, severalIssuers, ""},
		{"none of several issuers", valid.with("iss", "https://third.example"), severalIssuers, reason.WrongIssuer},
		{"issuer with a slash more", valid.with("iss", "https://second.example/"), severalIssuers, reason.WrongIssuer},
	}
}

func severalIssuers(v *token.Verifier) { v.Issuers = []string{issuer, "https://second.example"} }

// TestKindOfToken checks the rules with which tokens are accepted that do not follow RFC 9068,
// each with the look-alikes that it must reject.
func TestKindOfToken(t *testing.T) {
	t.Parallel()
	for _, test := range kindTests() {
		v := strictVerifier()
		test.rules(v)
		if err := v.Validate(); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		got, err := verify(t, v, test.draft.sign())
		if reasonOf(err) != test.wantReason {
			t.Errorf("%s: got %v, want reason %q", test.name, err, test.wantReason)
		}
		if err == nil && !got.Bound {
			t.Errorf("%s: the token is not bound", test.name)
		}
	}
}

// TestClaimNames checks the claims that name the client and the scopes.
func TestClaimNames(t *testing.T) {
	t.Parallel()
	valid := validDraft().with("client_id", nil).with("scope", nil).with("azp", "azp").with("scp", "a")
	names := func(clients, scopes []string) func(*token.Verifier) {
		return func(v *token.Verifier) {
			v.ClientClaims, v.ScopeClaims, v.RequiredClaims = clients, scopes, nil
		}
	}
	type result struct {
		Client  string
		Scopes  []string
		Machine bool
	}
	for _, test := range []struct {
		name       string
		draft      draft
		rules      func(*token.Verifier)
		want       result
		wantReason reason.Reason
	}{
		{"default", valid, names(nil, nil), result{"azp", []string{"a"}, false}, ""},
		{"own names", valid.with("cid", "0oa").with("scopes", []string{"x", "y"}), names([]string{"cid"}, []string{"scopes"}), result{"0oa", []string{"x", "y"}, false}, ""},
		{"second name", valid.with("appid", "app"), names([]string{"cid", "appid"}, nil), result{"app", []string{"a"}, false}, ""},
		{"first name wins", valid.with("appid", "app").with("cid", "0oa"), names([]string{"cid", "appid"}, nil), result{"0oa", []string{"a"}, false}, ""},
		{"default name is ignored", valid, names([]string{"cid"}, []string{"scopes"}), result{}, ""},
		{"client of another type", valid.with("cid", 5), names([]string{"cid"}, nil), result{}, reason.Malformed},
		{"second client of another type", valid.with("cid", "0oa").with("appid", []string{"x"}), names([]string{"cid", "appid"}, nil), result{}, reason.Malformed},
		{"scopes of another type", valid.with("scopes", 5), names(nil, []string{"scopes"}), result{}, reason.Malformed},
		{"another spelling", valid.with("CID", "0oa"), names([]string{"cid"}, nil), result{}, reason.Malformed},
		{"client is the subject", valid.with("azp", "user_3BJN08XElmDVNILqWw1IT4fXzUd"), names(nil, nil), result{"user_3BJN08XElmDVNILqWw1IT4fXzUd", []string{"a"}, true}, ""},
		{"claim of a machine", valid.with("gty", "client-credentials"), machines, result{"azp", []string{"a"}, true}, ""},
		{"claim of a machine in a list", valid.with("gty", []string{"x", "client-credentials"}), machines, result{"azp", []string{"a"}, true}, ""},
		{"claim of a machine in a list with a number", valid.with("gty", []any{5, "client-credentials"}), machines,
			result{"azp", []string{"a"}, true}, ""},
		{"claim of a machine under another spelling", valid.with("GTY", "client-credentials"), machines, result{}, reason.Malformed},
		{"another value of the claim", valid.with("gty", "password"), machines, result{"azp", []string{"a"}, false}, ""},
		{"claim that only machines have", valid.with("clientHost", "10.0.0.7"), machines, result{"azp", []string{"a"}, true}, ""},
		{"the same null", valid.with("clientHost", null), machines, result{"azp", []string{"a"}, false}, ""},
	} {
		v := strictVerifier()
		test.rules(v)
		got, err := verify(t, v, test.draft.sign())
		if reasonOf(err) != test.wantReason {
			t.Errorf("%s: got %v, want reason %q", test.name, err, test.wantReason)
		}
		if err != nil {
			continue
		}
		if diff := cmp.Diff(test.want, result{got.ClientID, got.Scopes, got.Machine}); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

func machines(v *token.Verifier) {
	v.RequiredClaims = nil
	v.MachineClaims = map[string][]string{"gty": {"client-credentials"}, "clientHost": {""}}
}

// TestSecret checks HS256: the secret is never used for another algorithm, and no other key for
// HS256.
func TestSecret(t *testing.T) {
	t.Parallel()
	secret := []byte("a secret of at least thirty-two bytes")
	symmetric := validDraft().withHeader("alg", "HS256")
	symmetric.key = secret
	other := symmetric
	other.key = []byte("another secret of thirty-two bytes!")
	withSecret := func(v *token.Verifier) { v.Secret = secret }
	for _, test := range []kindTest{
		{"HS256", symmetric, withSecret, ""},
		{"another secret", other, withSecret, reason.BadSignature},
		{"HS256 without a secret", symmetric, func(*token.Verifier) {}, reason.WrongAlgorithm},
		{"RS256 with a secret", validDraft(), withSecret, reason.WrongAlgorithm},
		{"HS384", symmetric.withHeader("alg", "HS384"), withSecret, reason.WrongAlgorithm},
		{"critical header", symmetric.withHeader("crit", []string{"exp"}), withSecret, reason.CriticalHeader},
		{"another type", symmetric.withHeader("typ", "JWT"), withSecret, reason.WrongType},
		{"short secret", symmetric, func(v *token.Verifier) { v.Secret = secret[:31] }, reason.BadSignature},
		{"empty secret", symmetric, func(v *token.Verifier) { v.Secret = []byte{} }, reason.BadSignature},
	} {
		v := strictVerifier()
		test.rules(v)
		if _, err := verify(t, v, test.draft.sign()); reasonOf(err) != test.wantReason {
			t.Errorf("%s: got %v, want reason %q", test.name, err, test.wantReason)
		}
	}
}
