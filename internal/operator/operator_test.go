package operator

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
)

// answer is what a request of a test got.
type answer struct {
	status int
	body   string
	header http.Header
}

// get requests a path of the handler, on a loopback connection.
func get(t *testing.T, h http.Handler, path string, change ...func(*http.Request)) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost:9090"+path, nil)
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9090}))
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{w.Code, w.Body.String(), w.Header()}
}

// from changes the address on which a request arrives.
func from(ip net.IP) func(*http.Request) {
	return func(r *http.Request) {
		*r = *r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: ip, Port: 9090}))
	}
}

func host(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

var complete = Config{
	Ready:   func(context.Context) (bool, any) { return true, map[string]string{"status": Ready} },
	Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "metric 1\n") }),
	Stats:   func() any { return map[string]int{"accepted": 1} },
	PProf:   true,

	Revocations: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Method+" revocations") }),
}

// Each path exists if it is configured, and only then.
func TestPaths(t *testing.T) {
	all, none := New(complete), New(Config{})
	for _, tt := range []struct {
		path       string
		want       string // part of the answer of the complete configuration
		wantStatus int    // of the empty one
	}{
		{"/", "/metrics", 200},
		{"/healthz", `{"status":"ok"}`, 200},
		{"/readyz", `{"status":"ready"}`, 200},
		{"/metrics", "metric 1", 404},
		{"/stats", `{"accepted":1}`, 404},
		{"/revocations", "GET revocations", 404},
		{"/debug/pprof/", "goroutine\t", 404},
		{"/debug/pprof/goroutine?debug=1", "goroutine profile:", 404},
		{"/debug/pprof/heap", "\x1f\x8b", 404}, // gzip
	} {
		if got := get(t, all, tt.path); got.status != 200 || !strings.Contains(got.body, tt.want) {
			t.Errorf("GET %s = %d %.200q, want 200 with %q", tt.path, got.status, got.body, tt.want)
		}
		if got := get(t, none, tt.path); got.status != tt.wantStatus {
			t.Errorf("GET %s of an empty configuration = %d, want %d", tt.path, got.status, tt.wantStatus)
		}
	}
	for _, path := range []string{"/debug/pprof/cmdline", "/debug/pprof/nothing", "/nothing"} {
		if got := get(t, all, path); got.status != 404 {
			t.Errorf("GET %s = %d, want 404", path, got.status)
		}
	}
	if got := get(t, all, "/metrics"); got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers of /metrics are %v, want that it is not cached and not sniffed", got.header)
	}
}

// Web pages and rebound names are kept out. Each row changes one thing of a request that is answered.
func TestWebPagesAreKeptOut(t *testing.T) {
	public := net.IPv4(10, 0, 0, 7)
	for _, tt := range []struct {
		name       string
		change     []func(*http.Request)
		wantStatus int
		wantReason string
	}{
		{"control", nil, 200, ""},
		{"control, 127.0.0.1", []func(*http.Request){host("127.0.0.1:9090")}, 200, ""},
		{"control, a page that was opened by hand", []func(*http.Request){header("Sec-Fetch-Site", "none")}, 200, ""},
		{"control, not on loopback", []func(*http.Request){from(public), host("gateway.internal:9090")}, 200, ""},
		{"a name that resolves to this machine", []func(*http.Request){host("attacker.example")}, 403, "got Host \"attacker.example\""},
		{"its address as another one", []func(*http.Request){host("10.0.0.7:9090")}, 403, "use localhost in the URL"},
		{"cross-site", []func(*http.Request){header("Sec-Fetch-Site", "cross-site")}, 403, "from a web page"},
		{"another port of this machine", []func(*http.Request){header("Sec-Fetch-Site", "same-site")}, 403, "from a web page"},
		{"Origin", []func(*http.Request){header("Origin", "https://attacker.example")}, 403, "from a web page"},
		{"Origin, not on loopback", []func(*http.Request){from(public), header("Origin", "https://attacker.example")}, 403, "from a web page"},
		{"POST", []func(*http.Request){func(r *http.Request) { r.Method = http.MethodPost }}, 405, "use GET"},
	} {
		for _, path := range []string{"/metrics", "/readyz", "/stats"} {
			if got := get(t, New(complete), path, tt.change...); got.status != tt.wantStatus || !strings.Contains(unquote(got.body), tt.wantReason) {
				t.Errorf("%s: %s got %d %s, want %d and %q", tt.name, path, got.status, got.body, tt.wantStatus, tt.wantReason)
			}
		}
	}
}

func unquote(body string) string { return strings.ReplaceAll(body, `\"`, `"`) }

// Profiles are served on loopback only, wherever the port listens.
func TestProfilesAreLocal(t *testing.T) {
	h := New(complete)
	if got := get(t, h, "/debug/pprof/heap"); got.status != 200 {
		t.Errorf("control on loopback: got %d, want 200", got.status)
	}
	got := get(t, h, "/debug/pprof/heap", from(net.IPv4(10, 0, 0, 7)), host("10.0.0.7:9090"))
	if got.status != 403 || !strings.Contains(got.body, "kubectl port-forward") {
		t.Errorf("on another address: got %d %s, want 403 and how to reach it", got.status, got.body)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/debug/pprof/heap", nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 403 {
		t.Errorf("with an unknown address: got %d, want 403", w.Code)
	}
}

func TestTimedProfiles(t *testing.T) {
	h := New(complete)
	for _, query := range []string{"profile?seconds=0", "profile?seconds=61", "profile?seconds=x", "trace?seconds=11"} {
		if got := get(t, h, PProfPath+query); got.status != 400 || !strings.Contains(got.body, "want 1 to") {
			t.Errorf("%s: got %d %s, want 400", query, got.status, got.body)
		}
	}
	// A client that leaves ends the recording, so that the next one can begin.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, name := range []string{"profile", "trace", "profile"} {
		got := get(t, h, PProfPath+name, func(r *http.Request) {
			leave := context.WithValue(ctx, http.LocalAddrContextKey, r.Context().Value(http.LocalAddrContextKey))
			*r = *r.WithContext(leave)
		})
		if got.status != 200 || len(got.body) == 0 {
			t.Errorf("%s: got %d with %d bytes, want a profile", name, got.status, len(got.body))
		}
	}
}

// Too many slow scrapes are rejected. Health and readiness are answered meanwhile.
func TestScrapesAreBounded(t *testing.T) {
	started, release := make(chan struct{}, maxRunning), make(chan struct{})
	cfg := complete
	cfg.Metrics = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { started <- struct{}{}; <-release })
	h := New(cfg)
	ended := make(chan answer, maxRunning)
	for range maxRunning {
		go func() { ended <- get(t, h, "/metrics") }()
	}
	for range maxRunning {
		<-started
	}
	if got := get(t, h, "/metrics"); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("one more: got %d %s, want 503 with Retry-After", got.status, got.body)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if got := get(t, h, path); got.status != 200 {
			t.Errorf("%s meanwhile: got %d, want 200", path, got.status)
		}
	}
	close(release)
	for range maxRunning {
		if got := <-ended; got.status != 200 {
			t.Errorf("a slow scrape got %d, want 200", got.status)
		}
	}
	if got := get(t, h, "/stats"); got.status != 200 {
		t.Errorf("afterwards: got %d, want 200", got.status)
	}
}

// A check that does not end is given up before the probe of Kubernetes gives up.
func TestReadyIsBounded(t *testing.T) {
	h := New(Config{Ready: func(ctx context.Context) (bool, any) {
		deadline, ok := ctx.Deadline()
		return !ok || time.Until(deadline) > time.Second, map[string]string{"status": NotReady}
	}})
	if got := get(t, h, "/readyz"); got.status != 503 || got.body != `{"status":"not ready"}`+"\n" {
		t.Errorf("got %d %s, want 503 and the report", got.status, got.body)
	}
}

func TestStartAndStop(t *testing.T) {
	var log testlog.Buffer
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stop := Start(New(complete), log.Logger(), l)
	url := "http://" + l.Addr().String() + "/readyz"
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	var report struct{ Status string }
	err = json.NewDecoder(resp.Body).Decode(&report)
	resp.Body.Close()
	if resp.StatusCode != 200 || err != nil || report.Status != Ready {
		t.Errorf("got %d %+v, %v, want ready", resp.StatusCode, report, err)
	}
	stop()
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("the port is open after stop")
	}
	if !strings.Contains(log.String(), fmt.Sprintf(`"address":"%s"`, l.Addr())) {
		t.Errorf("the log is %q, want the address", log.String())
	}
}

func TestFailureOfTheListenerIsLogged(t *testing.T) {
	var log testlog.Buffer
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	stop := Start(New(complete), log.Logger(), l)
	if _, err := log.Wait(t.Context(), regexp.MustCompile(`"level":"ERROR","msg":"the operator port failed`)); err != nil {
		t.Error(err)
	}
	stop()
}

// Revocations alone are changed by POST, by requests that arrive on loopback and are not from a web page. Each row changes
// one thing of a request that is answered.
func TestPostOfRevocations(t *testing.T) {
	post := func(r *http.Request) { r.Method = http.MethodPost }
	without := complete
	without.Revocations = nil
	for _, tt := range []struct {
		name       string
		config     Config
		path       string
		change     []func(*http.Request)
		wantStatus int
		want       string
	}{
		{"control", complete, "/revocations", nil, 200, "POST revocations"},
		{"control, GET", complete, "/revocations", []func(*http.Request){func(r *http.Request) { r.Method = http.MethodGet }}, 200, "GET revocations"},
		{"no revocations", without, "/revocations", nil, 405, "use GET"},
		{"another path", complete, "/stats", nil, 405, "use GET"},
		{"a path below", complete, "/revocations/x", nil, 405, "use GET"},
		{"two slashes", complete, "//revocations", nil, 405, "use GET"},
		{"PUT", complete, "/revocations", []func(*http.Request){func(r *http.Request) { r.Method = http.MethodPut }}, 405, "use GET or POST"},
		{"OPTIONS, a preflight", complete, "/revocations", []func(*http.Request){func(r *http.Request) { r.Method = http.MethodOptions }}, 405, "use GET"},
		{"not on loopback", complete, "/revocations", []func(*http.Request){from(net.IPv4(10, 0, 0, 7)), host("gateway.internal")}, 403, "revocations are served on loopback only"},
		{"rebound name", complete, "/revocations", []func(*http.Request){host("attacker.example")}, 403, "got Host"},
		{"web page", complete, "/revocations", []func(*http.Request){header("Origin", "null")}, 403, "from a web page"},
		{"page of this machine", complete, "/revocations", []func(*http.Request){header("Sec-Fetch-Site", "same-site")}, 403, "from a web page"},
	} {
		got := get(t, New(tt.config), tt.path, append([]func(*http.Request){post}, tt.change...)...)
		if got.status != tt.wantStatus || !strings.Contains(unquote(got.body), tt.want) {
			t.Errorf("%s: got %d %s, want %d and %q", tt.name, got.status, got.body, tt.wantStatus, tt.want)
		}
	}
}

// Requests for metrics that are answered slowly keep no one from the revocations.
func TestRevocationsHaveTheirOwnLimit(t *testing.T) {
	release := make(chan struct{})
	started := make(chan struct{}, maxRunning)
	cfg := complete
	cfg.Metrics = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { started <- struct{}{}; <-release })
	h := New(cfg)
	var running sync.WaitGroup
	for range maxRunning {
		running.Go(func() { get(t, h, "/metrics") })
	}
	for range maxRunning {
		<-started
	}
	if got := get(t, h, "/stats"); got.status != 503 {
		t.Errorf("GET /stats = %d, want 503, or the test shows nothing", got.status)
	}
	if got := get(t, h, "/revocations"); got.status != 200 {
		t.Errorf("GET /revocations = %d %s, want 200", got.status, got.body)
	}
	close(release)
	running.Wait()
}
