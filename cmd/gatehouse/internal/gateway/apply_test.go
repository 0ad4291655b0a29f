package gateway_test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
)

// A configuration with a fault changes nothing.
func TestApplyRejectsFaults(t *testing.T) {
	f := newFixture(t)
	invalid := f.config
	invalid.Endpoints = append([]gateway.Endpoint(nil), f.config.Endpoints...)
	invalid.Endpoints[0].Guard.RequiredScopes = []string{"a b"}
	if err := f.gateway.Apply(invalid); err == nil {
		t.Error("Apply accepted an invalid configuration")
	}
	if err := f.gateway.Apply(gateway.Config{}); err == nil {
		t.Error("Apply accepted a configuration without endpoints")
	}
	wantOK(t, f.post(t, call))
}

// An endpoint that has not changed keeps its guard.
func TestApplyKeepsUnchangedEndpoints(t *testing.T) {
	f := newFixture(t, func(_ *fixture, e *gateway.Endpoint) { e.Identity = "one" })
	before := f.gateway.Guards()[0]
	if err := f.gateway.Apply(f.config); err != nil {
		t.Fatal(err)
	}
	if f.gateway.Guards()[0] != before {
		t.Error("the endpoint got a new guard although its identity is the same")
	}
	f.config.Endpoints[0].Identity = "two"
	if err := f.gateway.Apply(f.config); err != nil {
		t.Fatal(err)
	}
	if f.gateway.Guards()[0] == before {
		t.Error("the endpoint kept its guard although its identity has changed")
	}
	wantOK(t, f.post(t, call))
}

// Sessions go on after a change if their key is the same or still accepted, and not otherwise.
func TestApplyKeepsSessions(t *testing.T) {
	f := newFixture(t)
	f.backend.answer = opensSessions("abc")
	session := f.post(t, initialize).header.Get("Mcp-Session-Id")
	f.config.Endpoints[0].Guard.MaxSessions = 5
	if err := f.gateway.Apply(f.config); err != nil {
		t.Fatal(err)
	}
	wantOK(t, f.post(t, call, "Mcp-Session-Id", session))
	guard := &f.config.Endpoints[0].Guard
	guard.AcceptedSessionKeys, guard.SessionKey = []gatehouse.SessionKey{guard.SessionKey}, bytes.Repeat([]byte("x"), 32)
	if err := f.gateway.Apply(f.config); err != nil {
		t.Fatal(err)
	}
	wantOK(t, f.post(t, call, "Mcp-Session-Id", session))
	guard.AcceptedSessionKeys = nil
	if err := f.gateway.Apply(f.config); err != nil {
		t.Fatal(err)
	}
	wantReason(t, f.post(t, call, "Mcp-Session-Id", session), http.StatusNotFound, "session_of_another_user")
}

// Shutdown lets calls finish and ends streams, those of earlier configurations too.
func TestShutdown(t *testing.T) {
	f := newFixture(t)
	_, left := f.backend.streaming()
	resp := f.open(t, t.Context(), http.MethodGet, "", "Authorization", "Bearer "+f.token())
	defer resp.Body.Close()
	f.config.Endpoints[0].Guard.MaxSessions = 5
	if err := f.gateway.Apply(f.config); err != nil {
		t.Fatal(err)
	}
	began, release := make(chan struct{}), make(chan struct{})
	f.backend.answer = func(w http.ResponseWriter, _ *http.Request, body string) {
		close(began)
		<-release
		writeResult(w, body, map[string]any{"finished": true})
	}
	answered := make(chan answer, 1)
	go func() { answered <- f.post(t, call) }()
	<-began
	stopped := make(chan struct{})
	go func() { f.gateway.Shutdown(context.Background()); close(stopped) }()
	within(t, "the end of the stream", left)
	select {
	case <-stopped:
		t.Error("Shutdown returned while a call runs")
	default:
	}
	close(release)
	if got := <-answered; got.status != http.StatusOK || !strings.Contains(got.body, "finished") {
		t.Errorf("the running call got %d %s, want its answer", got.status, got.body)
	}
	within(t, "the end of Shutdown", stopped)
	if err := f.gateway.Apply(f.config); err == nil {
		t.Error("Apply succeeded after Shutdown")
	}
}

// The streams of the oldest configurations end if there are too many of them.
func TestApplyIsBounded(t *testing.T) {
	f := newFixture(t)
	_, left := f.backend.streaming()
	open := func() *http.Response {
		return f.open(t, t.Context(), http.MethodGet, "", "Authorization", "Bearer "+f.token())
	}
	oldest := open()
	defer oldest.Body.Close()
	for i := range 17 {
		select {
		case <-left:
			t.Fatalf("the stream ended after %d changes, want it to stay open for 16", i)
		default:
		}
		if i > 0 {
			// A configuration without open requests is removed at once, so each needs one.
			resp := open()
			defer resp.Body.Close()
		}
		f.config.Endpoints[0].Guard.MaxSessions = 100 + i
		f.config.Endpoints[0].Guard.MaxSessionsPerUser = 50
		if err := f.gateway.Apply(f.config); err != nil {
			t.Fatal(err)
		}
	}
	within(t, "the end of the oldest stream", left)
	if !strings.Contains(f.log.String(), "the configuration was changed often") {
		t.Errorf("the log does not say why:\n%s", f.log)
	}
}

// Endpoints are found by host and path.
func TestSeveralEndpoints(t *testing.T) {
	second, third := newBackend(t), newBackend(t)
	f := newFixture(t)
	endpoint := func(resource string, b *backend) gateway.Endpoint {
		e := f.config.Endpoints[0]
		e.Guard.Resource = resource
		e.Upstreams = []gateway.Upstream{b.upstream(t)}
		return e
	}
	f.config.Endpoints = append(f.config.Endpoints, endpoint(f.origin+"/two", second), endpoint("https://three.example.com/mcp", third))
	if err := f.gateway.Apply(f.config); err != nil {
		t.Fatal(err)
	}
	send := func(url, host, token string) answer {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(call))
		req.Header.Set("Authorization", "Bearer "+token)
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var body bytes.Buffer
		body.ReadFrom(resp.Body)
		return answer{resp.StatusCode, resp.Header, body.String()}
	}
	wantOK(t, send(f.origin+"/two", "", f.issuer.Token(f.origin+"/two")))
	wantOK(t, send(f.origin+"/mcp", "three.example.com", f.issuer.Token("https://three.example.com/mcp")))
	wantOK(t, send(f.origin+"/mcp", "THREE.example.com:443", f.issuer.Token("https://three.example.com/mcp")))
	wantOK(t, f.post(t, call))
	for i, b := range []*backend{f.backend, second, third} {
		if got, want := len(b.requests()), []int{1, 1, 2}[i]; got != want {
			t.Errorf("backend %d got %d requests, want %d", i, got, want)
		}
	}
	// A token for one endpoint is not for another.
	got := send(f.origin+"/two", "", f.issuer.Token(f.resource))
	wantReason(t, got, http.StatusUnauthorized, "wrong_audience")
	if got := send(f.origin+"/mcp", "four.example.com", f.token()); got.status != http.StatusMisdirectedRequest {
		t.Errorf("an unknown host: status %d, want 421", got.status)
	}
	resp, err := http.Get(f.origin + "/elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("another path: status %d, want 404", resp.StatusCode)
	}
}

func TestFaults(t *testing.T) {
	f := newFixture(t)
	for name, change := range map[string]func(*gateway.Config){
		"the same URL twice":    func(c *gateway.Config) { c.Endpoints = append(c.Endpoints, c.Endpoints[0]) },
		"a path of the gateway": func(c *gateway.Config) { c.Endpoints[0].Guard.Resource = f.origin + "/healthz" },
		"no upstream":           func(c *gateway.Config) { c.Endpoints[0].Upstreams = nil },
		"the same upstream twice": func(c *gateway.Config) {
			c.Endpoints[0].Upstreams = append(c.Endpoints[0].Upstreams, c.Endpoints[0].Upstreams[0])
		},
		"a header with two meanings": func(c *gateway.Config) { c.Endpoints[0].Headers.Email = c.Endpoints[0].Headers.User },
		"the header of the session":  func(c *gateway.Config) { c.Endpoints[0].Headers.User = "Mcp-Session-Id" },
		"two users of Authorization": func(c *gateway.Config) {
			c.Endpoints[0].Headers.Assertion, c.Endpoints[0].DangerouslyForwardAccessToken = "Authorization", true
		},
	} {
		cfg := f.config
		cfg.Endpoints = append([]gateway.Endpoint(nil), f.config.Endpoints...)
		change(&cfg)
		if _, err := gateway.New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	gw, err := gateway.New(f.config) // the control
	if err != nil {
		t.Fatal(err)
	}
	gw.Close()
}
