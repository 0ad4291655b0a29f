package zitadel_test

import (
	"fmt"
	"log"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/zitadel"
)

// Configure the instance in code. Only users with the role editor in the project may call the tool
// publish.
func ExampleNew() {
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "https://mcp.example.com/mcp",
		Provider: zitadel.New(zitadel.Config{
			Domain:       "https://acme-k2x9qd.us1.zitadel.cloud",
			ProjectID:    "328859038097867422",
			ClientID:     "391190000000000001",
			ClientSecret: "the secret of the application",
		}),
		Requirements: []gatehouse.Requirement{{Tool: "publish", Require: gatehouse.Require{Roles: []string{"editor"}}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()
	fmt.Println(guard.Provider().Tokens.Audiences)
	// Output: [328859038097867422]
}
