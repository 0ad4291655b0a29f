package auth0_test

import (
	"fmt"
	"log"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/auth0"
)

// An API with an identifier of its own, and roles in a claim that an Action writes.
func ExampleNew() {
	provider := auth0.New(auth0.Config{
		Domain:     "tenant.eu.auth0.com",
		Audience:   "https://api.example.com/mcp",
		RolesClaim: "https://example.com/roles",
	})
	guard, err := gatehouse.New(gatehouse.Config{
		Resource:     "https://mcp.example.com/mcp",
		Provider:     provider,
		Requirements: []gatehouse.Requirement{{Tool: "delete_customer", Require: gatehouse.Require{Roles: []string{"admin"}}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(guard.Provider().Issuer)
	// Output: https://tenant.eu.auth0.com/
}
