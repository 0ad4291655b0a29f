package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Each operation with the ID of a document answers as if it did not exist, unless the caller is in the
// organization of the document. The control is a member of that organization.
func TestOtherTenantsDocumentDoesNotExist(t *testing.T) {
	for _, era := range []string{"2026-07-28", "2025-11-25"} { // without sessions, and with them
		t.Run(era, func(t *testing.T) { testOtherTenantsDocument(t, era) })
	}
}

func testOtherTenantsDocument(t *testing.T, era string) {
	f := start(t)
	f.era = era
	author, outsider := f.signIn(t, grace), f.signIn(t, alan)
	if got := outsider.session.InitializeResult().ProtocolVersion; got != era {
		t.Fatalf("got revision %s, want %s", got, era)
	}
	for name, operation := range documentOperations {
		document := author.createShared("plan")
		if got := operation(outsider, document); !strings.Contains(strings.ToLower(got), "no such document") && !strings.Contains(got, "not found") {
			t.Errorf("%s, from another organization: got %q, want that the document does not exist", name, got)
		}
		var after Document
		author.call("read_document", readInput{document.ID}, &after)
		if after != document {
			t.Errorf("%s, from another organization, changed the document: %+v", name, after)
		}
		if got := operation(author, document); got != "" {
			t.Errorf("%s, from the author: %s", name, got)
		}
		if unknown := (Document{ID: "AAAAAAAAAAAAAAAAAAAAAAAAAA", Version: document.Version}); operation(author, unknown) == "" {
			t.Errorf("%s: an ID that does not exist was accepted", name)
		}
	}
	if got := outsider.titles(); len(got) > 0 {
		t.Errorf("alan sees %q, want nothing", got)
	}
	var found listOutput
	outsider.call("search_documents", searchInput{Words: "plan"}, &found)
	if len(found.Documents) > 0 {
		t.Errorf("alan found %+v, want nothing", found.Documents)
	}
}

// documentOperations is every operation that names a document, each as a call that its author may do. It returns
// the text of the error.
var documentOperations = map[string]func(user, Document) string{
	"read_document": func(u user, d Document) string { return u.try("read_document", readInput{d.ID}, &Document{}) },
	"list_documents": func(u user, d Document) string {
		return u.try("list_documents", listInput{After: d.ID}, &listOutput{})
	},
	"search_documents": func(u user, d Document) string {
		return u.try("search_documents", searchInput{Words: "plan", After: d.ID}, &listOutput{})
	},
	"update_document": func(u user, d Document) string {
		title := "changed"
		return u.try("update_document", updateInput{ID: d.ID, Version: d.Version, Title: &title}, &Document{})
	},
	"share_document": func(u user, d Document) string {
		return u.try("share_document", shareInput{d.ID, d.Version, false}, &Document{})
	},
	"delete_document": func(u user, d Document) string {
		return u.try("delete_document", deleteInput{d.ID, d.Version}, &deleteOutput{})
	},
	"the resource": func(u user, d Document) string {
		return problem(u.session.ReadResource(u.t.Context(), &mcp.ReadResourceParams{URI: documentURIPrefix + d.ID}))
	},
	"the prompt": func(u user, d Document) string {
		return problem(u.session.GetPrompt(u.t.Context(), &mcp.GetPromptParams{Name: "review_document", Arguments: map[string]string{"id": d.ID}}))
	},
}

func problem[T any](_ T, err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

// What a person of two organizations sees depends on the organization that was chosen at sign-in.
func TestPersonOfTwoOrganizations(t *testing.T) {
	f := start(t)
	f.signIn(t, grace).createShared("engine")
	f.signIn(t, alan).createShared("bombe")
	inEngines, inBombe := f.signIn(t, ada), f.signIn(t, adaBombe)
	private := inEngines.create("only in one")
	for name, test := range map[string]struct {
		user user
		want []string
	}{
		"analytical-engines": {inEngines, []string{"engine", "only in one"}},
		"bombe-works":        {inBombe, []string{"bombe"}},
	} {
		if got := test.user.titles(); !slices.Equal(got, test.want) {
			t.Errorf("in %s, ada sees %q, want %q", name, got, test.want)
		}
	}
	inBombe.wantProblem("no such document", "read_document", readInput{private.ID}) // her own, of the other organization
}

// A document is private until its author shares it.
func TestPrivateDocument(t *testing.T) {
	f := start(t)
	author, admin := f.signIn(t, grace), f.signIn(t, ada)
	private := author.create("draft")
	admin.wantProblem("no such document", "read_document", readInput{private.ID})
	admin.wantProblem("no such document", "delete_document", deleteInput{private.ID, private.Version})
	var shared Document
	author.call("share_document", shareInput{private.ID, private.Version, true}, &shared)
	admin.call("read_document", readInput{private.ID}, &shared)
	admin.wantProblem("only the author", "share_document", shareInput{shared.ID, shared.Version, false})
}

// A user without an organization has a workspace of their own.
func TestWorkspaceOfOneUser(t *testing.T) {
	f := start(t)
	f.signIn(t, ada).createShared("of an organization")
	alone := f.signIn(t, katherine)
	own := alone.create("own")
	if got := alone.titles(); !slices.Equal(got, []string{"own"}) {
		t.Errorf("katherine sees %q, want her own document", got)
	}
	f.signIn(t, ada).wantProblem("no such document", "read_document", readInput{own.ID})
	var where workspaceOutput
	alone.call("get_workspace", noInput{}, &where)
	if where.Organization != "" || where.Documents != 1 {
		t.Errorf("get_workspace returned %+v", where)
	}
	tools, err := alone.session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range tools.Tools {
		if tool.Name == "share_document" || tool.Name == "list_audit_events" {
			t.Errorf("%s is listed for a user who cannot use it", tool.Name)
		}
	}
	f.wantDenied(t, katherine, "choose one", "share_document", shareInput{own.ID, own.Version, true})
}

// IDs are unique within an issuer and a kind only, so tenants have both.
func TestTenantsOfEqualIDs(t *testing.T) {
	identities := []gatehouse.Identity{
		{Issuer: "https://a.example.com", Subject: "x"},
		{Issuer: "https://b.example.com", Subject: "x"},
		{Issuer: "https://a.example.com", Subject: "y", Organization: gatehouse.Organization{ID: "x"}},
		{Issuer: "https://b.example.com", Subject: "y", Organization: gatehouse.Organization{ID: "x"}},
	}
	seen := map[string]bool{}
	for _, id := range identities {
		seen[workspaceOf(id).tenant] = true
	}
	if len(seen) != len(identities) {
		t.Errorf("%d identities have %d tenants", len(identities), len(seen))
	}
	same := identities[2]
	same.Subject = "z"
	if workspaceOf(same).tenant != workspaceOf(identities[2]).tenant {
		t.Error("two members of one organization have different tenants")
	}
}
