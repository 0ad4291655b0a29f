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
	body, ok := r.Body.(*bufferedBody)
	if !ok || isBatch(body.text) {
		return false
	}
	message, err := membersOf(body.text)
	if err != nil || message.absent("id") || message["id"].Kind() != '"' && message["id"].Kind() != '0' {
		return false
	}
	var method string
	if message.decode("method", &method) != nil || method != methodCallTool {
		return false
	}
	type content struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	type result struct {
		Content []content           `json:"content"`
		IsError bool                `json:"isError"`
		Meta    map[string][]string `json:"_meta"`
	}
	text, err := json.Marshal(struct {
		JSONRPC string         `json:"jsonrpc"`
		ID      jsontext.Value `json:"id"`
		Result  result         `json:"result"`
	}{"2.0", message["id"], result{[]content{{"text", info.Phrase}}, true, map[string][]string{challengeMeta: {challenge}}}})
	if err != nil {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	w.Write(text)
	return true
}
