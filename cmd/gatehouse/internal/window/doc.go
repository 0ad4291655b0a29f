// Package window shows a sign-in while it happens: a page of "gatehouse dev"
// with every request between client, MCP server and local Clerk, what each is
// for, and why one failed. The page also works the local Clerk's settings and
// faults, as does the JSON API behind it.
//
// Clerk's side comes from localclerk's events, the server's from a recording
// reverse proxy in front of it, so the server may be any program. Nothing here
// keeps a whole token, code, verifier or secret.
//
// It is for development: it answers loopback only, and no page but its own.
package window
