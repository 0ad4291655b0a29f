// Package conformance checks a server against the requirements of MCP authorization. It
// has tests only, with one row for each requirement that the four revisions of the
// specification place on a resource server. The tests run package serve with a provider
// and an issuer over real sockets. A row that does not apply gives the reason.
//
//	go test ./conformance           # run all rows
//	go test ./conformance -update   # also write docs/conformance.md
//
// The folder official runs the conformance suite of the MCP project against a guarded
// server.
package conformance
