package conformance

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/google/go-cmp/cmp"
)

// metadataURL returns the URL that the challenge of a request to host must name.
func metadataURL(host string) string {
	return "http://" + host + "/.well-known/oauth-protected-resource/mcp"
}

// rejection is everything that is observable when the guard rejects a request.
type rejection struct {
	status int
	code   string           // error of the body, and of the challenge where RFC 6750 has one
	reason gatehouse.Reason // counted in the statistics
	scope  string           // of the challenge; empty means "profile email"
}

var (
	noCredentials          = rejection{status: http.StatusUnauthorized, code: "missing_token", reason: "no_credentials"}
	wrongScheme            = rejection{status: http.StatusUnauthorized, code: "missing_token", reason: "wrong_scheme"}
	malformedCredentials   = rejection{status: http.StatusBadRequest, code: "invalid_request", reason: "malformed_credentials"}
	tokenInQuery           = rejection{status: http.StatusBadRequest, code: "invalid_request", reason: "token_in_query"}
	forbiddenOrigin        = rejection{status: http.StatusForbidden, code: "forbidden", reason: "forbidden_origin"}
	forbiddenHost          = rejection{status: http.StatusForbidden, code: "forbidden", reason: "forbidden_host"}
	insufficientPermission = rejection{status: http.StatusForbidden, code: "forbidden", reason: "insufficient_permission"}
	sessionOfAnotherUser   = rejection{status: http.StatusNotFound, code: "not_found", reason: "session_of_another_user"}
)

func invalidToken(reason gatehouse.Reason) rejection {
	return rejection{status: http.StatusUnauthorized, code: "invalid_token", reason: reason}
}

// insufficientScope is the rejection whose challenge asks for scope.
func insufficientScope(scope string) rejection {
	return rejection{status: http.StatusForbidden, code: "insufficient_scope", reason: "insufficient_scope", scope: scope}
}

// wantRejected sends q and compares all of the answer with want: status, challenge, body
// and headers, and the reason that the guard counts.
func (s *server) wantRejected(t *testing.T, q request, want rejection) answer {
	t.Helper()
	before := s.Guard().Stats().Rejected[want.reason]
	a := s.send(t, q)
	if got := s.Guard().Stats().Rejected[want.reason]; got != before+1 {
		t.Errorf("%s %s: reason %q counted %d times, want once", q.method, q.target, want.reason, got-before)
	}
	if a.status != want.status {
		t.Errorf("%s %s: status %d, want %d; body %s", q.method, q.target, a.status, want.status, a.body)
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("%s %s: Cache-Control %q, want no-store", q.method, q.target, got)
	}
	if got := a.header["Mcp-Session-Id"]; got != nil {
		t.Errorf("%s %s: the rejection has Mcp-Session-Id %q", q.method, q.target, got)
	}
	if q.method != http.MethodHead {
		if diff := cmp.Diff(want.body(q), a.object(t)); diff != "" {
			t.Errorf("%s %s: body (-want +got):\n%s", q.method, q.target, diff)
		}
	}
	if got, want := a.header.Values("WWW-Authenticate"), s.challenge(q, want); strings.Join(got, "\n") != want {
		t.Errorf("%s %s: challenge\n got %s\nwant %s", q.method, q.target, strings.Join(got, "\n"), want)
	}
	return a
}

// body returns the body of the answer to q: the error, or the JSON-RPC error response to an
// operation, which has the error as its data.
func (want rejection) body(q request) map[string]any {
	body := map[string]any{"error": want.code, "error_description": phrase(want.reason), "reason": string(want.reason)}
	var operation struct {
		ID any `json:"id"`
	}
	ofOperations := []gatehouse.Reason{"insufficient_scope", "insufficient_permission", "no_organization", "resource_spelling"}
	if !slices.Contains(ofOperations, want.reason) || json.Unmarshal([]byte(q.body), &operation) != nil || operation.ID == nil {
		return body
	}
	return map[string]any{
		"jsonrpc": "2.0", "id": operation.ID,
		"error": map[string]any{"code": -32040.0, "message": phrase(want.reason), "data": body},
	}
}

// phrase returns the fixed text of a reason: the only detail that clients may learn.
func phrase(reason gatehouse.Reason) string {
	for _, row := range gatehouse.Reasons() {
		if row.Reason == reason {
			return row.Phrase
		}
	}
	return "unknown reason " + string(reason)
}

// challenge returns the complete WWW-Authenticate header that a rejection of q must have.
func (s *server) challenge(q request, want rejection) string {
	host, scope := q.host, want.scope
	if host == "" {
		host = s.host
	}
	host = strings.ToLower(host)
	if scope == "" {
		scope = "profile email"
	}
	c := `Bearer resource_metadata="` + metadataURL(host) + `", scope="` + scope + `"`
	switch want.code {
	case "missing_token":
		return c
	case "invalid_request", "invalid_token", "insufficient_scope":
		return c + `, error="` + want.code + `", error_description="` + phrase(want.reason) + `"`
	}
	return ""
}
