package gatehouse_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
	"weak"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

func TestDeny(t *testing.T) {
	is := newIssuer(t)
	later, before := time.Now().Add(time.Hour), time.Now().Add(-time.Minute)
	old := gatehouse.Denial{Subject: "user_1", IssuedBefore: before, Until: later}
	issued := func(at time.Time) testissuer.Change { return testissuer.Claim("iat", at.Unix()) }
	tests := []struct {
		name    string
		denial  gatehouse.Denial
		changes []testissuer.Change
		denied  bool
	}{
		{"subject", gatehouse.Denial{Subject: "user_1", Until: later}, nil, true},
		{"another subject", gatehouse.Denial{Subject: "user_2", Until: later}, nil, false},
		{"token", gatehouse.Denial{TokenID: "oat_1", Until: later}, nil, true},
		{"another token", gatehouse.Denial{TokenID: "token-2", Until: later}, nil, false},
		{"client", gatehouse.Denial{ClientID: "client_1", Until: later}, nil, true},
		{"session", gatehouse.Denial{SessionID: "sess_1", Until: later}, []testissuer.Change{testissuer.Claim("sid", "sess_1")}, true},
		{"session, of a token without one", gatehouse.Denial{SessionID: "sess_1", Until: later}, nil, false},
		{"subject at this client", gatehouse.Denial{Subject: "user_1", ClientID: "client_1", Until: later}, nil, true},
		{"subject at another client", gatehouse.Denial{Subject: "user_1", ClientID: "client_2", Until: later}, nil, false},
		{"issued before", old, []testissuer.Change{issued(before.Add(-time.Minute))}, true},
		{"issued after", old, nil, false},
		{"without iat", old, []testissuer.Change{testissuer.Claim("iat", nil)}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			guard := newGuard(t, is)
			handler := guard.Wrap(behind)
			rq := request{header: bearer(is.token(resource, test.changes...))}
			if resp := send(handler, rq); resp.StatusCode != 200 {
				t.Fatalf("before Deny: got status %d, want 200", resp.StatusCode)
			}
			if err := guard.Deny(test.denial); err != nil {
				t.Fatal(err)
			}
			resp := send(handler, rq)
			if denied := resp.StatusCode == 401; denied != test.denied {
				t.Errorf("after Deny: got status %d, want denied: %v", resp.StatusCode, test.denied)
			}
			if test.denied && guard.Stats().Rejected["revoked"] != 1 {
				t.Errorf("Stats %+v, want one revoked", guard.Stats())
			}
		})
	}
}

func TestDenyEnds(t *testing.T) {
	is := newIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		denials := gatehouse.NewDenials()
		if err := denials.Add(gatehouse.Denial{Subject: "user_1", Until: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if !denials.Match(is.URL(), "user_1") {
			t.Error("the denial has no effect")
		}
		time.Sleep(time.Hour)
		if denials.Match(is.URL(), "user_1") {
			t.Error("the denial has an effect after its end")
		}
	})
}

func TestDenyIsBounded(t *testing.T) {
	guard := newGuard(t, newIssuer(t))
	if err := guard.Deny(gatehouse.Denial{Until: time.Now().Add(time.Hour)}); err == nil {
		t.Error("Deny accepts a denial that matches every token")
	}
	if err := guard.Deny(gatehouse.Denial{Subject: "user_1", Until: time.Now()}); err == nil {
		t.Error("Deny accepts a denial that has ended")
	}
	synctest.Test(t, func(t *testing.T) {
		denials := gatehouse.NewDenials()
		fill := func() error {
			for i := range gatehouse.MaxDenials {
				denials.Put(gatehouse.Denial{Subject: fmt.Sprint("user_", i), Until: time.Now().Add(time.Minute)})
			}
			return denials.Add(gatehouse.Denial{Subject: "one more", Until: time.Now().Add(time.Minute)})
		}
		if err := fill(); !errors.Is(err, gatehouse.ErrTooManyDenials) {
			t.Errorf("Add to a full list = %v, want ErrTooManyDenials", err)
		}
		time.Sleep(time.Minute)
		if err := denials.Add(gatehouse.Denial{Subject: "one more", Until: time.Now().Add(time.Minute)}); err != nil {
			t.Errorf("Add after the others ended = %v, want nil", err)
		}
	})
}

// The fields of a denial are often parts of a token, of which the deny list must keep nothing
// else: it lives as long as the token would have.
func TestDenyKeepsNoToken(t *testing.T) {
	fields := map[string]func(*gatehouse.Denial) *string{
		"TokenID":   func(d *gatehouse.Denial) *string { return &d.TokenID },
		"SessionID": func(d *gatehouse.Denial) *string { return &d.SessionID },
		"Subject":   func(d *gatehouse.Denial) *string { return &d.Subject },
		"ClientID":  func(d *gatehouse.Denial) *string { return &d.ClientID },
	}
	const value, tokenBytes = "user_1", 16 << 10
	for name, field := range fields {
		guard := newGuard(t, newIssuer(t))
		deny := func() weak.Pointer[byte] {
			token := strings.Repeat("x", tokenBytes) + value
			denial := gatehouse.Denial{Until: time.Now().Add(time.Hour)}
			*field(&denial) = token[tokenBytes:]
			if err := guard.Deny(denial); err != nil {
				t.Fatal(err)
			}
			return weak.Make(unsafe.StringData(token))
		}
		token := deny()
		runtime.GC()
		if token.Value() != nil {
			t.Errorf("%s: the guard keeps the token, of which the field is a part", name)
		}
		runtime.KeepAlive(guard)
	}
}

func TestRevokedHook(t *testing.T) {
	is := newIssuer(t)
	banned := map[string]bool{"user_2": true}
	handler := newGuard(t, is, func(cfg *gatehouse.Config) {
		cfg.Revoked = func(id gatehouse.Identity) bool { return banned[id.Subject] }
	}).Wrap(behind)
	if resp := send(handler, request{header: bearer(is.token(resource))}); resp.StatusCode != 200 {
		t.Errorf("user_1: status %d, want 200", resp.StatusCode)
	}
	denied := is.token(resource, testissuer.Claim("sub", "user_2"))
	if resp := send(handler, request{header: bearer(denied)}); resp.StatusCode != 401 {
		t.Errorf("user_2: status %d, want 401", resp.StatusCode)
	}
}
