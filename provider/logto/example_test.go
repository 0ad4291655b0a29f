package logto_test

import (
	"fmt"
	"log"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/logto"
)

// Read the roles that a Custom JWT script of the tenant adds to access tokens.
func ExampleProvider_roles() {
	provider := logto.Provider("https://acme.logto.app")
	provider.Claims.Roles = []gatehouse.ClaimPath{{"roles"}} // the claim that the Custom JWT script returns
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "https://mcp.example.com/mcp",
		Provider: provider,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()
	fmt.Println(guard.Provider().Issuer)
	// Output: https://acme.logto.app/oidc
}
