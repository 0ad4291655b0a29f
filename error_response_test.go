package gatehouse_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// errorAnswer is the body of a rejection: an OAuth error, or the JSON-RPC error of an operation.
type errorAnswer struct {
	Version     string          `json:"jsonrpc"`
	ID          json.RawMessage `json:"id"`
	Error       json.RawMessage `json:"error"`
	Description string          `json:"error_description"`
	Reason      string          `json:"reason"`
}

// newOperations returns a handler with tools that need a role or a scope, and a resource.
func newOperations(t *testing.T) (handler http.Handler, is *issuer) {
	t.Helper()
	is = newIssuer(t)
	guard := newGuard(t, is)
	guard.ProtectTool(&mcp.Tool{Name: "write"}, gatehouse.Require{Scopes: []string{"notes:write"}})
	guard.ProtectTool(&mcp.Tool{Name: "people"}, gatehouse.Require{
		Check: func(context.Context, gatehouse.Identity) error { return errors.New("not today") },
	})
	guard.ProtectResource(&mcp.Resource{URI: "notes://all"}, gatehouse.Require{Scopes: []string{"notes:write"}})
	return guard.Wrap(behind), is
}

// TestErrorResponse checks that the rejection of one operation is its JSON-RPC error, in addition
// to the status and the challenge.
func TestErrorResponse(t *testing.T) {
	handler, is := newOperations(t)
	token := bearer(is.token(resource))
	const read = `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"notes://al%6C"}}`
	for _, test := range []struct {
		name, body, wantID string
		wantStatus         int
		wantReason         string
	}{
		{"scope", call("write"), `1`, 403, "insufficient_scope"},
		{"no scope would help", call("people"), `1`, 403, "insufficient_permission"},
		{"spelling", read, `1`, 400, "resource_spelling"},
		{"ID that is a text", strings.Replace(call("write"), `"id":1`, `"id":"a\u0022b"`, 1), `"a\u0022b"`, 403, "insufficient_scope"},
	} {
		t.Run(test.name, func(t *testing.T) {
			resp := send(handler, request{body: test.body, header: token})
			text := body(t, resp)
			var answer errorAnswer
			var failure struct {
				Code    int
				Message string
				Data    errorAnswer
			}
			if err := json.Unmarshal([]byte(text), &answer); err != nil || json.Unmarshal(answer.Error, &failure) != nil {
				t.Fatalf("got %s (%v), want a JSON-RPC error", text, err)
			}
			if resp.StatusCode != test.wantStatus || answer.Version != "2.0" || string(answer.ID) != test.wantID {
				t.Errorf("got status %d, %s; want %d and the ID %s", resp.StatusCode, text, test.wantStatus, test.wantID)
			}
			if failure.Code != -32040 || failure.Data.Reason != test.wantReason || failure.Message == "" ||
				failure.Message != failure.Data.Description || len(failure.Data.Error) == 0 {
				t.Errorf("got %s, want the code -32040 and the reason %s", text, test.wantReason)
			}
			wantChallenge := test.wantReason == "insufficient_scope"
			if got := resp.Header.Get("WWW-Authenticate"); strings.Contains(got, `error="insufficient_scope"`) != wantChallenge {
				t.Errorf("got the challenge %q", got)
			}
		})
	}
}

// TestNoErrorResponse has rejections that are not of one JSON-RPC request with an ID. Their body
// is the OAuth error.
func TestNoErrorResponse(t *testing.T) {
	handler, is := newOperations(t)
	token := is.token(resource)
	withID := func(member string) request {
		return request{body: strings.Replace(call("write"), `"id":1,`, member, 1), header: bearer(token)}
	}
	for name, test := range map[string]struct {
		request
		wantStatus int
		wantReason string
	}{
		"batch":            {request{body: "[" + call("write") + "]", header: bearer(token)}, 403, "insufficient_scope"},
		"notification":     {withID(""), 403, "insufficient_scope"},
		"ID null":          {withID(`"id":null,`), 403, "insufficient_scope"},
		"ID of an object":  {withID(`"id":{},`), 403, "insufficient_scope"},
		"ID of 1100 bytes": {withID(`"id":"` + strings.Repeat("x", 1100) + `",`), 403, "insufficient_scope"},
		"two IDs":          {withID(`"id":1,"id":2,`), 400, "body_malformed"},
		"no token":         {request{body: call("write")}, 401, "no_credentials"},
		"web origin":       {request{body: call("write"), header: with(bearer(token), "Origin", "https://evil.example")}, 403, "forbidden_origin"},
	} {
		t.Run(name, func(t *testing.T) {
			resp := send(handler, test.request)
			text := body(t, resp)
			var answer errorAnswer
			if err := json.Unmarshal([]byte(text), &answer); err != nil {
				t.Fatalf("got %s: %v", text, err)
			}
			if resp.StatusCode != test.wantStatus || answer.Reason != test.wantReason {
				t.Errorf("got status %d, %s; want %d, %s", resp.StatusCode, text, test.wantStatus, test.wantReason)
			}
			if diff := cmp.Diff(errorAnswer{Error: answer.Error, Description: answer.Description, Reason: answer.Reason}, answer); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}
