package clerk_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// memberToken returns a token of Ada for an organization, by its slug, or for none.
func memberToken(t *testing.T, in *instance, org string) string {
	t.Helper()
	token := localclerk.Token{User: "ada", Scopes: []string{"profile"}}
	if org != "" {
		token.Scopes = append(token.Scopes, clerk.OrganizationScope)
		token.Organization = org
	}
	return mint(t, in, token)
}

// Membership returns what the Backend API of a local Clerk says.
func TestMembership(t *testing.T) {
	in := start(t)
	p := clerk.New(clerk.Config{FrontendAPIURL: in.Issuer(), SecretKey: clerk.Secret(in.SecretKey()), BackendAPIURL: in.Issuer()})
	req, err := call(t, p, memberToken(t, in, "bombe-works"))
	if err != nil {
		t.Fatal(err)
	}
	org, err := clerk.Membership(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if org.Slug != "bombe-works" || org.Role != "org:member" || org.Name != "Bombe Works" || !strings.HasPrefix(org.ID, "org_") {
		t.Errorf("got %+v", org)
	}
	for _, test := range []struct {
		name     string
		provider gatehouse.Provider
		org      string
		want     error
	}{
		{"no organization", p, "", clerk.ErrNoOrganization},
		{"no secret key", clerk.New(clerk.Config{FrontendAPIURL: in.Issuer()}), "bombe-works", clerk.ErrNoSecretKey},
	} {
		req, err := call(t, test.provider, memberToken(t, in, test.org))
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if org, err := clerk.Membership(t.Context(), req); !errors.Is(err, test.want) || org.ID != "" {
			t.Errorf("%s: got %+v, %v, want %v", test.name, org, err, test.want)
		}
	}
	if _, err := clerk.Membership(t.Context(), &mcp.CallToolRequest{}); !errors.Is(err, clerk.ErrNotSignedIn) {
		t.Errorf("without a guard: got %v", err)
	}
}

// membershipPage returns a page of n memberships, of which the one at the index is of the
// organization.
func membershipPage(n, index int, org string) string {
	var entries []string
	for i := range n {
		id := fmt.Sprintf("org_%d", i)
		if i == index {
			id = org
		}
		entries = append(entries, fmt.Sprintf(`{"role":"org:admin","permissions":["org:notes:write"],"organization":{"id":%q,"name":"N","slug":"s"}}`, id))
	}
	return `{"data":[` + strings.Join(entries, ",") + `],"total_count":1}`
}

// TestMembershipAnswers has the answers of the Backend API.
func TestMembershipAnswers(t *testing.T) {
	in := start(t)
	identity, err := call(t, clerk.Provider(in.Issuer()), memberToken(t, in, "bombe-works"))
	if err != nil {
		t.Fatal(err)
	}
	id, _ := gatehouse.IdentityOf(identity)
	for _, test := range []struct {
		name         string
		answer       func(page int) (status int, body string)
		want         error // nil if the membership is returned
		wantRequests int   // for two calls one after the other
	}{
		{"member", func(int) (int, string) { return 200, membershipPage(2, 1, id.Organization.ID) }, nil, 1},
		{"member on the third page", func(page int) (int, string) {
			return 200, membershipPage(50, map[int]int{2: 49}[page]-1, id.Organization.ID)
		}, nil, 3},
		{"not a member", func(int) (int, string) { return 200, membershipPage(2, -1, "") }, clerk.ErrNotMember, 1},
		{"no user", func(int) (int, string) { return 404, `{}` }, clerk.ErrNotMember, 1},
		{"pages without an end", func(int) (int, string) { return 200, membershipPage(50, -1, "") }, clerk.ErrUnavailable, 40},
		{"wrong key", func(int) (int, string) { return 401, `{}` }, clerk.ErrUnavailable, 2},
		{"throttled", func(int) (int, string) { return 429, `{}` }, clerk.ErrUnavailable, 1},
		{"broken", func(int) (int, string) { return 500, `{}` }, clerk.ErrUnavailable, 2},
		{"not JSON", func(int) (int, string) { return 200, `<html>` }, clerk.ErrUnavailable, 2},
		{"role twice", func(int) (int, string) {
			return 200, strings.Replace(membershipPage(1, 0, id.Organization.ID), `"role"`, `"role":"org:member","role"`, 1)
		}, clerk.ErrUnavailable, 2},
	} {
		url, requests := backend(t, func(w http.ResponseWriter, r *http.Request) {
			page := 0
			fmt.Sscan(r.URL.Query().Get("offset"), &page)
			status, body := test.answer(page / 50)
			if r.URL.Path != "/v1/users/"+id.Subject+"/organization_memberships" || r.Header.Get("Authorization") != "Bearer "+secretKey {
				t.Errorf("%s: %s with %s", test.name, r.URL, r.Header.Get("Authorization"))
			}
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		})
		p := clerk.New(clerk.Config{FrontendAPIURL: in.Issuer(), SecretKey: secretKey, BackendAPIURL: url})
		req, err := call(t, p, memberToken(t, in, "bombe-works"))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			org, err := clerk.Membership(t.Context(), req)
			if !errors.Is(err, test.want) {
				t.Errorf("%s: got %v, want %v", test.name, err, test.want)
			}
			if test.want == nil && (org.Role != "org:admin" || !slices.Equal(org.Permissions, []string{"org:notes:write"})) {
				t.Errorf("%s: got %+v", test.name, org)
			}
			if err != nil && strings.Contains(err.Error(), url) {
				t.Errorf("%s: the text of the error has details: %v", test.name, err)
			}
		}
		if got := int(requests.Load()); got != test.wantRequests {
			t.Errorf("%s: %d requests, want %d", test.name, got, test.wantRequests)
		}
	}
}

// Many calls at the same time cause one request.
func TestMembershipIsAskedOnce(t *testing.T) {
	in := start(t)
	blocked := make(chan struct{})
	var org string
	url, requests := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		<-blocked
		fmt.Fprint(w, membershipPage(1, 0, org))
	})
	p := clerk.New(clerk.Config{FrontendAPIURL: in.Issuer(), SecretKey: secretKey, BackendAPIURL: url})
	req, err := call(t, p, memberToken(t, in, "bombe-works"))
	if err != nil {
		t.Fatal(err)
	}
	id, _ := gatehouse.IdentityOf(req)
	org = id.Organization.ID
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			if _, err := clerk.Membership(t.Context(), req); err != nil {
				t.Error(err)
			}
		})
	}
	close(blocked)
	group.Wait()
	if got := requests.Load(); got != 1 {
		t.Errorf("%d requests, want 1", got)
	}
}
