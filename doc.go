// Package gatehouse puts OAuth sign-in in front of an MCP server.
package gatehouse
