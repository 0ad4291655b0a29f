package authorization

import (
	"context"
	"errors"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The declarations of the guide are valid for a provider whose tokens have roles, permissions
// and organizations.
func TestDeclarations(t *testing.T) {
	provider := gatehouse.OIDC("https://issuer.example.com")
	provider.Claims = gatehouse.ClaimNames{
		Roles:        []gatehouse.ClaimPath{{"roles"}},
		Permissions:  []gatehouse.ClaimPath{{"permissions"}},
		Organization: gatehouse.ClaimPath{"org_id"},
	}
	server, err := closedByDefault(provider)
	if err != nil {
		t.Fatal(err)
	}
	deleteDocument = func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return nil, nil, nil
	}
	readDocument = func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) { return nil, nil }
	draft = func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) { return nil, nil }
	declare(server)
	for _, name := range []string{"alternatives", "check"} {
		r := alternatives()
		if name == "check" {
			r = check(func(context.Context, string) (bool, error) { return true, nil })
			if err := r.Check(t.Context(), gatehouse.Identity{}); err == nil {
				t.Error("a suspended organization was accepted")
			}
		}
		_, err := gatehouse.New(gatehouse.Config{Resource: "http://localhost:3000/mcp", Provider: provider, Default: r})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := forGateways("http://localhost:3000/mcp", provider); err != nil {
		t.Error(err)
	}
	broken := check(func(context.Context, string) (bool, error) { return false, errors.New("no database") })
	if err := broken.Check(t.Context(), gatehouse.Identity{}); err == nil {
		t.Error("a check that could not decide accepted")
	}
	search = deleteDocument
	publicNextToProtected(server)
	var remediation *gatehouse.DraftRemediation
	unapproved := approval(func(context.Context, gatehouse.Identity) (bool, error) { return false, nil })
	if err := unapproved.Check(t.Context(), gatehouse.Identity{}); !errors.As(err, &remediation) || remediation.URL == "" {
		t.Errorf("without an approval: got %v, want the page for it", err)
	}
	approved := approval(func(context.Context, gatehouse.Identity) (bool, error) { return true, nil })
	if err := approved.Check(t.Context(), gatehouse.Identity{}); err != nil {
		t.Errorf("with an approval: %v", err)
	}
}
