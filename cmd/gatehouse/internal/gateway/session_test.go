package gateway_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}`

// opensSessions makes the backend open a session with the ID for each initialize request.
func opensSessions(id string) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, r *http.Request, body string) {
		if strings.Contains(body, `"initialize"`) {
			w.Header().Set("Mcp-Session-Id", id)
		} else if r.Header.Get("Mcp-Session-Id") != id {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		writeResult(w, body, map[string]any{})
	}
}

func TestSessionBelongsToItsUser(t *testing.T) {
	f := newFixture(t)
	f.backend.answer = opensSessions("abc-1.2")
	session := f.post(t, initialize).header.Get("Mcp-Session-Id")
	if session == "" || session == "abc-1.2" {
		t.Fatalf("the client got the session ID %q, want one that is bound to the user", session)
	}
	wantOK(t, f.post(t, call, "Mcp-Session-Id", session))
	if got := f.backend.last(t).Header.Values("Mcp-Session-Id"); len(got) != 1 || got[0] != "abc-1.2" {
		t.Errorf("the backend got the session ID %q, want its own", got)
	}
	count := len(f.backend.requests())
	other := "Bearer " + f.token(testissuer.Claim("sub", "user_grace"))
	rejected := map[string]answer{
		"another user":       f.do(t, http.MethodPost, call, "Authorization", other, "Mcp-Session-Id", session),
		"the backend's ID":   f.post(t, call, "Mcp-Session-Id", "abc-1.2"),
		"a changed ID":       f.post(t, call, "Mcp-Session-Id", session[:len(session)-1]+"!"),
		"two IDs":            f.post(t, call, "Mcp-Session-Id", session, "Mcp-Session-Id", session),
		"another user's GET": f.do(t, http.MethodGet, "", "Authorization", other, "Mcp-Session-Id", session),
	}
	for name, got := range rejected {
		wantReason(t, got, http.StatusNotFound, "session_of_another_user")
		if len(f.backend.requests()) != count {
			t.Errorf("%s: the backend got the request", name)
		}
	}
	// DELETE ends it.
	wantOK(t, f.do(t, http.MethodDelete, "", "Authorization", "Bearer "+f.token(), "Mcp-Session-Id", session))
}

// A session stays with the backend that opened it, also in another process with the same key.
func TestSessionsOfSeveralBackends(t *testing.T) {
	second := newBackend(t)
	two := func(_ *fixture, e *gateway.Endpoint) { e.Upstreams = append(e.Upstreams, second.upstream(t)) }
	f := newFixture(t, two)
	f.backend.answer, second.answer = opensSessions("first"), opensSessions("second")
	sessions := map[*backend]string{}
	for range 2 {
		before := len(f.backend.requests())
		id := f.post(t, initialize).header.Get("Mcp-Session-Id")
		if len(f.backend.requests()) > before {
			sessions[f.backend] = id
		} else {
			sessions[second] = id
		}
	}
	if len(sessions) != 2 {
		t.Fatal("both sessions were opened at one backend, want them in turn")
	}
	for range 5 {
		for _, b := range []*backend{f.backend, second} {
			before := len(b.requests())
			wantOK(t, f.post(t, call, "Mcp-Session-Id", sessions[b]))
			if len(b.requests()) != before+1 {
				t.Fatal("a request of a session reached the other backend")
			}
		}
	}
	// The backends in another order, as after a change of the file.
	slices.Reverse(f.config.Endpoints[0].Upstreams)
	if err := f.gateway.Apply(f.config); err != nil {
		t.Fatal(err)
	}
	wantOK(t, f.post(t, call, "Mcp-Session-Id", sessions[second]))
	// Without the backend, the session has ended, and the client opens a new one.
	wantReason(t, f.closeBackend(t, second, "Mcp-Session-Id", sessions[second]), http.StatusNotFound, "session_ended")
	wantOK(t, f.post(t, call, "Mcp-Session-Id", sessions[f.backend]))
	if id := f.post(t, initialize).header.Get("Mcp-Session-Id"); id == "" {
		t.Error("no session could be opened although one backend works")
	}
	f.config.Endpoints[0].Upstreams = []gateway.Upstream{f.backend.upstream(t)}
	if err := f.gateway.Apply(f.config); err != nil {
		t.Fatal(err)
	}
	wantReason(t, f.post(t, call, "Mcp-Session-Id", sessions[second]), http.StatusNotFound, "session_ended")
	wantOK(t, f.post(t, call, "Mcp-Session-Id", sessions[f.backend]))
}

// Without another backend, a session may continue when its backend is back.
func TestSessionWhoseOnlyBackendIsDown(t *testing.T) {
	f := newFixture(t)
	f.backend.answer = opensSessions("abc")
	session := f.post(t, initialize).header.Get("Mcp-Session-Id")
	wantReason(t, f.closeBackend(t, f.backend, "Mcp-Session-Id", session), http.StatusBadGateway, "upstream_unreachable")
}
