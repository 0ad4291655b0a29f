package localclerk

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// storedEvents returns the events that s stores.
func storedEvents(s *Server) []Event {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	var events []Event
	for e := range s.Events(ended, 0) {
		events = append(events, e)
	}
	return events
}

func lastEvent(t testing.TB, s *Server) Event {
	t.Helper()
	events := storedEvents(s)
	if len(events) == 0 {
		t.Fatal("no event")
	}
	return events[len(events)-1]
}

func TestEventsOfASignIn(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	get(t, s, "/.well-known/oauth-authorization-server")
	send(t, s, "OPTIONS", "/oauth/register", "", "Origin", "https://app.example")
	app := register(t, s, map[string]any{"client_name": "Probe", "token_endpoint_auth_method": authPost})
	b := browser{t, s}
	transaction := b.open(authorization(app))
	b.page(transaction)
	b.press(transaction, "action", actionSignIn, "user", derivedID("user_", "ada"))
	b.page(transaction)
	_, query := b.press(transaction, "action", actionAllow).location()
	form := with(redemption(app, query.Get("code")), "client_secret", app.secret)
	got := post(t, s, "/oauth/token", form).want(200).object()
	get(t, s, "/oauth/userinfo", "Authorization", "Bearer "+got["access_token"].(string))
	get(t, s, "/.well-known/jwks.json")
	post(t, s, "/oauth/token_info", url.Values{"token": {"x"}, "client_id": {app.id}, "client_secret": {app.secret}})
	post(t, s, "/oauth/token/revoke", url.Values{"token": {"x"}, "client_id": {app.id}, "client_secret": {app.secret}})
	backend(t, s, "GET", "/v1/instance", nil)
	get(t, s, "/nowhere")

	type line struct {
		ID         uint64
		Step       Step
		Method     string
		Status     int
		ClientName string
		User       string
		Error      string
	}
	ada := derivedID("user_", "ada")
	want := []line{
		{1, StepMetadata, "GET", 200, "", "", ""},
		{2, StepPreflight, "OPTIONS", 204, "", "", ""},
		{3, StepRegistration, "POST", 201, "Probe", "", ""},
		{4, StepAuthorization, "GET", 302, "Probe", "", ""},
		{5, StepPage, "GET", 200, "Probe", "", ""},
		{6, StepDecision, "POST", 303, "", "", ""},
		{7, StepPage, "GET", 200, "Probe", ada, ""},
		{8, StepDecision, "POST", 303, "Probe", ada, ""},
		{9, StepToken, "POST", 200, "Probe", ada, ""},
		{10, StepUserInfo, "GET", 200, "", ada, ""},
		{11, StepKeys, "GET", 200, "", "", ""},
		{12, StepIntrospection, "POST", 200, "Probe", "", ""},
		{13, StepRevocation, "POST", 200, "Probe", "", ""},
		{14, StepBackend, "GET", 200, "", "", ""},
		{15, StepOther, "GET", 404, "", "", "resource_not_found"},
	}
	var lines []line
	for _, e := range storedEvents(s) {
		lines = append(lines, line{e.ID, e.Step, e.Method, e.Status, e.ClientName, e.User, e.Error})
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestEventsWaitForNewOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		get(t, s, "/1")
		get(t, s, "/2")
		ctx, cancel := context.WithCancel(t.Context())
		paths := make(chan string)
		go func() {
			defer close(paths)
			for e := range s.Events(ctx, 1) {
				paths <- e.Path
			}
		}()
		if got := <-paths; got != "/2" {
			t.Errorf("got %s first, want /2", got)
		}
		synctest.Wait()
		get(t, s, "/3")
		if got := <-paths; got != "/3" {
			t.Errorf("got %s, want /3", got)
		}
		cancel()
		if got, ok := <-paths; ok {
			t.Errorf("got %s after the context ended", got)
		}
	})
}

func TestEventsStopWhenTheReaderStops(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	get(t, s, "/1")
	get(t, s, "/2")
	count := 0
	for range s.Events(t.Context(), 0) {
		count++
		break
	}
	if count != 1 {
		t.Errorf("read %d events, want 1", count)
	}
}

func TestEventsAreBounded(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for range maxEvents + 10 {
		get(t, s, "/")
	}
	events := storedEvents(s)
	if len(events) != maxEvents || events[0].ID != 11 {
		t.Errorf("%d events from %d, want %d from 11", len(events), events[0].ID, maxEvents)
	}
	huge := url.Values{}
	for i := range 100 {
		huge.Set(strings.Repeat("n", i+1), "x")
	}
	huge.Set("scope", strings.Repeat("s", 2*maxRecordedValue))
	get(t, s, "/oauth/authorize?"+huge.Encode())
	e := lastEvent(t, s)
	if len(e.Request) > maxRecordedFields+1 {
		t.Errorf("%d parameters, want at most %d", len(e.Request), maxRecordedFields)
	}
	for name, value := range e.Request {
		if len(value) > maxRecordedValue+len("…") {
			t.Errorf("%s has %d bytes, want at most %d", name, len(value), maxRecordedValue)
		}
	}
	send(t, s, "POST", "/oauth/register", strings.Repeat(" ", 2*maxRecordedBody), "Content-Type", "application/json").want(400)
}

// TestWithoutEvent serves requests with and without the context, which a header cannot replace.
func TestWithoutEvent(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for _, ctx := range []context.Context{t.Context(), WithoutEvent(t.Context())} {
		req := httptest.NewRequestWithContext(ctx, "GET", "/.well-known/jwks.json", nil)
		req.Host = "localhost"
		w := httptest.NewRecorder()
		s.ServeHTTP(w, req)
		if w.Code != http.StatusOK {
			t.Fatalf("got %d %s, want 200", w.Code, w.Body)
		}
	}
	if events := storedEvents(s); len(events) != 1 {
		t.Errorf("got %d events, want the one of the first request", len(events))
	}
}
