package clerk_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
)

// HasRole accepts a caller by the role in the organization of the token, and no one else.
func TestHasRole(t *testing.T) {
	in := start(t)
	p := clerk.New(clerk.Config{FrontendAPIURL: in.Issuer(), SecretKey: clerk.Secret(in.SecretKey()), BackendAPIURL: in.Issuer()})
	identity := func(org string) gatehouse.Identity {
		req, err := call(t, p, memberToken(t, in, org))
		if err != nil {
			t.Fatal(err)
		}
		id, _ := gatehouse.IdentityOf(req)
		return id
	}
	admin := identity("analytical-engines")
	otherProvider, otherIssuer, notMember := admin, admin, admin
	otherProvider.Provider = "Auth0"
	otherIssuer.Issuer = "https://other.example.com"
	notMember.Organization.ID = "org_unknown"
	for _, test := range []struct {
		name string
		id   gatehouse.Identity
		role string
		want string // in the error; empty for none
	}{
		{"an admin", admin, "org:admin", ""},
		{"an admin, for another role", admin, "org:member", `requires role "org:member"`},
		{"a member of another organization", identity("bombe-works"), "org:admin", `the caller has "org:member"`},
		{"no organization", identity(""), "org:admin", clerk.ErrNoOrganization.Error()},
		{"not a member any more", notMember, "org:admin", clerk.ErrNotMember.Error()},
		{"another provider", otherProvider, "org:admin", clerk.ErrNotSignedIn.Error()},
		{"another instance", otherIssuer, "org:admin", clerk.ErrNotSignedIn.Error()},
		{"no caller", gatehouse.Identity{}, "org:admin", clerk.ErrNotSignedIn.Error()},
	} {
		err := clerk.HasRole(p, test.role)(t.Context(), test.id)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}

// If Clerk does not answer, the check is undecided, and the guard answers 503.
func TestHasRoleUndecided(t *testing.T) {
	in := start(t)
	url, _ := backend(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	p := clerk.New(clerk.Config{FrontendAPIURL: in.Issuer(), SecretKey: secretKey, BackendAPIURL: url})
	req, err := call(t, p, memberToken(t, in, "analytical-engines"))
	if err != nil {
		t.Fatal(err)
	}
	id, _ := gatehouse.IdentityOf(req)
	err = clerk.HasRole(p, "org:admin")(t.Context(), id)
	var undecided interface{ RetryAfter() time.Duration }
	if !errors.Is(err, clerk.ErrUnavailable) || !errors.As(err, &undecided) || undecided.RetryAfter() <= 0 {
		t.Errorf("got %v, want %v with RetryAfter", err, clerk.ErrUnavailable)
	}
}

// A check that no caller could meet is a fault at start.
func TestHasRoleFaults(t *testing.T) {
	valid := clerk.New(clerk.Config{FrontendAPIURL: "https://verb-noun-42.clerk.accounts.dev", SecretKey: secretKey})
	for _, test := range []struct {
		name     string
		provider gatehouse.Provider
		role     string
		want     string // the field of the fault; empty for none
	}{
		{"control", valid, "org:admin", ""},
		{"no role", valid, "", "role of clerk.HasRole"},
		{"no secret key", clerk.Provider("https://verb-noun-42.clerk.accounts.dev"), "org:admin", "provider of clerk.HasRole"},
		{"another provider", gatehouse.OIDC("https://issuer.example.com"), "org:admin", "provider of clerk.HasRole"},
		{"a fault that New returns", clerk.Provider(""), "org:admin", ""},
	} {
		func() {
			defer func() {
				fault, _ := recover().(*gatehouse.ConfigError)
				if got := field(fault); got != test.want {
					t.Errorf("%s: got a fault of %q, want %q", test.name, got, test.want)
				}
			}()
			check := clerk.HasRole(test.provider, test.role)
			if test.provider.Err != nil && check(t.Context(), gatehouse.Identity{}) == nil {
				t.Errorf("%s: the check accepted a caller", test.name)
			}
		}()
	}
}

func field(fault *gatehouse.ConfigError) string {
	if fault == nil {
		return ""
	}
	return fault.Field
}
