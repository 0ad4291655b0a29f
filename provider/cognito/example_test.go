package cognito_test

import (
	"fmt"
	"log"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/cognito"
)

// Tokens need a scope of the resource server, whichever app client they are from.
func ExampleNew() {
	provider := cognito.New(cognito.Config{
		UserPoolID:      "us-west-2_EXAMPLE1a",
		ResourceServer:  "https://mcp.example.com/mcp",
		ScopesSupported: []string{"openid", "https://mcp.example.com/mcp/tools.read"},
	})
	guard, err := gatehouse.New(gatehouse.Config{Resource: "https://mcp.example.com/mcp", Provider: provider})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(guard.Provider().Issuer)
	// Output: https://cognito-idp.us-west-2.amazonaws.com/us-west-2_EXAMPLE1a
}
