// Package gatehouse adds OAuth sign-in to an MCP server.
//
// A [Guard] protects an [http.Handler] that speaks MCP over HTTP. It verifies the access
// token of every request with the keys of one identity provider. It answers a request
// without a valid token so that an MCP client can sign its user in. It serves the metadata
// documents with which clients find the provider. Tools get their caller from [IdentityOf].
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
// The guard is an OAuth 2.1 resource server as the MCP authorization specification
// describes it: challenges (RFC 6750), protected resource metadata (RFC 9728), JWT access
// tokens (RFC 9068) and audiences (RFC 8707). It does not issue tokens and does not see
// passwords: clients register and sign in with the provider itself.
//
// The packages below provider each know the settings, the token rules and the user of one
// identity provider; [OIDC] is for a provider that follows the standards. Package serve
// builds a complete MCP server with a guard.
package gatehouse
