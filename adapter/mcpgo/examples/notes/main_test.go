package main

import (
	"net/http"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// call returns the text of a tool's result.
func call(t *testing.T, session *mcp.ClientSession, tool string, arguments map[string]any) string {
	t.Helper()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil || result.IsError {
		t.Fatalf("%s: got %v, %v", tool, result, err)
	}
	return result.Content[0].(*mcp.TextContent).Text
}

func TestNotes(t *testing.T) {
	clerk := gatehousetest.Clerk(t)
	settings := clerk.Settings()
	settings.CustomScopes = append(settings.CustomScopes, "notes:write")
	settings.DefaultScopes = append(settings.DefaultScopes, "notes:write", localclerk.ScopeOrganization)
	if err := clerk.SetSettings(settings); err != nil {
		t.Fatal(err)
	}
	url := gatehousetest.Serve(t, func(origin string) http.Handler {
		handler, err := newHandler(origin, clerk.Provider())
		if err != nil {
			t.Fatal(err)
		}
		return handler
	}) + "/mcp"
	clerk.Check(t, url)

	ada := clerk.Connect(t, url, gatehousetest.Person{User: "ada"})
	grace := clerk.Connect(t, url, gatehousetest.Person{User: "grace", Organization: "analytical-engines"})
	call(t, ada, "add_note", map[string]any{"text": "the engine weaves"})
	if got := call(t, grace, "list_notes", nil); got != "" {
		t.Errorf("Grace's notes are %q, want none", got)
	}
	if got := call(t, ada, "list_notes", nil); got != "the engine weaves" {
		t.Errorf("Ada's notes are %q, want hers", got)
	}
	call(t, ada, "delete_notes", nil)
	if got := call(t, ada, "list_notes", nil); got != "" {
		t.Errorf("Ada's notes are %q after she deleted them", got)
	}
	organization := clerk.Organizations()[0].ID
	if got := call(t, grace, "organization", nil); got != organization {
		t.Errorf("Grace's organization is %q, want %q", got, organization)
	}
	note, err := grace.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "notes://team/plans"})
	if want := "a note of organization " + organization; err != nil || note.Contents[0].Text != want {
		t.Errorf("got %v, %v, want %q", note, err, want)
	}
}
