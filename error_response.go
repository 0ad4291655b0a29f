package gatehouse

import (
	"net/http"

	"github.com/go-json-experiment/json/jsontext"
)

// writeErrorResponse answers the request in the body of r with a JSON-RPC error response, whose
// data has the error body, and reports whether it did. It does not if the guard has not read one request
// with an ID.
//
// The HTTP status and WWW-Authenticate say the same. The JSON-RPC error is for the caller of
// the operation: clients of go-sdk end their session after a 400 or 403 without one, and
// version 2 of the Python SDK has no other message for its user. The middleware rejects an
// operation with the same code.
func writeErrorResponse(w http.ResponseWriter, r *http.Request, status, code int, message string, data any) bool {
	id, method := requestIn(r)
	if method == "" {
		return false
	}
	type rpcError struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Data    any    `json:"data"`
	}
	return writeMessage(w, status, struct {
		JSONRPC string         `json:"jsonrpc"`
		ID      jsontext.Value `json:"id"`
		Error   rpcError       `json:"error"`
	}{"2.0", id, rpcError{code, message, data}})
}
