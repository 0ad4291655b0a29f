package token_test

import (
	"context"
	"crypto"
	"errors"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/internal/token"
)

// TestSet checks that iss alone selects the rules and the keys of a token.
func TestSet(t *testing.T) {
	t.Parallel()
	const other = "https://other.example"
	first, second := strictVerifier(), strictVerifier()
	second.Issuers, second.Types, second.RequiredClaims = []string{other}, []string{"JWT"}, nil
	second.SubjectPrefix, second.MaxBytes = "", 1024
	second.RejectedHeader = nil
	first.MachineClaims = map[string][]string{"client_id_FIRST": {"machine"}}
	var asked []string
	keysOf := func(name string, keys ...crypto.PublicKey) token.Keys {
		return keyFunc(func(context.Context, string, string, uint64) ([]crypto.PublicKey, uint64, error) {
			asked = append(asked, name)
			return keys, 1, nil
		})
	}
	set := token.NewSet(
		token.Member{Verifier: first, Keys: keysOf("first", signingKeys()["rsa"].Public())},
		token.Member{Verifier: second, Keys: keysOf("second", signingKeys()["stranger"].Public())},
	)
	own := validDraft()
	foreign := own.with("iss", other).withHeader("typ", "JWT")
	long := make([]byte, 2048)
	for i := range long {
		long[i] = 'x'
	}
	for _, test := range []struct {
		name, raw  string
		member     int
		wantReason reason.Reason
		wantAsked  string
	}{
		{"of the first", own.sign(), 0, "", "first"},
		{"of the second", foreign.signedBy("stranger"), 1, "", "second"},
		{"of the second with the key of the first", foreign.signedBy("rsa"), 1, reason.BadSignature, "second"},
		{"of the first with the key of the second", own.signedBy("stranger"), 0, reason.BadSignature, "first"},
		{"of the first with the type of the second", own.withHeader("typ", "JWT").sign(), 0, reason.WrongType, ""},
		{"of the second with the type of the first", foreign.withHeader("typ", "at+jwt").signedBy("stranger"), 1, reason.WrongType, ""},
		{"of the first with what the second allows to be absent", own.with("client_id", nil).sign(), 0, reason.MissingClaim, "first"},
		{"of the second without what the first requires", foreign.with("client_id", nil).signedBy("stranger"), 1, "", "second"},
		{"too large for the second", foreign.with("x", string(long)).signedBy("stranger"), 1, reason.TooLarge, ""},
		{"as large for the first", own.with("x", string(long)).sign(), 0, "", "first"},
		{"of the second with a claim that the first spells in another way",
			foreign.with("Client_ID_First", "x").signedBy("stranger"), 1, "", "second"},
		{"of the second with a parameter that the first spells in another way",
			foreign.withHeader("CAT", "x").signedBy("stranger"), 1, "", "second"},
		{"of the first with a claim that it spells in another way", own.with("Client_ID_First", "x").sign(), 0, reason.Malformed, ""},
		{"of the first with a parameter that it spells in another way", own.withHeader("CAT", "x").sign(), 0, reason.Malformed, ""},
		{"of the second with a claim that it spells in another way",
			foreign.with("CLIENT_ID", "x").signedBy("stranger"), 1, reason.Malformed, ""},
		{"of the second in the spelling of the first",
			foreign.with("client_id_FIRST", "x").signedBy("stranger"), 1, "", "second"},
		{"of no provider", own.with("iss", "https://third.example").sign(), -1, reason.WrongIssuer, ""},
		{"without an issuer", own.with("iss", nil).sign(), -1, reason.MissingClaim, ""},
		{"malformed", "a.b.c", -1, reason.Malformed, ""},
	} {
		asked = nil
		_, member, err := set.Verify(context.Background(), test.raw, now)
		if reasonOf(err) != test.wantReason || member != test.member {
			t.Errorf("%s: got %v of provider %d, want reason %q of provider %d", test.name, err, member, test.wantReason, test.member)
		}
		got := ""
		if len(asked) > 0 {
			got = asked[0]
		}
		if got != test.wantAsked {
			t.Errorf("%s: looked up keys of %q, want %q", test.name, got, test.wantAsked)
		}
	}
}

// An error of the keys names the provider whose keys are not available.
func TestSetWithUnavailableKeys(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	failing := keyFunc(func(context.Context, string, string, uint64) ([]crypto.PublicKey, uint64, error) { return nil, 0, down })
	second := strictVerifier()
	second.Issuers = []string{"https://other.example"}
	set := token.NewSet(token.Member{Verifier: strictVerifier(), Keys: published}, token.Member{Verifier: second, Keys: failing})
	_, member, err := set.Verify(context.Background(), validDraft().with("iss", "https://other.example").sign(), now)
	if !errors.Is(err, down) || member != 1 {
		t.Errorf("got %v of provider %d, want %v of provider 1", err, member, down)
	}
	if _, member, err := set.Verify(context.Background(), validDraft().sign(), now); err != nil || member != 0 {
		t.Errorf("the other provider: got %v of provider %d", err, member)
	}
}
