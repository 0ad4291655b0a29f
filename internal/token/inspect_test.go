package token_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/internal/token"
)

// allRules are the rules of an inspection, each of which must be in it once.
var allRules = []token.Rule{
	token.RuleSize, token.RuleForm, token.RuleHeader, token.RuleCritical, token.RuleAlgorithm, token.RuleType, token.RuleClaims,
	token.RuleIssuer, token.RuleSignature, token.RuleKind, token.RuleRequired, token.RuleExpiry, token.RuleBeginning,
	token.RuleBearer, token.RuleSubject, token.RuleAudience,
}

// checkInspection checks that the first rule that does not hold has the error of Verify, unless
// that is about the signature, which Inspect does not check.
func checkInspection(t *testing.T, name string, set *token.Set, raw string) {
	t.Helper()
	_, member, want := set.Verify(context.Background(), raw, now)
	got := set.Inspect(raw, now)
	seen := make(map[token.Rule]bool)
	for _, c := range got.Checks {
		if seen[c.Rule] {
			t.Errorf("%s: rule %s appears twice", name, c.Rule)
		}
		seen[c.Rule] = true
		if c.Skipped && c.Err != nil {
			t.Errorf("%s: rule %s was skipped and has the error %v", name, c.Rule, c.Err)
		}
	}
	if len(seen) != len(allRules) || slices.ContainsFunc(allRules, func(r token.Rule) bool { return !seen[r] }) {
		t.Errorf("%s: got the rules %v, want %v", name, got.Checks, allRules)
	}
	var keyError *token.KeyError
	if errors.As(want, &keyError) {
		t.Fatalf("%s: %v", name, want)
	}
	first := got.First()
	if first == nil || want == nil {
		if (first == nil) != (want == nil) && !isAboutKey(want) {
			t.Errorf("%s: got %v, want the error of Verify: %v", name, first, want)
		}
		return
	}
	if isAboutKey(want) && first.Rule != token.RuleSignature {
		// What follows the signature is inspected nevertheless.
		if at := slices.Index(allRules, first.Rule); at < slices.Index(allRules, token.RuleSignature) {
			t.Errorf("%s: got the rule %s (%v), want none before the signature: %v", name, first.Rule, first.Err, want)
		}
		return
	}
	if first.Err.Error() != want.Error() || reasonOf(first.Err) != reasonOf(want) {
		t.Errorf("%s: got %v of rule %s, want the error of Verify: %v", name, first.Err, first.Rule, want)
	}
	if member >= 0 && got.Member != member {
		t.Errorf("%s: got the member %d, want %d", name, got.Member, member)
	}
}

// isAboutKey reports whether err depends on the keys of the issuer.
func isAboutKey(err error) bool {
	var fault *token.Error
	if !errors.As(err, &fault) {
		return false
	}
	switch fault.Reason {
	case reason.UnknownKey, reason.MissingKeyID, reason.BadSignature:
		return true
	}
	return fault.Reason == reason.WrongAlgorithm && fault.Err != nil // the algorithm does not fit the key
}

func TestInspectAgreesWithVerify(t *testing.T) {
	t.Parallel()
	one := token.NewSet(token.Member{Verifier: strictVerifier(), Keys: published})
	other := strictVerifier()
	other.Issuers = []string{"https://second.example"}
	two := token.NewSet(token.Member{Verifier: other, Keys: published}, token.Member{Verifier: strictVerifier(), Keys: published})
	for _, s := range corpus() {
		checkInspection(t, s.Name, one, s.Raw)
		checkInspection(t, s.Name+", two members", two, s.Raw)
	}
	for _, test := range kindTests() {
		v := strictVerifier()
		test.rules(v)
		checkInspection(t, test.name, token.NewSet(token.Member{Verifier: v, Keys: published}), test.draft.sign())
	}
}

// TestInspectReportsEveryFault checks that a fault does not hide later ones, and that a valid token
// has none.
func TestInspectReportsEveryFault(t *testing.T) {
	t.Parallel()
	set := token.NewSet(token.Member{Verifier: strictVerifier(), Keys: published})
	valid := set.Inspect(validDraft().sign(), now)
	if first := valid.First(); first != nil {
		t.Errorf("a valid token: got %v, want no failed rule", first)
	}
	d := validDraft().withHeader("typ", "JWT").with("exp", 1).with("aud", "https://other.example").with("iss", "https://evil.example")
	var got []token.Rule
	for _, c := range set.Inspect(d.sign(), now).Checks {
		if c.Err != nil {
			got = append(got, c.Rule)
		}
	}
	want := []token.Rule{token.RuleType, token.RuleIssuer, token.RuleExpiry, token.RuleAudience}
	if !slices.Equal(got, want) {
		t.Errorf("got the failed rules %q, want %q", got, want)
	}
}
