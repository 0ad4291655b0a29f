package gatehousetest

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// Serve serves a handler on a free loopback port until t ends, and returns the origin of
// its URLs, like "http://127.0.0.1:41234". newHandler gets this origin before the server
// starts, because a guard needs its URL.
//
// When t ends, the sessions that were connected later are closed first. Requests that then
// still run are canceled, so that a stream cannot keep the test from ending. Serve replaces
// [httptest.NewServer] with a deferred Close: deferred calls run before the sessions of
// [ClerkServer.Connect] are closed, and Close waits for their streams without end.
func Serve(t testing.TB, newHandler func(origin string) http.Handler) (origin string) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	origin = "http://" + server.Listener.Addr().String()
	server.Config.Handler = newHandler(origin)
	server.Start()
	return origin
}
