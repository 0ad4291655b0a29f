// Package gatehouse puts OAuth sign-in in front of an MCP server.
//
// A [Guard] stands before any [http.Handler] that speaks MCP over HTTP. It
// verifies the access token of every request against the keys of one identity
// provider, answers those without a good one so that MCP clients can sign their
// user in, serves the discovery documents that clients look for, and hands
// tools the [Identity] of their caller.
//
//	guard, err := gatehouse.New(gatehouse.Config{
//		Resource: "https://mcp.example.com/mcp",
//		Provider: clerk.Provider("https://verb-noun-42.clerk.accounts.dev"),
//	})
//	if err != nil {
//		log.Fatal(err)
//	}
//	mux := http.NewServeMux()
//	guard.Mount(mux, handler)
//
// The guard is an OAuth 2.1 resource server as the MCP authorization
// specification describes it: RFC 6750 challenges, RFC 9728 metadata, RFC 9068
// access tokens, RFC 8707 audiences. It never issues tokens and never sees a
// password; clients register and sign in with the provider itself.
//
// Package serve is a small framework on top; the packages below provider know
// the settings, the token rules and the user of one identity provider each.
package gatehouse
