package localclerk

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBackendUser(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	ada := derivedID("user_", "ada")
	got := backend(t, s, "GET", "/v1/users/"+ada, nil).want(200).object()
	want := parseObject(t, `{
		"object": "user", "username": "ada", "first_name": "Ada", "last_name": "Lovelace", "image_url": "", "has_image": false,
		"public_metadata": {}, "private_metadata": {}, "unsafe_metadata": {}, "banned": false, "locked": false,
		"email_addresses": [{"object": "email_address", "email_address": "ada@example.com", "verification": {"status": "verified"}}]
	}`)
	email := derivedID("idn_", "ada@example.com")
	want["id"], want["primary_email_address_id"] = ada, email
	want["email_addresses"].([]any)[0].(map[string]any)["id"] = email
	want["created_at"], want["updated_at"] = got["created_at"], got["updated_at"]
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	backend(t, s, "GET", "/v1/users/ada", nil).wantClerkError(404, "resource_not_found")
	if err := s.SetUsers([]User{{Username: "bare"}, {Email: "e@example.com", EmailUnverified: true}}, nil); err != nil {
		t.Fatal(err)
	}
	bare := backend(t, s, "GET", "/v1/users/"+derivedID("user_", "bare"), nil).want(200).object()
	if bare["primary_email_address_id"] != nil || bare["first_name"] != nil || len(bare["email_addresses"].([]any)) != 0 {
		t.Errorf("got %v, want no email and no name", bare)
	}
	unverified := backend(t, s, "GET", "/v1/users/"+derivedID("user_", "e@example.com"), nil).want(200)
	if !strings.Contains(unverified.body, `"status":"unverified"`) {
		t.Errorf("got %s, want an unverified email", unverified.body)
	}
}

func TestBackendMemberships(t *testing.T) {
	t.Parallel()
	organizations := SeedOrganizations()
	organizations[1].Members[1].Permissions = []string{"org:notes:read"}
	s, err := New(Config{Issuer: testIssuer, Users: SeedUsers(), Organizations: organizations, SigningKey: testKey()})
	if err != nil {
		t.Fatal(err)
	}
	ada, bombe := derivedID("user_", "ada"), derivedID("org_", "bombe-works")
	ofUser := backend(t, s, "GET", "/v1/users/"+ada+"/organization_memberships", nil).want(200).object()
	memberships := ofUser["data"].([]any)
	if len(memberships) != 2 || ofUser["total_count"] != 2.0 {
		t.Fatalf("got %d memberships of %v, want 2", len(memberships), ofUser["total_count"])
	}
	got := memberships[1].(map[string]any)
	want := parseObject(t, `{
		"object": "organization_membership", "role": "org:member", "role_name": "Member", "permissions": ["org:notes:read"],
		"public_metadata": {}, "private_metadata": {},
		"organization": {"object": "organization", "name": "Bombe Works", "slug": "bombe-works", "members_count": 2},
		"public_user_data": {"first_name": "Ada", "last_name": "Lovelace", "identifier": "ada@example.com", "image_url": "", "has_image": false}
	}`)
	want["public_user_data"].(map[string]any)["user_id"] = ada
	organization := want["organization"].(map[string]any)
	organization["id"] = bombe
	for _, object := range []map[string]any{want, organization} {
		object["created_at"], object["updated_at"] = got["created_at"], got["created_at"]
	}
	want["id"] = got["id"]
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	ofOrganization := backend(t, s, "GET", "/v1/organizations/"+bombe+"/memberships", nil).want(200).object()["data"].([]any)
	if !slices.ContainsFunc(ofOrganization, func(m any) bool { return cmp.Equal(m, any(want)) }) || len(ofOrganization) != 2 {
		t.Errorf("the organization has %v, want the same membership among 2", ofOrganization)
	}
	none := backend(t, s, "GET", "/v1/users/"+derivedID("user_", "katherine")+"/organization_memberships", nil).want(200)
	if none.body != `{"data":[],"total_count":0}` {
		t.Errorf("got %s, want an empty list", none.body)
	}
	backend(t, s, "GET", "/v1/users/x/organization_memberships", nil).wantClerkError(404, "resource_not_found")
	backend(t, s, "GET", "/v1/organizations/x/memberships", nil).wantClerkError(404, "resource_not_found")
}
