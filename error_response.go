package gatehouse

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// maxEchoedID bounds the ID of a request that an error response repeats, in bytes.
const maxEchoedID = 1 << 10

// writeErrorResponse answers the request in the body of r with a JSON-RPC error response, whose
// data is body, and reports whether it did. It does not if the guard has not read one request
// with an ID.
//
// The HTTP status and WWW-Authenticate say the same. The JSON-RPC error is for the caller of
// the operation: clients of go-sdk end their session after a 400 or 403 without one, and
// version 2 of the Python SDK has no other message for its user. The middleware rejects an
// operation with the same code.
func writeErrorResponse(w http.ResponseWriter, r *http.Request, status int, body errorBody) bool {
	request, ok := bufferedRequest(r)
	if !ok {
		return false
	}
	type rpcError struct {
		Code    int       `json:"code"`
		Message string    `json:"message"`
		Data    errorBody `json:"data"`
	}
	text, err := json.Marshal(struct {
		JSONRPC string         `json:"jsonrpc"`
		ID      jsontext.Value `json:"id"`
		Error   rpcError       `json:"error"`
	}{"2.0", request["id"], rpcError{codeForbidden, body.Description, body}})
	if err != nil {
		return false
	}
	writeJSON(w, r, status, text)
	return true
}

// bufferedRequest returns the members of the JSON-RPC request in the body of r. ok is false if
// the guard has not read the body, or if it is a batch, a notification or not valid.
func bufferedRequest(r *http.Request) (request members, ok bool) {
	body, ok := r.Body.(*bufferedBody)
	if !ok || isBatch(body.text) {
		return nil, false
	}
	request, err := membersOf(body.text)
	if err != nil || request.absent("id") || len(request["id"]) > maxEchoedID {
		return nil, false
	}
	kind := request["id"].Kind()
	return request, kind == '"' || kind == '0'
}

// writeJSON writes a JSON text, with headers that keep it out of caches.
func writeJSON(w http.ResponseWriter, r *http.Request, status int, text []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(text)
	}
}
