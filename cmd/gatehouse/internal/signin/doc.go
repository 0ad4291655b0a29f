// Package signin signs the user in where an MCP endpoint asks for it.
//
// [Client] discovers the authorization server (RFC 9728, RFC 8414), registers a client
// (RFC 7591), has the user authorize it in the browser or at a local Clerk, refreshes
// tokens and asks for more scopes. The go-sdk's auth.AuthorizationCodeHandler runs the
// authorization code flow itself. Most errors are a *failure.Error, which explains the
// cause and names the next step.
package signin
