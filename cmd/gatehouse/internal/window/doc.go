// Package window is a page of "gatehouse dev" that shows sign-ins as they happen: every
// request between the client, the MCP server and the local Clerk, what each one is for, and
// why one failed. The page and its JSON API also change the local Clerk's settings and faults.
//
// The requests to Clerk come from localclerk's events. Those to the MCP server are recorded
// by a reverse proxy in front of it, so the server may be written in any language. No
// complete token, code, code verifier or secret is kept.
//
// The window is for development: it only answers requests from this machine, and from web
// pages only its own.
package window
