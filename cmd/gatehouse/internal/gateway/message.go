package gateway

import (
	"encoding/json"
	"net/http"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/mcpmessage"
)

const methodListen = "subscriptions/listen"

// parse reads the messages of the body. It returns none if the body is not JSON-RPC, which the
// backend then rejects.
func (x *exchange) parse() []mcpmessage.Message {
	if !x.parsed {
		x.parsed = true
		x.messages = mcpmessage.Parse(x.body)
	}
	return x.messages
}

// requestID returns the ID of the only request of the body, or nil.
func (x *exchange) requestID() json.RawMessage {
	if x == nil || x.request.Method != http.MethodPost {
		return nil
	}
	return mcpmessage.RequestID(x.parse())
}

// checkHeaders returns the answer to headers that differ from the body, or nil.
func (x *exchange) checkHeaders(r *http.Request) *problem {
	err := mcpmessage.CheckHeaders(r, x.parse)
	if err == nil {
		return nil
	}
	return &problem{
		status: http.StatusBadRequest, code: "invalid_request", rpcCode: mcpmessage.CodeHeaderMismatch,
		reason: mcpmessage.ReasonHeaderMismatch, text: mcpmessage.TextHeaderMismatch, err: err, expected: true,
	}
}
