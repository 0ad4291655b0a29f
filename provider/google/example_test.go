package google_test

import (
	"fmt"
	"log"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/google"
)

// The tokens of one OAuth client, without the email address of the user.
func ExampleNew() {
	provider := google.New(google.Config{
		ClientIDs:       []string{"32555940559-example.apps.googleusercontent.com"},
		ScopesSupported: []string{"openid"},
	})
	guard, err := gatehouse.New(gatehouse.Config{Resource: "https://mcp.example.com/mcp", Provider: provider})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(guard.Provider().ScopesSupported)
	// Output: [openid]
}
