package diagnose

import (
	"encoding/json"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

// gatewayFixes say what to do about a request that "gatehouse gateway" could not forward, by the
// reason in its answer.
var gatewayFixes = map[string]string{
	"upstream_unreachable": "start the MCP server, or correct the upstream of the gateway; the log of the gateway has the cause",
	"upstream_timeout": "find out why the MCP server is slow, or raise header_timeout of the gateway; the operation may still run, so " +
		"check before it is repeated",
	"upstream_broken": "check whether the operation was carried out before it is repeated; the log of the MCP server may say why it " +
		"closed the connection",
	"upstream_wants_credentials": "switch the MCP server's own sign-in off, or have it verify the assertion of the gateway",
	"upstream_redirects": "set the upstream of the gateway to the URL to which the MCP server redirects; the log of the gateway has it, " +
		"and it often differs by a slash at the end only",
	"upstream_invalid_status":    "correct the MCP server: the log of the gateway has the status, which must be 200 to 599",
	"upstream_switches_protocol": "set the upstream of the gateway to the URL of an MCP endpoint",
	"upstream_list_unreadable":   "the log of the gateway says what is wrong with the list; if it is too long, raise max_list_bytes",
	"identity_too_long":          "turn headers off that the MCP server does not need (headers in the file of the gateway)",
	"header_mismatch":            "send the method and the name of the body in Mcp-Method and Mcp-Name, or neither of the two headers",
}

// GatewayFix returns what to do about a request that "gatehouse gateway" could not forward. reason
// is the one in its answer. ok is false if that is not one of the gateway.
func GatewayFix(reason string) (fix string, ok bool) {
	fix, ok = gatewayFixes[reason]
	return fix, ok
}

// gatewayFailure is the JSON-RPC error with which the gateway answers a request that it could not
// forward.
type gatewayFailure struct {
	Error struct {
		Message string `json:"message"`
		Data    struct {
			Reason string `json:"reason"`
		} `json:"data"`
	} `json:"error"`
}

// readGatewayFailure returns what the gateway says in an answer, and what to do about it. ok is
// false if the answer is not one of the gateway.
func readGatewayFailure(a *answer) (said, fix string, ok bool) {
	var failure gatewayFailure
	if a.err != nil || json.Unmarshal(a.body, &failure) != nil {
		return "", "", false
	}
	fix, ok = GatewayFix(failure.Error.Data.Reason)
	return quote.Clip(failure.Error.Message, maxText/4), fix, ok
}
