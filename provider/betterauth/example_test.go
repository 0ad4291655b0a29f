package betterauth_test

import (
	"fmt"
	"log"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/betterauth"
)

// A server whose customAccessTokenClaims writes roles and the organization. Only administrators may
// call the tool publish.
func ExampleNew() {
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "https://mcp.example.com/mcp",
		Provider: betterauth.New(betterauth.Config{
			URL:               "https://auth.example.com/api/auth",
			OrganizationClaim: "https://example.com/org",
		}),
		Requirements: []gatehouse.Requirement{{Tool: "publish", Require: gatehouse.Require{Roles: []string{"admin"}}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()
	fmt.Println(guard.Provider().Issuer)
	// Output: https://auth.example.com/api/auth
}
