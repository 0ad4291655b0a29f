package token_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatehouse-mcp/gatehouse/internal/token"
)

func TestPeekKinds(t *testing.T) {
	t.Parallel()
	jwt := validDraft().withHeader("typ", "JWT").with("client_id", nil).with("scope", nil)
	for _, tt := range []struct{ want, raw string }{
		{"access token", validDraft().sign()},
		{"access token", validDraft().withHeader("typ", "JWT").sign()},
		{"access token", jwt.with("scp", []string{"a"}).sign()},
		{"session token", jwt.withHeader("cat", "cl_B7d4PD111AAA").sign()},
		{"session token", jwt.with("sid", "sess_1").sign()},
		{"JWT template token", jwt.withHeader("cat", "cl_B7d4PD222AAA").sign()},
		{"M2M token", jwt.withHeader("cat", "cl_B7d4PD333AAA").sign()},
		{"M2M token", jwt.with("sub", "mch_1").sign()},
		{"handshake token", jwt.with("handshake", []string{"a"}).sign()},
		{"ID token", jwt.with("nonce", "n").sign()},
		{"ID token", jwt.with("at_hash", "h").sign()},
		{"DPoP proof", jwt.withHeader("typ", "dpop+jwt").sign()},
		{"logout token", jwt.withHeader("typ", "Logout+JWT").sign()},
		{"identity assertion", jwt.withHeader("typ", "application/oauth-id-jag+jwt").sign()},
		{"JWT", jwt.sign()},
		{"encrypted token", "eyJhbGciOiJkaXIifQ..a.b.c"},
		{"malformed JWT", "eyJhbGciOiJkaXIifQ.+.c"},
		{"opaque access token", "oat_0ef5a7a33d87ed87ee7954c845d80450"},
		{"opaque M2M token", "mt_0ef5a7a33d87ed87ee7954c845d80450"},
		{"API key", "ak_0ef5a7a33d87ed87ee7954c845d80450"},
		{"secret key", "sk_test_0ef5a7a33d87ed87ee7954c845d80450"},
		{"publishable key", "pk_test_0ef5a7a33d87ed87ee7954c845d80450"},
		{"opaque access token", "gho_16C7e42F292c6912E7710c838347Ae178B4a"},
		{"access token of a machine", validDraft().with("sub", "dGd3hVEbAbMZNBbK").sign()},
		{"M2M token", validDraft().with("sub", "mch_1").sign()},
		{"refresh token", jwt.with("typ", "Refresh").sign()},
		{"logout token", jwt.with("events", map[string]any{"http://schemas.openid.net/event/backchannel-logout": struct{}{}}).sign()},
		{"ID token", jwt.with("azp", "c").with("aud", "c").with("jti", nil).sign()},
		{"opaque token", strings.Repeat("a", token.LargestMaxSize+1)},
		{"opaque token", ""},
	} {
		if got := token.Peek(tt.raw).Kind; got != tt.want {
			t.Errorf("Peek(%.60q).Kind = %q, want %q", tt.raw, got, tt.want)
		}
	}
}

func TestPeekFields(t *testing.T) {
	t.Parallel()
	stranger := validDraft().signedBy("stranger")
	want := token.Unverified{
		Header:    validDraft().headerJSON(),
		Payload:   validDraft().claimsJSON(),
		Kind:      "access token",
		Type:      "at+jwt",
		Algorithm: "RS256",
		KeyID:     "rsa",
		Issuer:    issuer,
		Subject:   "user_3BJN08XElmDVNILqWw1IT4fXzUd",
		ClientID:  "dGd3hVEbAbMZNBbK",
		Audience:  []string{resource},
		Scopes:    []string{"email", "profile", "offline_access"},
		Expiry:    now.Add(time.Hour),
		IssuedAt:  now.Add(-time.Hour),
	}
	if diff := cmp.Diff(want, token.Peek(stranger)); diff != "" {
		t.Error(diff)
	}
	// What precedes a fault is still reported.
	broken := validDraft()
	broken.claimsText = `{"iss":"https://a.example","sub":5}`
	want = token.Unverified{
		Header:    broken.headerJSON(),
		Payload:   broken.claimsText,
		Kind:      "access token",
		Type:      "at+jwt",
		Algorithm: "RS256",
		KeyID:     "rsa",
		Issuer:    "https://a.example",
	}
	got := token.Peek(broken.sign())
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(token.Unverified{}, "Problem")); diff != "" {
		t.Error(diff)
	}
	if want := `token is malformed: claim "sub": got a number, want a string`; got.Problem == nil || got.Problem.Error() != want {
		t.Errorf("Problem is %v, want %v", got.Problem, want)
	}
}
