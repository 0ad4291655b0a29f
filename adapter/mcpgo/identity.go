package mcpgo

import (
	"context"
	"net/http"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/auth"
	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// IdentityOf returns the caller of the message that a handler, a middleware, a filter or a hook
// of mcp-go got together with ctx. ok is false if the message did not come through a
// [gatehouse.Guard], as with stdio.
//
// mcp-go's streamable HTTP transport makes the context of each message from that of the HTTP
// request that carried it, so the caller is that of the message, and not of the session. Do
// not keep a context in a session.
func IdentityOf(ctx context.Context) (id gatehouse.Identity, ok bool) {
	return gatehouse.IdentityOf(RequestOf(ctx))
}

// RequestOf returns a request of go-sdk that has the caller of [IdentityOf] and nothing else. It
// is for the functions of provider packages that take such a request:
//
//	user, ok := clerk.UserOf(mcpgo.RequestOf(ctx))
func RequestOf(ctx context.Context) gosdk.Request {
	return &gosdk.CallToolRequest{Extra: &gosdk.RequestExtra{TokenInfo: auth.TokenInfoFromContext(ctx)}}
}

// httpRequest returns a request with the context of the HTTP request that carried the message,
// for the methods of the guard.
func httpRequest(ctx context.Context) *http.Request { return new(http.Request).WithContext(ctx) }
