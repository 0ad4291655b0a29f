package gatehouse

import (
	"encoding/json"
	"net/http"

	"github.com/gatehouse-mcp/gatehouse/internal/challenge"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/go-json-experiment/json/jsontext"
)

// challengeMeta is the member of _meta with challenges, as ChatGPT reads it
// (https://developers.openai.com/apps-sdk/build/auth).
const challengeMeta = "mcp/www_authenticate"

// maxEchoedID bounds the ID of a request that an answer repeats, in bytes.
const maxEchoedID = 1 << 10

// writeChallengeResult answers a tools/call with the result of a failed call that has the
// challenge in its _meta, and reports whether it did. It does so only if a sign-in with more
// scopes, or a sign-in at all, would help. Other messages get no such answer.
func (g *Guard) writeChallengeResult(w http.ResponseWriter, r *http.Request, rejection Rejection, header string, info ReasonInfo) bool {
	switch {
	case info.Reason == reason.InsufficientScope:
	case info.Reason == reason.NoCredentials && g.policy().public:
		// The challenge of a header has no error code if there was no token (RFC 6750 §3.1).
		// ChatGPT offers the sign-in only if there is one.
		header = challenge.Bearer{
			ResourceMetadata: g.resources[g.resourceFor(r)].metadataURL,
			Scopes:           g.scopesFor(g.issuerOf(rejection)),
			Error:            reason.CodeInsufficientScope,
			ErrorDescription: info.Phrase,
		}.String()
	default:
		return false
	}
	id, method := requestIn(r)
	if method != methodCallTool {
		return false
	}
	type content struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	type result struct {
		Type    string              `json:"resultType"` // required by MCP 2026-07-28; earlier revisions ignore it
		Content []content           `json:"content"`
		IsError bool                `json:"isError"`
		Meta    map[string][]string `json:"_meta"`
	}
	return writeMessage(w, http.StatusOK, struct {
		JSONRPC string         `json:"jsonrpc"`
		ID      jsontext.Value `json:"id"`
		Result  result         `json:"result"`
	}{"2.0", id, result{"complete", []content{{"text", info.Phrase}}, true, map[string][]string{challengeMeta: {header}}}})
}

// requestIn returns the ID and the method of the JSON-RPC request in the body of r, which the
// guard has read. The method is empty if the body is anything else, such as a batch.
func requestIn(r *http.Request) (id jsontext.Value, method string) {
	body, ok := r.Body.(*bufferedBody)
	if !ok || isBatch(body.text) {
		return nil, ""
	}
	message, err := membersOf(body.text)
	if err != nil || message.absent("id") || len(message["id"]) > maxEchoedID ||
		message["id"].Kind() != '"' && message["id"].Kind() != '0' {
		return nil, ""
	}
	if message.text("method", &method) != nil {
		return nil, ""
	}
	return message["id"], method
}

// writeMessage answers with one JSON-RPC message, and reports whether it did.
func writeMessage(w http.ResponseWriter, status int, message any) bool {
	text, err := json.Marshal(message)
	if err != nil {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(text)
	return true
}
