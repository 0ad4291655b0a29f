package bypass

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
)

const unknownSession = "404 session_of_another_user"

// taken returns a sender that opens a session without a token, uses it with the token of a user,
// and then sends the request of another caller in it.
func taken(by func(*world) string, q func(t *testing.T, w *world) request) sender {
	return func(t *testing.T, w *world, era string) answer {
		id := w.open(t, "", stateful)
		first := w.send(t, w.call(t, era, by(w), "public").with("Mcp-Session-Id", id))
		if reached := w.takeReached(); first.status != 200 || len(reached) != 1 {
			t.Errorf("the sign-in: %s, reached %v", first, reached)
		}
		next := q(t, w)
		return w.send(t, next.with("Mcp-Session-Id", append(next.header["Mcp-Session-Id"][1:], id)...))
	}
}

// calls returns a call of the tool with a token.
func calls(tool string, token func(*world) string) func(*testing.T, *world) request {
	return func(t *testing.T, w *world) request { return w.call(t, stateful, token(w), tool) }
}

// changed returns the public call without a token with changes.
func changed(changes ...func(request) request) func(*testing.T, *world) request {
	return func(t *testing.T, w *world) request {
		q := w.call(t, stateful, "", "public")
		for _, change := range changes {
			q = change(q)
		}
		return q
	}
}

// inTaken returns an attempt to use a session that was opened without a token and then belongs to a
// user who signed in. Its control is a call of that user.
func inTaken(name string, q func(*testing.T, *world) request) attempt {
	return noToken(name, unknownSession, taken(strong, q)).only(stateful).
		withControl(taken(strong, calls("delete", strong))).running("tool delete")
}

// elsewhere returns an attempt to use a session that was opened without a token in another process
// with the same key.
func elsewhere(name string, token func(*world) string) attempt {
	key := options{configure: func(cfg *gatehouse.Config) { cfg.SessionKey = []byte(strings.Repeat("k", 32)) }}
	send := func(t *testing.T, w *world, era string) answer {
		o := key
		o.public = true
		other := newWorld(t, w.style, o)
		return w.send(t, w.call(t, era, token(w), "public").with("Mcp-Session-Id", other.open(t, "", stateful)))
	}
	return withOptions(noToken(name, unknownSession, send), key).only(stateful).withControl(call("public", none)).running("tool public")
}

// few allows four sessions in all, so callers without a token may have two.
var few = options{configure: func(cfg *gatehouse.Config) { cfg.MaxSessions, cfg.MaxSessionsPerUser = 4, 2 }}

// openAll opens all sessions that callers without a token may have.
func openAll(t *testing.T, w *world, _ string) {
	for range 2 {
		w.open(t, "", stateful)
	}
}

// initialize returns a sender that opens a session.
func initialize(token func(*world) string) sender {
	return func(t *testing.T, w *world, _ string) answer {
		q := request{method: http.MethodPost, target: "/mcp"}.with("Content-Type", "application/json").
			with("Accept", "application/json, text/event-stream").bearer(token(w))
		return w.send(t, q.withBody(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"`+stateful+
			`","capabilities":{},"clientInfo":{"name":"client","version":"1"}}}`))
	}
}

var anonymousSessionAttempts = []attempt{
	noToken("a protected tool in a session that was opened without a token", signIn, inSession(none, none)).only(stateful).
		withControl(inSession(none, strong)),
	noToken("the session of a user", unknownSession, inSessionCall("public", strong, none)).only(stateful).
		withControl(inSessionCall("public", strong, strong)).running("tool public"),
	inTaken("a session that was opened without a token, in which a user signed in since (fixation)", changed()),
	inTaken("the same with the token of another user", calls("public", another)),
	inTaken("the same with the newest revision in the header", changed(with("Mcp-Protocol-Version", stateless))),
	inTaken("a stream of that session (GET)", changed(method(http.MethodGet), body(""))),
	inTaken("a stream of that session that is resumed (`Last-Event-ID`)", changed(method(http.MethodGet), body(""), with("Last-Event-ID", "0_0"))),
	inTaken("the end of that session (DELETE)", changed(method(http.MethodDelete), body(""))),
	inTaken("the answer to a question of the server in that session (elicitation, sampling)",
		changed(body(`{"jsonrpc":"2.0","id":1,"result":{"action":"accept","content":{}}}`))),
	inTaken("a cancellation in that session", changed(body(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`))),
	inTaken("that session next to one of one's own (two session IDs)", func(t *testing.T, w *world) request {
		q := w.call(t, stateful, "", "public")
		return q.with("Mcp-Session-Id", "", w.open(t, "", stateful))
	}),
	elsewhere("a session that was opened without a token at another replica, with the same `SessionKey`", none),
	elsewhere("the same with a token", strong),
	withOptions(noToken("one session more than callers without a token may have", signIn, initialize(none)), few).only(stateful).
		preparedBy(openAll).withControl(initialize(strong)).running(""),
}

// inSessionCall returns a sender that opens a session with one token and calls the tool in it with
// another.
func inSessionCall(tool string, open, use func(*world) string) sender {
	return func(t *testing.T, w *world, era string) answer {
		id := w.open(t, open(w), stateful)
		return w.send(t, w.call(t, era, use(w), tool).with("Mcp-Session-Id", id))
	}
}
