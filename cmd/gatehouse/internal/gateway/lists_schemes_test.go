package gateway_test

import (
	"net/http"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
)

// Each tool in a list says what it needs, if the setting is on. What the server itself says in _meta
// stays, and other lists are unchanged.
func TestSecuritySchemes(t *testing.T) {
	const tools = `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"_meta":{"own":1},"name":"write"},{"name":"open"}]}}`
	const prompts = `{"jsonrpc":"2.0","id":1,"result":{"prompts":[{"name":"write"}]}}`
	const list = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	for _, test := range []struct {
		name         string
		on           bool
		method, sent string
		want         string
	}{
		{"off", false, list, tools, tools},
		{"on", true, list, tools, `{"id":1,"jsonrpc":"2.0","result":{"tools":[` +
			`{"_meta":{"own":1,"securitySchemes":[{"type":"oauth2","scopes":["notes:write"]}]},"name":"write"},` +
			`{"_meta":{"securitySchemes":[{"type":"noauth"},{"type":"oauth2"}]},"name":"open"}]}}`},
		{"prompts", true, `{"jsonrpc":"2.0","id":1,"method":"prompts/list"}`, prompts, `{"id":1,"jsonrpc":"2.0","result":{"prompts":[{"name":"write"}]}}`},
	} {
		f := newFixture(t, func(_ *fixture, e *gateway.Endpoint) {
			e.Guard.SecuritySchemes, e.Guard.ShowLocked = test.on, true
			e.Guard.Requirements = []gatehouse.Requirement{
				{Tool: "write", Require: gatehouse.Require{Scopes: []string{"notes:write"}}}, {Tool: "open", Require: gatehouse.Require{Public: true}},
			}
		})
		f.backend.answer = func(w http.ResponseWriter, _ *http.Request, _ string) {
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte(test.sent))
		}
		if got := f.post(t, test.method); got.status != http.StatusOK || got.body != test.want {
			t.Errorf("%s: got status %d and %s, want %s", test.name, got.status, got.body, test.want)
		}
	}
}
