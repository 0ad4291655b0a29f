package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/operator"
)

func TestBackendDown(t *testing.T) {
	f := newFixture(t)
	wantOK(t, f.post(t, call))
	got := f.closeBackend(t, f.backend)
	wantReason(t, got, http.StatusBadGateway, "upstream_unreachable")
	if !strings.Contains(got.body, `"id":1`) || got.header.Get("Retry-After") == "" || got.header.Get("WWW-Authenticate") != "" {
		t.Errorf("the answer is %s with %v, want a JSON-RPC error with the ID, Retry-After and no challenge", got.body, got.header)
	}
	for range 5 {
		wantReason(t, f.post(t, call), http.StatusBadGateway, "upstream_unreachable")
	}
	if n := strings.Count(f.log.String(), "unreachable"); n != 1 {
		t.Errorf("the log has %d lines about it, want one for the whole outage:\n%s", n, f.log)
	}
	if strings.Contains(got.body, strings.TrimPrefix(f.backend.URL, "http://")) {
		t.Errorf("the answer shows the address of the backend: %s", got.body)
	}
	// A notification and a GET have no ID, so the answer is in the form of the guard's.
	for _, got := range []answer{
		f.post(t, `{"jsonrpc":"2.0","method":"notifications/initialized"}`),
		f.do(t, http.MethodGet, "", "Authorization", "Bearer "+f.token()),
	} {
		wantReason(t, got, http.StatusBadGateway, "upstream_unreachable")
		if !strings.Contains(got.body, `"error":"bad_gateway"`) {
			t.Errorf("the answer is %s, want the form of the guard's answers", got.body)
		}
	}
}

// A backend that has accepted the request may have carried it out, so it is not sent again.
func TestBrokenAnswerIsNotRetried(t *testing.T) {
	f := newFixture(t)
	other := newBackend(t)
	f.config.Endpoints[0].Upstreams = append(f.config.Endpoints[0].Upstreams, other.upstream(t))
	if err := f.gateway.Apply(f.config); err != nil {
		t.Fatal(err)
	}
	breaks := func(w http.ResponseWriter, _ *http.Request, _ string) { panic(http.ErrAbortHandler) }
	f.backend.answer, other.answer = breaks, breaks
	for range 4 {
		wantReason(t, f.post(t, call, "Idempotency-Key", "1"), http.StatusBadGateway, "upstream_broken")
	}
	if n := len(f.backend.requests()) + len(other.requests()); n != 4 {
		t.Errorf("the backends got %d requests for 4 calls, want each call once", n)
	}
}

// A connection that was used before may break because the backend stops, which the transport takes
// for a reason to send a request with an idempotency key again.
func TestBrokenConnectionIsNotRetried(t *testing.T) {
	for _, name := range []string{"X-Own", "Idempotency-Key", "X-Idempotency-Key"} {
		f := newFixture(t)
		wantOK(t, f.post(t, call))
		f.backend.answer = func(http.ResponseWriter, *http.Request, string) { panic(http.ErrAbortHandler) }
		wantReason(t, f.post(t, call, name, "1"), http.StatusBadGateway, "upstream_broken")
		if n := len(f.backend.requests()); n != 2 {
			t.Errorf("%s: the backend got %d requests for 2 calls", name, n)
		}
		if got := f.backend.last(t).Header.Get(name); got != "1" {
			t.Errorf("%s is %q, want it forwarded", name, got)
		}
	}
}

// If nothing could be sent, another backend gets the request.
func TestUnreachableBackendIsSkipped(t *testing.T) {
	f := newFixture(t, func(_ *fixture, e *gateway.Endpoint) {
		e.Upstreams = append([]gateway.Upstream{{URL: closedAddress(t)}, {URL: closedAddress(t)}}, e.Upstreams...)
	})
	for range 6 {
		wantOK(t, f.post(t, call))
	}
	if n := len(f.backend.requests()); n != 6 {
		t.Errorf("the backend that works got %d requests, want 6", n)
	}
	if n := strings.Count(f.log.String(), "backend is unreachable"); n != 2 {
		t.Errorf("the log says %d times that a backend is unreachable, want once for each:\n%s", n, f.log)
	}
	wantReason(t, f.closeBackend(t, f.backend), http.StatusBadGateway, "upstream_unreachable")
}

func TestSlowBackend(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	f := newFixture(t, func(_ *fixture, e *gateway.Endpoint) { e.HeaderTimeout = 50 * time.Millisecond })
	wantOK(t, f.post(t, call))
	f.backend.answer = func(_ http.ResponseWriter, r *http.Request, _ string) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}
	got := f.post(t, call)
	wantReason(t, got, http.StatusGatewayTimeout, "upstream_timeout")
	if !strings.Contains(got.body, `"id":1`) {
		t.Errorf("the answer is %s, want a JSON-RPC error with the ID", got.body)
	}
}

func TestBodyLimit(t *testing.T) {
	f := newFixture(t, func(_ *fixture, e *gateway.Endpoint) { e.Guard.MaxBodyBytes = 1000 })
	padded := func(size int) string { return call + strings.Repeat(" ", size-len(call)) }
	wantOK(t, f.post(t, padded(1000)))
	wantReason(t, f.post(t, padded(1001)), http.StatusRequestEntityTooLarge, "body_too_large")

	// A body whose length is announced is rejected before it arrives.
	resp := f.raw(t, "POST /mcp HTTP/1.1\nHost: localhost\nAuthorization: Bearer {token}\nContent-Type: application/json\nContent-Length: 1048576\n\n")
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("announced length: status %d, want 413", resp.StatusCode)
	}
	// One in chunks is rejected when it passes the limit.
	chunk := "3e8\n" + strings.Repeat("x", 1000) + "\n"
	const chunked = "POST /mcp HTTP/1.1\nHost: localhost\nAuthorization: Bearer {token}\nContent-Type: application/json\nTransfer-Encoding: chunked\n\n"
	if resp := f.raw(t, chunked+chunk+chunk); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("chunks over the limit: status %d, want 413", resp.StatusCode)
	}
	if resp := f.raw(t, chunked+chunk+"0\n\n"); resp.StatusCode != http.StatusOK {
		t.Errorf("chunks of the limit: status %d, want 200", resp.StatusCode)
	}
	if n := len(f.backend.requests()); n != 2 {
		t.Errorf("the backend got %d requests, want the 2 that are not too large", n)
	}
}

// providerIsDown is a change of a fixture: its provider is down before the gateway starts.
func providerIsDown(f *fixture, _ *gateway.Endpoint) { f.issuer.SetDown(true) }

func TestProviderDown(t *testing.T) {
	f := newFixture(t, providerIsDown)
	got := f.post(t, call)
	wantReason(t, got, http.StatusServiceUnavailable, "provider_unavailable")
	if got.header.Get("Retry-After") == "" || got.header.Get("WWW-Authenticate") != "" {
		t.Errorf("the headers are %v, want Retry-After and no challenge", got.header)
	}
}

// healthOf returns the answer of a path of the public port, or of the operator port.
func (f *fixture) healthOf(t *testing.T, path string, port http.Handler) answer {
	t.Helper()
	w := httptest.NewRecorder()
	port.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, f.origin+path, nil))
	return answer{w.Code, w.Header(), w.Body.String()}
}

// The operator port has the state of each endpoint. The public port has the status alone, and
// names neither endpoints nor backends.
func TestHealth(t *testing.T) {
	for _, tt := range []struct {
		name       string
		change     func(*fixture, *gateway.Endpoint)
		drain      bool
		wantStatus int
		wantPublic string
		want       []string // parts of the report
	}{
		{name: "control", wantStatus: 200, wantPublic: "ready",
			want: []string{`{"status":"ready","endpoints":[{"url":"http://`, `"status":"ready","keys":[{"issuer":"`, `"count":1`, `"reachable":true}]`}},
		{name: "the gateway stops", drain: true, wantStatus: 503, wantPublic: "shutting down", want: []string{`{"status":"shutting down"`}},
		{name: "the backend is down", change: func(f *fixture, e *gateway.Endpoint) { e.Upstreams[0].URL = closedAddress(t) },
			wantStatus: 200, wantPublic: "ready", want: []string{`{"status":"ready"`, `"reachable":false}]`}},
		{name: "the provider is down", change: providerIsDown,
			wantStatus: 503, wantPublic: "waiting for the keys of the identity provider",
			want: []string{`{"status":"not ready"`, `"reason":"`, `"count":0`, `"reachable":true}]`}},
		{name: "the backend has a health check", change: func(_ *fixture, e *gateway.Endpoint) { e.Upstreams[0].HealthPath = "/" },
			wantStatus: 200, wantPublic: "ready", want: []string{`"reachable":true,"healthy":true}]`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, func(f *fixture, e *gateway.Endpoint) {
				if tt.change != nil {
					tt.change(f, e)
				}
			})
			if tt.drain {
				f.gateway.Drain()
			}
			got := f.healthOf(t, "/readyz", operator.New(f.gateway.Operator()))
			for _, want := range tt.want {
				if got.status != tt.wantStatus || !strings.Contains(got.body, want) {
					t.Errorf("/readyz of the operator port is %d %s, want %d with %s", got.status, got.body, tt.wantStatus, want)
				}
			}
			if got := f.healthOf(t, "/readyz", f.gateway); got.status != tt.wantStatus || got.body != `{"status":"`+tt.wantPublic+`"}`+"\n" {
				t.Errorf("/readyz of the public port is %d %s, want %d and the status alone", got.status, got.body, tt.wantStatus)
			}
			if got := f.healthOf(t, "/healthz", f.gateway); got.status != 200 {
				t.Errorf("/healthz is %d, want 200", got.status)
			}
			if got := f.healthOf(t, "/stats", operator.New(f.gateway.Operator())); got.status != 200 || !strings.Contains(got.body, f.resource) {
				t.Errorf("/stats is %d %s, want the counters of the endpoint", got.status, got.body)
			}
		})
	}
}

// A backend whose health check fails gets no requests.
func TestHealthCheck(t *testing.T) {
	var healthy atomic.Bool
	checked := make(chan struct{}, 1000)
	var calls atomic.Int32
	sick := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			if !healthy.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			checked <- struct{}{}
			return
		}
		calls.Add(1)
		writeResult(w, call, map[string]any{})
	}))
	defer sick.Close()
	f := newFixture(t, func(_ *fixture, e *gateway.Endpoint) {
		u, _ := url.Parse(sick.URL + "/mcp")
		e.Upstreams = append(e.Upstreams, gateway.Upstream{URL: u, HealthPath: "/health", HealthInterval: 10 * time.Millisecond})
	})
	for range 3 { // the second check begins after the result of the first was noted
		<-checked
	}
	for range 4 {
		wantOK(t, f.post(t, call))
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("the backend whose check fails got %d calls, want none", n)
	}
	healthy.Store(true)
	for len(checked) > 0 {
		<-checked
	}
	for range 3 {
		<-checked
	}
	for range 4 {
		wantOK(t, f.post(t, call))
	}
	if n := calls.Load(); n != 2 {
		t.Errorf("the backend whose check succeeds got %d of 4 calls, want 2", n)
	}
}
