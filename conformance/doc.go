// Package conformance holds the server to MCP authorization, clause by clause.
// It has tests only: one row for each requirement of the four revisions of the
// specification on a resource server, over real sockets against serve, a provider
// and an issuer. A row that does not apply says why.
//
//	go test ./conformance           # hold every row
//	go test ./conformance -update   # and write docs/conformance.md
//
// The folder official runs the conformance suite of the MCP project through the
// gate; see there.
package conformance
