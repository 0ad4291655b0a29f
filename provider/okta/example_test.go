package okta_test

import (
	"fmt"
	"log"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/okta"
)

// An authorization server whose audience is not the URL of the server, and a tool for one group.
func ExampleNew() {
	provider := okta.New(okta.Config{
		Issuer:   "https://acme.okta.com/oauth2/default",
		Audience: "api://default",
	})
	guard, err := gatehouse.New(gatehouse.Config{
		Resource:     "https://mcp.example.com/mcp",
		Provider:     provider,
		Requirements: []gatehouse.Requirement{{Tool: "delete_customer", Require: gatehouse.Require{Roles: []string{"Administrators"}}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(guard.Provider().Tokens.Audiences)
	// Output: [api://default]
}
