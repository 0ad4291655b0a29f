package mcpgo_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// listedNames returns what the list of the method has for the token: names, URIs or templates.
func (f *fixture) listedNames(t *testing.T, token, method string) []string {
	t.Helper()
	got := f.post(t, token, "", message(method, "{}"))
	var reply struct {
		Result map[string]json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal([]byte(got.body), &reply); err != nil {
		t.Fatalf("%s: got %s: %v", method, got.body, err)
	}
	var names []string
	for list, text := range reply.Result {
		if !strings.HasPrefix(string(text), "[") {
			t.Errorf("%s: got %s for %s, want a list", method, text, list)
			continue
		}
		var items []struct{ Name, URI, URITemplate string }
		if err := json.Unmarshal(text, &items); err != nil {
			t.Fatal(err)
		}
		for _, item := range items {
			names = append(names, item.Name+item.URI+item.URITemplate)
		}
	}
	slices.Sort(names)
	return names
}

// Lists have what the caller can use, and what another scope would open.
func TestLists(t *testing.T) {
	f := newFixture(t, server.WithStateLess(true))
	tests := []struct {
		method      string
		user, admin []string // what a user sees, and what the role admin adds
	}{
		{"tools/list", []string{"delete", "whoami"}, []string{"admin", "admin_task"}},
		{"prompts/list", []string{"draft"}, []string{"admin"}},
		{"resources/list", []string{"allnotes://all"}, []string{"adminnotes://admin"}},
		{"resources/templates/list", []string{"ofnotes://of/{name}"}, []string{"adminnotes://admin/{name}"}},
	}
	for _, test := range tests {
		if got := f.listedNames(t, f.token(t, "ada", []string{"user"}, nil), test.method); !slices.Equal(got, test.user) {
			t.Errorf("%s: a user gets %q, want %q", test.method, got, test.user)
		}
		want := slices.Sorted(slices.Values(append(slices.Clone(test.user), test.admin...)))
		if got := f.listedNames(t, f.token(t, "ada", []string{"admin"}, nil), test.method); !slices.Equal(got, want) {
			t.Errorf("%s: an admin gets %q, want %q", test.method, got, want)
		}
	}
}

// Both clients get the list without what needs a role that the user lacks.
func TestListsOfClients(t *testing.T) {
	f := newFixture(t)
	want := []string{"delete", "whoami"}
	mcpgoList, err := f.connect(t, "ada", "profile").ListTools(t.Context(), mcp.ListToolsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, tool := range mcpgoList.Tools {
		got = append(got, tool.Name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the client of mcp-go gets %q, want %q", got, want)
	}
	gosdkList, err := f.clerk.Connect(t, f.url, gatehousetest.Person{}).ListTools(t.Context(), &gosdk.ListToolsParams{})
	if err != nil {
		t.Fatal(err)
	}
	got = nil
	for _, tool := range gosdkList.Tools {
		got = append(got, tool.Name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the client of go-sdk gets %q, want %q", got, want)
	}
}

// Lists and resources depend on the caller, so shared caches must not store them, whatever the
// server's cache hints say. The fixture has public ones.
func TestListsArePrivate(t *testing.T) {
	f := newFixture(t)
	c := f.connect(t, "ada", "profile")
	var scopes []mcp.CacheScope
	add := func(scope mcp.CacheScope, err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
		scopes = append(scopes, scope)
	}
	tools, err := c.ListTools(t.Context(), mcp.ListToolsRequest{})
	add(tools.CacheScope, err)
	prompts, err := c.ListPrompts(t.Context(), mcp.ListPromptsRequest{})
	add(prompts.CacheScope, err)
	resources, err := c.ListResources(t.Context(), mcp.ListResourcesRequest{})
	add(resources.CacheScope, err)
	templates, err := c.ListResourceTemplates(t.Context(), mcp.ListResourceTemplatesRequest{})
	add(templates.CacheScope, err)
	var req mcp.ReadResourceRequest
	req.Params.URI = "notes://all"
	read, err := c.ReadResource(t.Context(), req)
	add(read.CacheScope, err)
	for i, scope := range scopes {
		if scope != mcp.CacheScopePrivate {
			t.Errorf("result %d has cacheScope %q, want private", i, scope)
		}
	}
}

// A requirement for a name that the server does not list is reported, as with go-sdk.
func TestUnlistedRequirements(t *testing.T) {
	f := newFixture(t, server.WithStateLess(true))
	require := gatehouse.Require{SignedIn: true}
	for _, r := range []gatehouse.Requirement{
		{Tool: "delete"}, {Tool: "delte"}, {Prompt: "drafts"}, {Resource: "notes://al"}, {ResourceTemplate: "notes://off/{name}"},
	} {
		r.Require = require
		f.guard.Protect(r)
	}
	for _, method := range []string{"tools/list", "prompts/list", "resources/list", "resources/templates/list"} {
		f.listedNames(t, f.token(t, "ada", []string{"user"}, nil), method)
	}
	want := []string{`tool "delte"`, `prompt "drafts"`, `resource "notes://al"`, `resource template "notes://off/{name}"`}
	got := f.guard.UnlistedRequirements()
	for i := range got {
		got[i] = strings.TrimPrefix(got[i], "declared with Protect: ")
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
