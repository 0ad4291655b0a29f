package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"golang.org/x/oauth2"
)

// No token and every kind of invalid token are rejected, those of machines too, and clients find the sign-in.
func TestSignIn(t *testing.T) {
	f := start(t)
	f.clerk.Check(t, f.url)
}

// What a token may do depends on its scopes, and a client without them is sent to the sign-in that has them.
func TestScopes(t *testing.T) {
	f := start(t)
	id := f.signIn(t, grace).create("plan").ID
	token := func(scopes ...string) string {
		return f.clerk.Token(t, f.url, gatehousetest.Person{
			User: "grace", Organization: grace.Organization, Scopes: append(scopes, clerk.OrganizationScope),
		})
	}
	none, reads, writes := token("profile"), token(scopeRead), token(scopeWrite)
	call := func(tool, arguments string) [2]string {
		return [2]string{"tools/call", `{"name":"` + tool + `","arguments":` + arguments + `}`}
	}
	onlyID := `{"id":"` + id + `"}`
	withID := `{"id":"` + id + `","version":1,"title":"new"}`
	for _, test := range []struct {
		message [2]string
		token   string
		want    string // the missing scope; empty if the token is enough
	}{
		{call("get_workspace", `{}`), none, ""},
		{call("list_documents", `{}`), none, scopeRead},
		{call("search_documents", `{"words":"x"}`), none, scopeRead},
		{call("read_document", onlyID), none, scopeRead},
		{call("list_audit_events", `{}`), none, scopeRead},
		{[2]string{"resources/read", `{"uri":"` + documentURIPrefix + id + `"}`}, none, scopeRead},
		{[2]string{"prompts/get", `{"name":"review_document","arguments":{"id":"` + id + `"}}`}, none, scopeRead},
		{call("read_document", onlyID), reads, ""},
		{call("create_document", `{"title":"a","text":"b"}`), reads, scopeWrite},
		{call("update_document", withID), reads, scopeWrite},
		{call("share_document", withID), reads, scopeWrite},
		{call("delete_document", withID), reads, scopeWrite},
		{call("read_document", onlyID), writes, ""},
		{call("create_document", `{"title":"a","text":"b"}`), writes, ""},
		{call("update_document", withID), writes, ""},
	} {
		status, challenge, body := f.post(t, test.token, test.message[0], test.message[1])
		done := status == http.StatusOK && !strings.Contains(body, `"isError":true`) && !strings.Contains(body, `"error"`)
		asked := status == http.StatusForbidden && strings.Contains(challenge, `error="insufficient_scope"`)
		if test.want == "" && !done || test.want != "" && (!asked || !strings.Contains(challenge, test.want)) {
			t.Errorf("%s, without scope %q: got status %d, challenge %q, body %s", test.message, test.want, status, challenge, body)
		}
	}
}

// A client whose token lacks the scope signs in once more, and its call succeeds.
func TestStepUp(t *testing.T) {
	f := start(t)
	narrow := grace
	narrow.Scopes = []string{scopeRead, clerk.OrganizationScope}
	handler := &narrowFirst{token: f.clerk.Token(t, f.url, narrow)}
	handler.authorize = func() string {
		wide := grace
		wide.Scopes = []string{scopeWrite, clerk.OrganizationScope}
		return f.clerk.Token(t, f.url, wide)
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: f.url, OAuthHandler: handler}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	u := user{t, session}
	u.titles()
	if handler.signIns != 0 {
		t.Errorf("reading needed %d sign-ins, want none", handler.signIns)
	}
	u.create("plan")
	if handler.signIns != 1 {
		t.Errorf("writing needed %d sign-ins, want 1", handler.signIns)
	}
}

// narrowFirst is an OAuth handler whose first token is from a sign-in before the server had tools that write.
type narrowFirst struct {
	token     string
	authorize func() string
	signIns   int
}

func (h *narrowFirst) TokenSource(context.Context) (oauth2.TokenSource, error) {
	return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: h.token}), nil
}

func (h *narrowFirst) Authorize(_ context.Context, _ *http.Request, resp *http.Response) error {
	defer resp.Body.Close()
	if challenge := resp.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, scopeWrite) {
		return errors.New("challenge without the scope: " + challenge)
	}
	h.signIns++
	h.token = h.authorize()
	return nil
}

// The author of a document and the admins of the organization delete it; other members change it only.
func TestRoles(t *testing.T) {
	f := start(t)
	author, admin, member := f.signIn(t, alan), f.signIn(t, ada), f.signIn(t, grace)
	document := admin.createShared("of the admin")
	member.wantProblem("only the author", "delete_document", deleteInput{document.ID, document.Version})
	title := "changed by a member"
	member.call("update_document", updateInput{ID: document.ID, Version: document.Version, Title: &title}, &document)
	own := member.createShared("of the member")
	admin.call("delete_document", deleteInput{own.ID, own.Version}, &deleteOutput{})
	member.wantProblem("no such document", "read_document", readInput{own.ID})

	// An admin of one organization is a member of the other.
	other := author.createShared("of another organization")
	f.signIn(t, adaBombe).wantProblem("only the author", "delete_document", deleteInput{other.ID, other.Version})
	author.call("delete_document", deleteInput{other.ID, other.Version}, &deleteOutput{})
}

// A suspended workspace can be read and not changed, and others are not affected.
func TestSuspended(t *testing.T) {
	f := start(t)
	member, other := f.signIn(t, grace), f.signIn(t, alan)
	document := member.createShared("plan")
	organization := f.clerk.Organizations()[0].ID
	_, err := f.store.db.Exec("INSERT INTO suspended (tenant) VALUES (?)", organizationTenant(f.clerk.Issuer(), organization))
	if err != nil {
		t.Fatal(err)
	}
	f.wantDenied(t, grace, "insufficient_permission", "create_document", createInput{"more", "text"})
	f.wantDenied(t, grace, "insufficient_permission", "delete_document", deleteInput{document.ID, document.Version})
	member.call("read_document", readInput{document.ID}, &document)
	other.create("control")
	var where workspaceOutput
	member.call("get_workspace", noInput{}, &where)
	if !where.Suspended || where.Organization != "Analytical Engines" || where.Role != "org:member" {
		t.Errorf("get_workspace returned %+v", where)
	}
}

// If the database cannot say whether a workspace is suspended, the answer is 503 and not yes or no.
func TestSuspendedUnknown(t *testing.T) {
	f := start(t)
	token := f.clerk.Token(t, f.url, gatehousetest.Person{User: "grace", Scopes: []string{scopeWrite}})
	const params = `{"name":"create_document","arguments":{"title":"a","text":"b"}}`
	if status, _, body := f.post(t, token, "tools/call", params); status != http.StatusOK || !strings.Contains(body, `"version":1`) {
		t.Fatalf("control: got status %d: %s", status, body)
	}
	f.store.Close()
	status, challenge, body := f.post(t, token, "tools/call", params)
	if status != http.StatusServiceUnavailable || challenge != "" || strings.Contains(body, "sql") {
		t.Errorf("got status %d, challenge %q, body %s", status, challenge, body)
	}
}

// A user who was removed from the organization loses access, although the token says otherwise. It takes at most the minute for
// which package clerk keeps a membership; here, the removed member has not called anything before.
func TestRemovedMember(t *testing.T) {
	f := start(t)
	member := f.signIn(t, ada).createShared("plan")
	organizations := f.clerk.Organizations()
	organizations[0].Members = slices.DeleteFunc(slices.Clone(organizations[0].Members), func(m localclerk.Membership) bool {
		return m.User == f.clerk.Users()[1].ID // grace
	})
	removed := grace
	removed.Scopes = []string{scopeWrite, clerk.OrganizationScope}
	token := f.clerk.Token(t, f.url, removed)
	if err := f.clerk.SetUsers(f.clerk.Users(), organizations); err != nil {
		t.Fatal(err)
	}
	for _, message := range [][2]string{
		{"tools/call", `{"name":"read_document","arguments":{"id":"` + member.ID + `"}}`},
		{"tools/call", `{"name":"create_document","arguments":{"title":"a","text":"b"}}`},
		{"tools/call", `{"name":"list_audit_events"}`},
		{"resources/read", `{"uri":"` + documentURIPrefix + member.ID + `"}`},
		{"prompts/get", `{"name":"review_document","arguments":{"id":"` + member.ID + `"}}`},
	} {
		if status, _, body := f.post(t, token, message[0], message[1]); status != http.StatusForbidden {
			t.Errorf("%s %s: got status %d, want 403: %s", message[0], message[1], status, body)
		}
	}
	status, _, body := f.post(t, token, "tools/call", `{"name":"get_workspace"}`)
	if status != http.StatusOK || !strings.Contains(body, "not a member") {
		t.Errorf("get_workspace: got status %d, body %s", status, body)
	}
}

// While Clerk does not answer, a member gets 503, and a user without an organization is not affected.
func TestMembershipUnknown(t *testing.T) {
	f := start(t)
	scopes := []string{scopeRead, clerk.OrganizationScope}
	member := f.clerk.Token(t, f.url, gatehousetest.Person{User: "grace", Organization: grace.Organization, Scopes: scopes})
	alone := f.clerk.Token(t, f.url, gatehousetest.Person{User: "katherine", Scopes: scopes})
	if status, _, body := f.post(t, alone, "tools/call", `{"name":"list_documents","arguments":{}}`); status != http.StatusOK {
		t.Fatalf("control: got status %d: %s", status, body)
	}
	if err := f.clerk.SetFaults(localclerk.Faults{Status: 503, Paths: []string{"/v1/"}}); err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]int{member: http.StatusServiceUnavailable, alone: http.StatusOK} {
		if status, challenge, body := f.post(t, token, "tools/call", `{"name":"list_documents","arguments":{}}`); status != want || challenge != "" {
			t.Errorf("got status %d, want %d: %s", status, want, body)
		}
	}
}

// A tool that someone adds without a requirement is closed.
func TestUndeclaredTool(t *testing.T) {
	f := start(t)
	mcp.AddTool(f.server.MCP, &mcp.Tool{Name: "export_all"}, func(context.Context, *mcp.CallToolRequest, noInput) (*mcp.CallToolResult, any, error) {
		t.Error("the tool ran")
		return nil, nil, nil
	})
	f.wantDenied(t, ada, "insufficient_permission", "export_all", noInput{})
}
