// Package migrating has the Go code of docs/migrating.md: servers that were written for
// mcp-use, FastMCP, the auth package of go-sdk or mcp-go, with Gatehouse.
package migrating
