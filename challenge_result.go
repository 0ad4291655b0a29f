package gatehouse

import (
	"encoding/json"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"
)

// challengeMeta is the member of _meta with challenges, as ChatGPT reads it
// (https://developers.openai.com/apps-sdk/build/auth).
const challengeMeta = "mcp/www_authenticate"

// writeChallengeResult answers a tools/call with the result of a failed call that has the
// challenge in its _meta, and reports whether it did. Other messages get no such answer.
func writeChallengeResult(w http.ResponseWriter, r *http.Request, challenge string, info ReasonInfo) bool {
	request, ok := bufferedRequest(r)
	var method string
	if !ok || request.decode("method", &method) != nil || method != methodCallTool {
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
	text, err := json.Marshal(struct {
		JSONRPC string         `json:"jsonrpc"`
		ID      jsontext.Value `json:"id"`
		Result  result         `json:"result"`
	}{"2.0", request["id"], result{
		Type:    "complete",
		Content: []content{{"text", info.Phrase}},
		IsError: true,
		Meta:    map[string][]string{challengeMeta: {challenge}},
	}})
	if err != nil {
		return false
	}
	writeJSON(w, r, http.StatusOK, text)
	return true
}
