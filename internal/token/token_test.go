package token_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/internal/token"
)

func reasonOf(err error) reason.Reason {
	var rejection *token.Error
	if errors.As(err, &rejection) {
		return rejection.Reason
	}
	return ""
}

func TestVerify(t *testing.T) {
	t.Parallel()
	keys := map[string]string{
		"RS256": "rsa", "RS384": "rsa", "RS512": "rsa", "PS256": "rsa", "PS384": "rsa", "PS512": "rsa",
		"ES256": "ec", "ES384": "p384", "ES512": "p521", "EdDSA": "ed", "Ed25519": "ed",
	}
	for _, alg := range jose.Names() {
		t.Run(alg, func(t *testing.T) {
			d := validDraft().withHeader("alg", alg).withHeader("kid", keys[alg])
			if alg == "Ed25519" {
				d.method = "EdDSA" // the older name of the same algorithm (RFC 9864 §2.2)
			}
			rules := strictVerifier()
			rules.Algorithms = []string{alg}
			got, err := verify(t, rules, d.sign())
			if err != nil {
				t.Fatal(err)
			}
			want := &token.Token{
				Type:       "at+jwt",
				Algorithm:  alg,
				KeyID:      keys[alg],
				Issuer:     issuer,
				Subject:    "user_3BJN08XElmDVNILqWw1IT4fXzUd",
				ClientID:   "dGd3hVEbAbMZNBbK",
				ID:         "oat_T6R0A1C379HWAWRF",
				Audience:   []string{resource},
				Scopes:     []string{"email", "profile", "offline_access"},
				Expiry:     now.Add(time.Hour),
				NotBefore:  now.Add(-time.Hour - 10*time.Second),
				IssuedAt:   now.Add(-time.Hour),
				Payload:    d.claimsJSON(),
				Generation: 1,
				Bound:      true,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Each row is a valid token in another form.
func TestVerifyForms(t *testing.T) {
	t.Parallel()
	valid := validDraft()
	for _, tt := range []struct {
		name  string
		draft draft
		rules func(*token.Verifier)
		field func(*token.Token) any
		want  any
	}{
		{name: "type with application/", draft: valid.withHeader("typ", "application/at+jwt"), field: typ, want: "application/at+jwt"},
		{name: "type in capitals", draft: valid.withHeader("typ", "AT+JWT"), field: typ, want: "AT+JWT"},
		{name: "type of RFC 9068's example", draft: valid.withHeader("typ", "Application/at+JWT"), field: typ, want: "Application/at+JWT"},
		{name: "other type allowed", draft: valid.withHeader("typ", "JWT"), rules: func(v *token.Verifier) { v.Types = []string{"at+jwt", "JWT"} }, field: typ, want: "JWT"},
		{name: "no type allowed", draft: valid.withHeader("typ", nil), rules: func(v *token.Verifier) { v.Types = []string{""} }, field: typ, want: ""},
		{name: "unknown category", draft: valid.withHeader("cat", "cl_I7d4PD111III"), field: typ, want: "at+jwt"},
		{name: "audience list", draft: valid.with("aud", []string{"https://a.example", resource}), field: audience, want: []string{"https://a.example", resource}},
		{name: "second audience of the server", draft: valid.with("aud", "urn:mcp"), rules: func(v *token.Verifier) { v.Resources = []string{resource, "urn:mcp"} }, field: bound, want: true},
		{name: "no audience, if present", draft: valid.with("aud", nil), rules: ifPresent, field: bound, want: false},
		{name: "audience, if present", draft: valid, rules: ifPresent, field: bound, want: true},
		{name: "no client", draft: valid.with("client_id", nil), rules: noneRequired, field: client, want: ""},
		{name: "azp for client_id", draft: valid.with("client_id", nil).with("azp", "app_1"), rules: noneRequired, field: client, want: "app_1"},
		{name: "client_id before azp", draft: valid.with("azp", "app_1"), field: client, want: "dGd3hVEbAbMZNBbK"},
		{name: "scope list", draft: valid.with("scope", []string{"a", "b"}), field: scopes, want: []string{"a", "b"}},
		{name: "scope with spaces", draft: valid.with("scope", "  a   b "), field: scopes, want: []string{"a", "b"}},
		{name: "scope with a tab is one word", draft: valid.with("scope", "a\tb"), field: scopes, want: []string{"a\tb"}},
		{name: "scp string", draft: valid.with("scope", nil).with("scp", "a b"), field: scopes, want: []string{"a", "b"}},
		{name: "scp list", draft: valid.with("scope", nil).with("scp", []string{"a", "b"}), field: scopes, want: []string{"a", "b"}},
		{name: "scp for an empty scope", draft: valid.with("scope", "").with("scp", "a"), field: scopes, want: []string{"a"}},
		{name: "scope before scp", draft: valid.with("scp", "x"), field: scopes, want: []string{"email", "profile", "offline_access"}},
		{name: "no scope", draft: valid.with("scope", nil), field: scopes, want: []string(nil)},
		{name: "scope null", draft: valid.with("scope", null), field: scopes, want: []string(nil)},
		{name: "fraction of a second", draft: valid.with("exp", 1795351800.5), field: expiry, want: time.Unix(1795351800, 5e8)},
		{name: "exponent", draft: valid.with("exp", raw("1.7953518e9")), field: expiry, want: time.Unix(1795351800, 0)},
		{name: "last second of 9999", draft: valid.with("exp", 253402300799), field: expiry, want: time.Unix(253402300799, 0)},
		{name: "escaped slashes", draft: valid.with("aud", raw(`"https:\/\/mcp.example.com\/mcp"`)), field: audience, want: []string{resource}},
		{name: "escaped character of another claim's name", draft: claimsWith(`"r\u00f4le":"x"`), field: subject, want: "user_3BJN08XElmDVNILqWw1IT4fXzUd"},
		{name: "two unknown names that differ in case", draft: claimsWith(`"Role":1,"role":2`), field: subject, want: "user_3BJN08XElmDVNILqWw1IT4fXzUd"},
		{name: "space", draft: draft{header: valid.header, claimsText: " \t\r\n" + strings.ReplaceAll(valid.claimsJSON(), ",", " , ") + "\n"}, field: subject, want: "user_3BJN08XElmDVNILqWw1IT4fXzUd"},
		{name: "as deep as allowed", draft: claimsWith(`"deep":` + nested(31)), field: subject, want: "user_3BJN08XElmDVNILqWw1IT4fXzUd"},
		{name: "other header parameters", draft: valid.withHeader("jku", "https://evil.example/jwks").withHeader("x5c", []string{"MII"}), field: subject, want: "user_3BJN08XElmDVNILqWw1IT4fXzUd"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rules := strictVerifier()
			if tt.rules != nil {
				tt.rules(rules)
			}
			got, err := verify(t, rules, tt.draft.sign())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, tt.field(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func typ(t *token.Token) any      { return t.Type }
func audience(t *token.Token) any { return t.Audience }
func bound(t *token.Token) any    { return t.Bound }
func client(t *token.Token) any   { return t.ClientID }
func subject(t *token.Token) any  { return t.Subject }
func scopes(t *token.Token) any   { return t.Scopes }
func expiry(t *token.Token) any   { return t.Expiry }

func ifPresent(v *token.Verifier)    { v.Audience = token.AudienceIfPresent }
func noneRequired(v *token.Verifier) { v.RequiredClaims = nil }

func TestVerifyTimes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		claim      string
		offset     time.Duration // of the claim, from now
		leeway     time.Duration
		wantReason reason.Reason
	}{
		{name: "expires now", claim: "exp"},
		{name: "last moment of the default leeway", claim: "exp", offset: -token.DefaultLeeway + time.Second},
		{name: "end of the default leeway", claim: "exp", offset: -token.DefaultLeeway, wantReason: reason.Expired},
		{name: "last moment of a leeway", claim: "exp", leeway: time.Minute, offset: -time.Minute + time.Second},
		{name: "end of a leeway", claim: "exp", leeway: time.Minute, offset: -time.Minute, wantReason: reason.Expired},
		{name: "leeway beyond bounds is cut", claim: "exp", leeway: time.Hour, offset: -token.MaxLeeway, wantReason: reason.Expired},
		{name: "leeway below bounds is cut", claim: "exp", leeway: -time.Hour, offset: time.Second},
		{name: "not before, within the leeway", claim: "nbf", offset: token.DefaultLeeway},
		{name: "not before, beyond the leeway", claim: "nbf", offset: token.DefaultLeeway + time.Second, wantReason: reason.NotYetValid},
		{name: "issued, within the leeway", claim: "iat", offset: token.DefaultLeeway},
		{name: "issued, beyond the leeway", claim: "iat", offset: token.DefaultLeeway + time.Second, wantReason: reason.NotYetValid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rules := strictVerifier()
			rules.Leeway = tt.leeway
			_, err := verify(t, rules, validDraft().with(tt.claim, now.Add(tt.offset).Unix()).sign())
			if got := reasonOf(err); got != tt.wantReason {
				t.Errorf("Verify: %v, want reason %q", err, tt.wantReason)
			}
		})
	}
}

// answer is one result of a token.Keys in a test.
type answer struct {
	kid        string // of the key in issuerKeys or "stranger"; none if empty
	generation uint64
	err        error
}

func TestVerifyCallsNewer(t *testing.T) {
	t.Parallel()
	outage := errors.New("issuer is down")
	for _, tt := range []struct {
		name       string
		answers    []answer
		wantTried  []uint64
		wantReason reason.Reason
		wantErr    error
		want       uint64 // generation of the token
	}{
		{name: "first key verifies", answers: []answer{{kid: "rsa", generation: 7}}, wantTried: []uint64{0}, want: 7},
		{name: "newer key verifies", answers: []answer{{kid: "stranger", generation: 7}, {kid: "rsa", generation: 8}}, wantTried: []uint64{0, 7}, want: 8},
		{name: "nothing newer", answers: []answer{{kid: "stranger", generation: 7}, {kid: "stranger", generation: 7}}, wantTried: []uint64{0, 7}, wantReason: reason.BadSignature},
		{name: "nothing newer, with another key", answers: []answer{{kid: "stranger", generation: 7}, {kid: "rsa", generation: 7}}, wantTried: []uint64{0, 7}, wantReason: reason.BadSignature},
		{name: "newer key does not verify either", answers: []answer{{kid: "stranger", generation: 7}, {kid: "stranger", generation: 8}}, wantTried: []uint64{0, 7}, wantReason: reason.BadSignature},
		{name: "newer key is of another kind", answers: []answer{{kid: "stranger", generation: 7}, {kid: "ec", generation: 8}}, wantTried: []uint64{0, 7}, wantReason: reason.WrongAlgorithm},
		{name: "key was of another kind", answers: []answer{{kid: "ec", generation: 7}, {kid: "rsa", generation: 8}}, wantTried: []uint64{0, 7}, want: 8},
		{name: "key was removed", answers: []answer{{kid: "stranger", generation: 7}, {generation: 8}}, wantTried: []uint64{0, 7}, wantReason: reason.UnknownKey},
		{name: "no such key", answers: []answer{{generation: 7}}, wantTried: []uint64{0}, wantReason: reason.UnknownKey},
		{name: "no keys at first", answers: []answer{{err: outage}}, wantTried: []uint64{0}, wantErr: outage},
		{name: "no keys at last", answers: []answer{{kid: "stranger", generation: 7}, {err: outage}}, wantTried: []uint64{0, 7}, wantErr: outage},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var calls []uint64
			keys := keyFunc(func(_ context.Context, kid, alg string, tried uint64) ([]crypto.PublicKey, uint64, error) {
				if kid != "rsa" || alg != "RS256" {
					t.Errorf("looked up key %q and algorithm %q, want %q and %q", kid, alg, "rsa", "RS256")
				}
				next := tt.answers[len(calls)]
				calls = append(calls, tried)
				if next.kid == "" {
					return nil, next.generation, next.err
				}
				return []crypto.PublicKey{signingKeys()[next.kid].Public()}, next.generation, nil
			})
			got, err := strictVerifier().Verify(context.Background(), validDraft().sign(), keys, now)
			if diff := cmp.Diff(tt.wantTried, calls); diff != "" {
				t.Errorf("generations passed (-want +got):\n%s", diff)
			}
			if reasonOf(err) != tt.wantReason || tt.wantErr != nil && !errors.Is(err, tt.wantErr) || (err == nil) != (tt.want != 0) {
				t.Fatalf("Verify: %v, want reason %q or error %v", err, tt.wantReason, tt.wantErr)
			}
			if err == nil && got.Generation != tt.want {
				t.Errorf("generation %d, want %d", got.Generation, tt.want)
			}
		})
	}
}

// EdDSA and Ed25519 are two names of one algorithm (RFC 9864 §2.2), in tokens and in rules.
func TestVerifyKnowsBothNamesOfEdDSA(t *testing.T) {
	t.Parallel()
	for _, configured := range [][]string{{"EdDSA"}, {"Ed25519"}, {"RS256", "Ed25519", "EdDSA"}, jose.DefaultNames(), {"RS256"}} {
		for _, alg := range []string{"EdDSA", "Ed25519"} {
			v := strictVerifier()
			v.Algorithms = configured
			if err := v.Validate(); err != nil {
				t.Fatal(err)
			}
			d := validDraft().withHeader("alg", alg).withHeader("kid", "ed")
			d.method = "EdDSA"
			var want reason.Reason
			if len(configured) == 1 && configured[0] == "RS256" {
				want = reason.WrongAlgorithm
			}
			got, err := verify(t, v, d.sign())
			if reasonOf(err) != want || (err == nil) != (want == "") {
				t.Errorf("%s with %q: %v, want reason %q", alg, configured, err, want)
			}
			if err == nil && got.Algorithm != alg {
				t.Errorf("%s with %q: algorithm %q, want it as the token has it", alg, configured, got.Algorithm)
			}
		}
	}
}

// A token without "kid" is tried with the few keys that fit, and with those of a newer set.
func TestVerifyWithoutKeyID(t *testing.T) {
	t.Parallel()
	public := func(kids ...string) (list []crypto.PublicKey) {
		for _, kid := range kids {
			list = append(list, signingKeys()[kid].Public())
		}
		return list
	}
	strangers := make([]string, jose.MaxCandidates)
	for i := range strangers {
		strangers[i] = "stranger"
	}
	few := public(append(strangers[1:], "rsa")...)
	many := public(append(strangers, "rsa")...)
	for _, tt := range []struct {
		name       string
		sets       [][]crypto.PublicKey // that Find and Newer return
		wantReason reason.Reason
		wantCalls  int
	}{
		{name: "control: one key", sets: [][]crypto.PublicKey{public("rsa")}, wantCalls: 1},
		{name: "the last of a few", sets: [][]crypto.PublicKey{few}, wantCalls: 1},
		{name: "too many", sets: [][]crypto.PublicKey{many}, wantReason: reason.MissingKeyID, wantCalls: 1},
		{name: "none", sets: [][]crypto.PublicKey{nil}, wantReason: reason.UnknownKey, wantCalls: 1},
		{
			name:      "newer key",
			sets:      [][]crypto.PublicKey{public("stranger"), public("rsa")},
			wantCalls: 2,
		},
		{
			name:       "none by signature",
			sets:       [][]crypto.PublicKey{public("stranger"), public("stranger")},
			wantReason: reason.BadSignature,
			wantCalls:  2,
		},
		{
			name:       "too many newer ones",
			sets:       [][]crypto.PublicKey{public("stranger"), many},
			wantReason: reason.MissingKeyID,
			wantCalls:  2,
		},
		{
			name:       "removed",
			sets:       [][]crypto.PublicKey{public("stranger"), nil},
			wantReason: reason.UnknownKey,
			wantCalls:  2,
		},
	} {
		calls := 0
		keys := keyFunc(func(_ context.Context, kid, alg string, _ uint64) ([]crypto.PublicKey, uint64, error) {
			if kid != "" || alg != "RS256" {
				t.Errorf("%s: looked up key %q and algorithm %q", tt.name, kid, alg)
			}
			calls++
			return tt.sets[calls-1], uint64(calls), nil
		})
		got, err := strictVerifier().Verify(context.Background(), validDraft().withHeader("kid", nil).signedBy("rsa"), keys, now)
		if reasonOf(err) != tt.wantReason || (err == nil) != (tt.wantReason == "") || calls != tt.wantCalls {
			t.Errorf("%s: %v after %d look-ups, want reason %q after %d", tt.name, err, calls, tt.wantReason, tt.wantCalls)
		}
		if err == nil && got.KeyID != "" {
			t.Errorf("%s: key id %q, want none", tt.name, got.KeyID)
		}
	}
}

// A kid may name several keys: duplicates in a key set, or an old and a new one.
func TestVerifyTriesEachKey(t *testing.T) {
	t.Parallel()
	keyed := func(kids ...string) token.Keys {
		var keys []crypto.PublicKey
		for _, kid := range kids {
			keys = append(keys, signingKeys()[kid].Public())
		}
		return always(keys...)
	}
	for _, tt := range []struct {
		name       string
		kids       []string
		wantReason reason.Reason
	}{
		{name: "first", kids: []string{"rsa", "stranger"}},
		{name: "last", kids: []string{"stranger", "ec", "weak", "rsa"}},
		{name: "none by signature", kids: []string{"stranger", "ec"}, wantReason: reason.BadSignature},
		{name: "none by kind", kids: []string{"ec", "ed", "weak"}, wantReason: reason.WrongAlgorithm},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := strictVerifier().Verify(context.Background(), validDraft().sign(), keyed(tt.kids...), now)
			if got := reasonOf(err); got != tt.wantReason {
				t.Errorf("Verify: %v, want reason %q", err, tt.wantReason)
			}
		})
	}
}

// Keys that cannot be used are skipped.
func TestVerifyUnsuitableKeys(t *testing.T) {
	t.Parallel()
	valid := signingKeys()["rsa"].Public()
	huge := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 8192), E: 65537}
	for _, tt := range []struct {
		name       string
		key        crypto.PublicKey
		wantReason reason.Reason
	}{
		{name: "valid", key: valid},
		{name: "none", key: nil, wantReason: reason.WrongAlgorithm},
		{name: "RSA of 8193 bits", key: huge, wantReason: reason.WrongAlgorithm},
		{name: "RSA of 1024 bits", key: signingKeys()["weak"].Public(), wantReason: reason.WrongAlgorithm},
		{name: "RSA by value", key: *valid.(*rsa.PublicKey), wantReason: reason.WrongAlgorithm},
		{name: "private RSA", key: signingKeys()["rsa"], wantReason: reason.WrongAlgorithm},
		{name: "secret", key: []byte("secret"), wantReason: reason.WrongAlgorithm},
		{name: "short Ed25519", key: ed25519.PublicKey("short"), wantReason: reason.WrongAlgorithm},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := strictVerifier().Verify(context.Background(), validDraft().sign(), always(tt.key), now)
			if got := reasonOf(err); got != tt.wantReason {
				t.Errorf("Verify: %v, want reason %q", err, tt.wantReason)
			}
		})
	}
}

// A key set with many keys of one name costs a bounded number of verifications.
func TestVerifyTriesFewKeys(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		strangers  int
		wantReason reason.Reason
	}{{15, ""}, {16, reason.BadSignature}} {
		keys := slices.Repeat([]crypto.PublicKey{signingKeys()["stranger"].Public()}, tt.strangers)
		keys = append(keys, signingKeys()["rsa"].Public())
		_, err := strictVerifier().Verify(context.Background(), validDraft().sign(), always(keys...), now)
		if got := reasonOf(err); got != tt.wantReason {
			t.Errorf("after %d others: %v, want reason %q", tt.strangers, err, tt.wantReason)
		}
	}
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	valid := validDraft()
	for _, tt := range []struct{ name, raw, want string }{
		{"opaque", "oat_0ef5a7a33d87ed87ee7954c845d80450", `token is opaque, want a signed JWT`},
		{"encrypted", "a.b.c.d.e", `token is encrypted, want a signed JWT`},
		{"too large", strings.Repeat("a", token.DefaultMaxSize+1), `token is 16385 bytes, want at most 16384`},
		{"JSON", `{"payload":""}`, `token is malformed: form: got JSON serialization, want compact serialization`},
		{"base64", "a.b.c", `token is malformed: header: illegal base64 data at input byte 0`},
		{"claims", claimsWith(`"sub":"user_2"`).sign(), `token is malformed: payload: byte 276: member "sub" appears twice`},
		{"claim", valid.with("sub", 5).sign(), `token is malformed: claim "sub": got a number, want a string`},
		{"critical", valid.withHeader("crit", []string{"exp"}).sign(), `token header has "crit", want none`},
		{"algorithm", valid.withHeader("alg", "RS384").sign(), `token algorithm is "RS384", want one of ["RS256", "PS256", "ES256", "EdDSA"]`},
		{"key's algorithm", valid.withHeader("kid", "ec").signedBy("rsa"), `token algorithm is "RS256", want that of key "ec": the key is EC on P-256`},
		{"weak key", valid.withHeader("kid", "weak").signedBy("rsa"), `token algorithm is "RS256", want that of key "weak": the RSA key has 1024 bits, want 2048 to 8192`},
		{"type", valid.withHeader("typ", "JWT").sign(), `token type is "JWT", want "at+jwt"`},
		{"category", valid.withHeader("cat", "cl_B7d4PD111AAA").sign(), `token type is "session token", want "access token"`},
		{
			"no key id",
			valid.withHeader("kid", nil).withHeader("alg", "EdDSA").signedBy("ed"),
			`token header has no "kid", and the issuer has 5 keys for its algorithm, want at most 4`,
		},
		{"no key id, wrong signature", valid.withHeader("kid", nil).signedBy("stranger"), `token signature is not by a key of the issuer`},
		{"issuer", valid.with("iss", issuer+"/").sign(), `token issuer is "https://verb-noun-42.clerk.accounts.dev/", want "https://verb-noun-42.clerk.accounts.dev"`},
		{"key", valid.withHeader("kid", "k2").signedBy("rsa"), `token key "k2" is not one of the issuer's`},
		{"signature", valid.signedBy("stranger"), `token signature is not by key "rsa"`},
		{"short signature", "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSIsInR5cCI6ImF0K2p3dCJ9." + encode(valid.claimsJSON()) + ".AAAA", `token signature is not by key "rsa": signature is 3 bytes, want 256 to 1024`},
		{"subject missing", valid.with("sub", nil).sign(), `token has no "sub"`},
		{"expired", valid.with("exp", now.Add(-4*time.Minute-12*time.Second).Unix()).sign(), `token expired 4m12s ago`},
		{"not before", valid.with("nbf", now.Add(2*time.Minute).Unix()).sign(), `token "nbf" is 2m0s in the future`},
		{"issued", valid.with("iat", now.Add(2*time.Minute).Unix()).sign(), `token "iat" is 2m0s in the future`},
		{"bound to a key", valid.with("cnf", map[string]any{"jkt": "x"}).sign(), `token is bound to a key by "cnf", want a bearer token`},
		{"subject", valid.with("sub", "mch_1").sign(), `token subject is "mch_1", want "user_…"`},
		{"audience", valid.with("aud", "https://a").sign(), `token audience is ["https://a"], want "https://mcp.example.com/mcp"`},
		{"audiences", valid.with("aud", []string{"1", "2", "3", "4", "5", "6"}).sign(), `token audience is ["1", "2", "3", "4", 2 more], want "https://mcp.example.com/mcp"`},
		{"no audience", valid.with("aud", nil).sign(), `token has no audience, want "https://mcp.example.com/mcp"`},
		{"long and in two lines", valid.with("sub", "mch_\n"+strings.Repeat("é", 100)).sign(), `token subject is "mch_\n` + strings.Repeat("é", 61) + `…", want "user_…"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := verify(t, strictVerifier(), tt.raw)
			if err == nil || err.Error() != tt.want {
				t.Errorf("Verify: %v, want %v", err, tt.want)
			}
		})
	}
}

func TestKeyErrorIsNoRejection(t *testing.T) {
	t.Parallel()
	keys := keyFunc(func(context.Context, string, string, uint64) ([]crypto.PublicKey, uint64, error) {
		return nil, 0, context.DeadlineExceeded
	})
	_, err := strictVerifier().Verify(context.Background(), validDraft().sign(), keys, now)
	if want := `looking up key "rsa": context deadline exceeded`; err == nil || err.Error() != want {
		t.Errorf("Verify: %v, want %v", err, want)
	}
	if got := reasonOf(err); got != "" {
		t.Errorf("the error is a rejection with reason %q, want none", got)
	}
	var unavailable *token.KeyError
	if !errors.As(err, &unavailable) || !unavailable.IssuedAt.Equal(now.Add(-time.Hour)) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Verify: %#v, want a KeyError with iat and its cause", err)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		mutate  func(*token.Verifier)
		wantErr string
	}{
		{"valid", func(*token.Verifier) {}, ""},
		{"no issuer", func(v *token.Verifier) { v.Issuers = nil }, "Issuers is [], want the names of the issuer"},
		{"no algorithms", func(v *token.Verifier) { v.Algorithms = nil }, `Algorithms is empty, want some of ["ES256" "ES384" "ES512" "Ed25519" "EdDSA" "PS256" "PS384" "PS512" "RS256" "RS384" "RS512"]`},
		{"HMAC", func(v *token.Verifier) { v.Algorithms = []string{"HS256"} }, `Algorithms has "HS256", want some of ["ES256" "ES384" "ES512" "Ed25519" "EdDSA" "PS256" "PS384" "PS512" "RS256" "RS384" "RS512"]`},
		{"no types", func(v *token.Verifier) { v.Types = nil }, `Types is empty, want "at+jwt" or the issuer's own type`},
		{"rejected type", func(v *token.Verifier) { v.RejectedHeader = map[string]map[string]string{"typ": {}} }, `RejectedHeader has "typ", want other parameters`},
		{"policy", func(v *token.Verifier) { v.Audience = 2 }, "Audience is 2, want AudienceRequired or AudienceIfPresent"},
		{"no audiences", func(v *token.Verifier) { v.Resources = nil }, "Resources is [], want the names of this server"},
		{"empty audience", func(v *token.Verifier) { v.Resources = []string{""} }, `Resources is [""], want the names of this server`},
		{"leeway below", func(v *token.Verifier) { v.Leeway = -1 }, "Leeway is -1ns, want 0 to 2m0s"},
		{"leeway above", func(v *token.Verifier) { v.Leeway = time.Hour }, "Leeway is 1h0m0s, want 0 to 2m0s"},
		{"size below", func(v *token.Verifier) { v.MaxBytes = -1 }, "MaxBytes is -1, want 0 to 65536"},
		{"size above", func(v *token.Verifier) { v.MaxBytes = 64<<10 + 1 }, "MaxBytes is 65537, want 0 to 65536"},
		{"two faults", func(v *token.Verifier) { v.Issuers, v.Types = nil, nil }, "Issuers is [], want the names of the issuer\nTypes is empty, want \"at+jwt\" or the issuer's own type"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := strictVerifier()
			tt.mutate(v)
			got := ""
			if err := v.Validate(); err != nil {
				got = err.Error()
			}
			if got != tt.wantErr {
				t.Errorf("Validate: %s, want %s", got, tt.wantErr)
			}
		})
	}
}

// A Verifier that Validate finds faults with must still reject tokens.
func TestFaultyVerifierRejects(t *testing.T) {
	t.Parallel()
	raw := validDraft().sign()
	algorithmAndType := token.Rules{Algorithms: []string{"RS256"}, Types: []string{"at+jwt"}}
	unknownPolicy := algorithmAndType
	unknownPolicy.Audience = 2
	for _, tt := range []struct {
		name       string
		verifier   token.Verifier
		wantReason reason.Reason
	}{
		{"zero", token.Verifier{}, reason.WrongAlgorithm},
		{"no types", token.Verifier{Rules: token.Rules{Algorithms: []string{"RS256"}}}, reason.WrongType},
		{"no issuer", token.Verifier{Rules: algorithmAndType}, reason.WrongIssuer},
		{"no audiences", token.Verifier{Rules: algorithmAndType, Issuers: []string{issuer}}, reason.WrongAudience},
		{"policy", token.Verifier{Rules: unknownPolicy, Issuers: []string{issuer}}, reason.WrongAudience},
		{"negative size", token.Verifier{Rules: token.Rules{MaxBytes: -1}}, reason.TooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := verify(t, &tt.verifier, raw)
			if got := reasonOf(err); got != tt.wantReason {
				t.Errorf("Verify: %v, want reason %q", err, tt.wantReason)
			}
		})
	}
}
