package clerk_test

import (
	"context"
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
		// Every role is that of a member.
		isAboutRole := strings.Contains(test.want, "org:")
		err = clerk.IsMember(p)(t.Context(), test.id)
		if (err == nil) != (test.want == "" || isAboutRole) || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("IsMember, %s: got %v, want %q", test.name, err, test.want)
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
	if err == nil || !strings.Contains(err.Error(), "500") {
		t.Errorf("got %v, which is for the log, want the status of Clerk's answer in it", err)
	}
}

// A check that no caller could meet is a fault at start. Faults of the provider itself are for gatehouse.New.
func TestMembershipCheckFaults(t *testing.T) {
	const url = "https://verb-noun-42.clerk.accounts.dev"
	hasRole := func(role string) func(gatehouse.Provider) check {
		return func(p gatehouse.Provider) check { return clerk.HasRole(p, role) }
	}
	isMember := func(p gatehouse.Provider) check { return clerk.IsMember(p) }
	for _, test := range []struct {
		name      string
		newCheck  func(gatehouse.Provider) check
		provider  gatehouse.Provider
		wantField string // of the fault; empty for none
	}{
		{"HasRole", hasRole("org:admin"), clerk.New(clerk.Config{FrontendAPIURL: url, SecretKey: secretKey}), ""},
		{"IsMember", isMember, clerk.New(clerk.Config{FrontendAPIURL: url, SecretKey: secretKey}), ""},
		{"no role", hasRole(""), clerk.New(clerk.Config{FrontendAPIURL: url, SecretKey: secretKey}), "role of clerk.HasRole"},
		{"HasRole, no secret key", hasRole("org:admin"), clerk.Provider(url), "provider of clerk.HasRole"},
		{"IsMember, no secret key", isMember, clerk.Provider(url), "provider of clerk.IsMember"},
		{"another vendor", isMember, gatehouse.OIDC("https://issuer.example.com"), "provider of clerk.IsMember"},
		{"no URL", isMember, clerk.Provider(""), ""},
	} {
		func() {
			defer func() {
				fault, _ := recover().(*gatehouse.ConfigError)
				if got := field(fault); got != test.wantField {
					t.Errorf("%s: got a fault of %q, want %q", test.name, got, test.wantField)
				}
			}()
			if err := test.newCheck(test.provider)(t.Context(), gatehouse.Identity{}); err == nil {
				t.Errorf("%s: the check accepted a request without a caller", test.name)
			}
		}()
	}
}

// check is a function for [gatehouse.Require].Check.
type check = func(context.Context, gatehouse.Identity) error

func field(fault *gatehouse.ConfigError) string {
	if fault == nil {
		return ""
	}
	return fault.Field
}
