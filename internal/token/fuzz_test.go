package token_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/internal/token"
)

// FuzzVerify checks that only tokens that were signed are accepted, in one encoding only.
func FuzzVerify(f *testing.F) {
	valid := map[string]bool{}
	for _, d := range []draft{validDraft(), validDraft().with("aud", []string{"x", resource}), validDraft().with("scope", nil)} {
		for _, alg := range []string{"EdDSA", "Ed25519"} {
			d := d.withHeader("alg", alg).withHeader("kid", "ed")
			d.method = "EdDSA"
			raw := d.sign()
			valid[raw] = true
			f.Add(raw)
		}
	}
	for _, s := range corpus() {
		if len(s.Raw) < 4096 {
			f.Add(s.Raw)
		}
	}
	rules := strictVerifier()
	rules.Algorithms = []string{"EdDSA"}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := verify(t, rules, raw)
		if (err == nil) != valid[raw] {
			t.Fatalf("Verify(%q): %v, want it accepted only if it was signed", raw, err)
		}
		if err != nil {
			if got := reasonOf(err); !slices.Contains(tokenReasons(), got) {
				t.Fatalf("Verify(%q): %v of reason %q, want one of tokenReasons", raw, err, got)
			}
			return
		}
		header, payload, signature := cut(raw)
		for _, part := range []string{header, payload, signature} {
			if encode(string(must(base64.RawURLEncoding.DecodeString(part)))) != part {
				t.Fatalf("accepted %q, which is not canonical", raw)
			}
		}
		if encode(got.Payload) != payload {
			t.Fatalf("payload is %q, want %q", got.Payload, payload)
		}
	})
}

// lenient reads claims as encoding/json does: the last member of a name counts, in any
// letter case.
type lenient struct {
	Iss, Sub, Jti, Client_id, Azp string
	Exp, Nbf, Iat                 float64
	Aud, Scope, Scp, Cnf          any
}

// FuzzVerifySigned checks that encoding/json reads an accepted token in the same way.
func FuzzVerifySigned(f *testing.F) {
	for _, s := range corpus() {
		if header, payload, ok := decoded(s.Raw); ok && len(payload) < 4096 {
			f.Add(header, payload)
		}
	}
	rules := strictVerifier()
	rules.Algorithms = []string{"EdDSA"}
	rules.Audience = token.AudienceIfPresent
	keys := always(issuerKeys()["ed"]...)
	f.Fuzz(func(t *testing.T, header, payload string) {
		d := draft{headerText: header, claimsText: payload, method: "EdDSA", key: signingKeys()["ed"]}
		if header == "" || payload == "" {
			return
		}
		got, err := rules.Verify(context.Background(), d.sign(), keys, now)
		if err != nil {
			return
		}
		var h struct {
			Alg, Typ, Kid string
			Crit, B64     any
		}
		var c lenient
		if err := json.Unmarshal([]byte(header), &h); err != nil {
			t.Fatalf("accepted header %q: %v", header, err)
		}
		if err := json.Unmarshal([]byte(payload), &c); err != nil {
			t.Fatalf("accepted claims %q: %v", payload, err)
		}
		want := &token.Token{
			Type: h.Typ, Algorithm: h.Alg, KeyID: h.Kid,
			Issuer: c.Iss, Subject: c.Sub, ClientID: c.Client_id, ID: c.Jti,
			Audience: list(c.Aud), Scopes: words(c.Scope, c.Scp),
			Expiry: date(c.Exp), NotBefore: date(c.Nbf), IssuedAt: date(c.Iat),
			Payload: payload, Generation: 1, Bound: c.Aud != nil,
		}
		if h.Crit != nil || h.B64 != nil || c.Cnf != nil {
			t.Fatalf("accepted header %q and claims %q", header, payload)
		}
		sameTime := cmp.Comparer(func(a, b time.Time) bool {
			a, b = unixZero(a), unixZero(b)
			return a.Sub(b).Abs() < time.Microsecond
		})
		if diff := cmp.Diff(want, got, sameTime); diff != "" {
			t.Fatalf("header %q, claims %q: encoding/json and Verify differ:\n%s", header, payload, diff)
		}
	})
}

// unixZero returns the start of 1970 for the zero time: lenient cannot tell a date of 0
// from one that is missing.
func unixZero(t time.Time) time.Time {
	if t.IsZero() {
		return time.Unix(0, 0)
	}
	return t
}

// decoded returns the JSON of a token's first two parts.
func decoded(raw string) (header, payload string, ok bool) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return "", "", false
	}
	h, err1 := base64.RawURLEncoding.DecodeString(parts[0])
	p, err2 := base64.RawURLEncoding.DecodeString(parts[1])
	return string(h), string(p), err1 == nil && err2 == nil
}

func list(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		items := []string{}
		for _, item := range v {
			items = append(items, item.(string))
		}
		return items
	}
	return nil
}

func words(scope, scp any) []string {
	for _, v := range []any{scope, scp} {
		items := list(v)
		if s, ok := v.(string); ok {
			items = slices.DeleteFunc(strings.Split(s, " "), func(s string) bool { return s == "" })
		}
		if len(items) > 0 {
			return items
		}
	}
	return nil
}

func date(seconds float64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9))
}

// FuzzPeek checks that Peek reads any text, and a valid token as Verify does.
func FuzzPeek(f *testing.F) {
	valid := validDraft().withHeader("alg", "EdDSA").withHeader("kid", "ed").sign()
	f.Add(valid)
	for _, s := range corpus() {
		if len(s.Raw) < 4096 {
			f.Add(s.Raw)
		}
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u := token.Peek(raw)
		if u.Kind == "" {
			t.Fatalf("Peek(%q) has no kind", raw)
		}
		got, err := verify(t, strictVerifier(), raw)
		if err != nil {
			if got := reasonOf(err); u.Problem == nil && (got == reason.Malformed && !strings.Contains(err.Error(), `"cat"`) || got == reason.Opaque || got == reason.Encrypted) {
				t.Fatalf("Peek(%q) has no problem, Verify has: %v", raw, err)
			}
			return
		}
		header, _, _ := decoded(raw)
		want := token.Unverified{
			Kind: "access token", Header: header, Type: got.Type, Algorithm: got.Algorithm, KeyID: got.KeyID, Issuer: got.Issuer,
			Subject: got.Subject, ClientID: got.ClientID, Audience: got.Audience, Scopes: got.Scopes, Expiry: got.Expiry, IssuedAt: got.IssuedAt,
			Payload: got.Payload,
		}
		if diff := cmp.Diff(want, u); diff != "" {
			t.Fatalf("Peek(%q) (-want +got):\n%s", raw, diff)
		}
	})
}
