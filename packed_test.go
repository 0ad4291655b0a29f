package gatehouse_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

// What a cache gives back is what was put there, to the last empty list.
func TestPacked(t *testing.T) {
	full := gatehouse.Verified{
		Identity: gatehouse.Identity{
			Issuer: "https://verb-noun-42.clerk.accounts.dev", Subject: "user_1", ClientID: "client", TokenID: "oat_1",
			Scopes: []string{"profile", "email"}, Roles: []string{"a"}, Permissions: []string{"b", "", "c"},
			Organization: gatehouse.Organization{ID: "org_1", Slug: "s", Role: "admin", Permissions: []string{"org:x:read"}},
			Audience:     []string{"https://mcp.example.com/mcp"},
			IssuedAt:     time.Unix(1_700_000_000, 0), Expiry: time.Unix(1_700_086_400, 500_000_000), Fingerprint: "f",
		},
		Payload:   `{"sub":"user_1"}`,
		Principal: "https://verb-noun-42.clerk.accounts.dev|user_1", SessionID: "sess_1", Bound: true, NotBefore: time.Unix(1, 2),
	}
	change := func(f func(*gatehouse.Verified)) gatehouse.Verified {
		v := full
		f(&v)
		return v
	}
	for name, v := range map[string]gatehouse.Verified{
		"everything":    full,
		"nothing":       {Principal: "|"},
		"unbound":       change(func(v *gatehouse.Verified) { v.Bound = false }),
		"no audience":   change(func(v *gatehouse.Verified) { v.Identity.Audience = nil }),
		"empty lists":   change(func(v *gatehouse.Verified) { v.Identity.Scopes, v.Identity.Roles = []string{}, []string{} }),
		"no dates":      change(func(v *gatehouse.Verified) { v.Identity.IssuedAt, v.NotBefore = time.Time{}, time.Time{} }),
		"the year 9999": change(func(v *gatehouse.Verified) { v.Identity.Expiry = time.Unix(253402300799, 999_999_999) }),
		"1970":          change(func(v *gatehouse.Verified) { v.Identity.IssuedAt = time.Unix(0, 0) }),
		"bars in the issuer": change(func(v *gatehouse.Verified) {
			v.Identity.Issuer, v.Identity.Subject, v.Principal = "a|b", "|c|", "a|b||c|"
		}),
		"no text but UTF-8": change(func(v *gatehouse.Verified) { v.Identity.TokenID = "\x00\xff\u00e9" }),
		"long": change(func(v *gatehouse.Verified) {
			v.Identity.ClientID, v.Payload = strings.Repeat("c", 300), strings.Repeat("p", 70_000)
		}),
		"many scopes": change(func(v *gatehouse.Verified) { v.Identity.Scopes = strings.Split(strings.Repeat("s ", 500), " ") }),
	} {
		if got := gatehouse.Repacked(v); !reflect.DeepEqual(got, v) {
			t.Errorf("%s: got %+v, want %+v", name, got, v)
		}
	}
}

// A verified token in memory is two objects of the collector's, whatever its
// claims are.
func TestKeptTokenIsTwoObjects(t *testing.T) {
	v := gatehouse.Verified{
		Identity: gatehouse.Identity{Scopes: strings.Split("a b c d e f", " "), Audience: []string{"x"}},
		Payload:  strings.Repeat("p", 2000), Principal: "|",
	}
	if got := gatehouse.PackAllocations(v); got != 1 {
		t.Errorf("%v objects beside the entry, want 1", got)
	}
}
