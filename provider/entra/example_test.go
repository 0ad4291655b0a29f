package entra_test

import (
	"fmt"
	"log"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/entra"
)

// The users of two tenants.
func ExampleNew() {
	provider := entra.New(entra.Config{
		Tenants:         []string{"8eaef023-2b34-4da1-9baa-8bc8c9d6a490", "72f988bf-86f1-41af-91ab-2d7cd011db47"},
		ClientID:        "00001111-aaaa-2222-bbbb-3333cccc4444",
		AppIDURI:        "https://mcp.example.com/mcp",
		ScopesSupported: []string{"Tools.Read"},
	})
	guard, err := gatehouse.New(gatehouse.Config{Resource: "https://mcp.example.com/mcp", Provider: provider})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(guard.Provider().ScopePrefix)
	// Output: https://mcp.example.com/mcp/
}
