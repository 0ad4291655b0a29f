package serve

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// recoverPanics turns a panic in a tool, prompt, resource or middleware into a JSON-RPC error.
// go-sdk 1.8 runs them in goroutines of its own, where net/http does not recover: the panic of one
// call would end the process for everyone. The value may have text of the request, so only its
// type is logged.
func (s *Server) recoverPanics(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (result mcp.Result, err error) {
		defer func() {
			if p := recover(); p != nil {
				s.logger.LogAttrs(ctx, slog.LevelError, "a call panicked",
					slog.String("method", method), slog.String("type", fmt.Sprintf("%T", p)), slog.String("stack", string(debug.Stack())))
				result, err = nil, &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "internal error"}
			}
		}()
		return next(ctx, method, req)
	}
}
