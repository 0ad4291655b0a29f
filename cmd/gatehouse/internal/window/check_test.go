package window

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/diagnose"
	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
)

// guarded makes the server of the rig an MCP server behind the guard, which accepts opaque tokens too.
// The window knows its URL. change changes the guard; it may be nil.
func guarded(t *testing.T, r *rig, change func(*gatehouse.Config)) {
	t.Helper()
	var log testlog.Buffer
	config := gatehouse.Config{
		Resource: r.config.Endpoint,
		Provider: clerk.New(clerk.Config{
			FrontendAPIURL: r.clerk.Issuer(), SecretKey: clerk.Secret(r.clerk.SecretKey()), BackendAPIURL: r.clerk.Issuer(),
			ScopesSupported: []string{"profile", "email"},
		}),
		Logger: log.Logger(),
	}
	if change != nil {
		change(&config)
	}
	guard, err := gatehouse.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(guard.Close)
	server := mcp.NewServer(&mcp.Implementation{Name: "x", Version: "1"}, nil)
	mux := http.NewServeMux()
	stateless := &mcp.StreamableHTTPOptions{Stateless: true}
	guard.Mount(mux, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, stateless))
	r.server.Config.Handler = mux
}

// postCheck makes a check, which must succeed.
func postCheck(t *testing.T, r *rig) Check {
	t.Helper()
	resp, body := postJSON(t, r.page.URL+Path+"api/check", "{}")
	var c Check
	if err := json.Unmarshal([]byte(body), &c); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("got %d %s, want a check", resp.StatusCode, body)
	}
	return c
}

// TestCheck changes one thing of a set-up without a problem, and checks what is to be fixed first.
func TestCheck(t *testing.T) {
	t.Parallel()
	opaque := func(s *localclerk.Settings, _ *localclerk.Faults) { s.OAuthJWTAccessTokens = false }
	audience := func(s *localclerk.Settings, _ *localclerk.Faults) { s.AudClaimEnabled = true }
	requireAudience := func(c *gatehouse.Config) {
		c.Provider = clerk.New(clerk.Config{FrontendAPIURL: c.Provider.Issuer, RequireAudience: true, ScopesSupported: []string{"email"}})
	}
	for _, test := range []struct {
		name     string
		clerk    func(*localclerk.Settings, *localclerk.Faults)
		guard    func(*gatehouse.Config)
		server   func(r *rig)
		wantID   string // of the first finding; "" for a control
		wantHere string
	}{
		{name: "control"},
		{name: "control: audience claim", clerk: audience},
		{name: "control: audience claim, which the server requires", clerk: audience, guard: requireAudience},
		{
			name:  "control: no registration, but client ID metadata documents",
			clerk: func(s *localclerk.Settings, _ *localclerk.Faults) { s.ClientIDMetadataDocumentsAdvertised = true },
		},
		{
			name:     "registration off",
			clerk:    func(s *localclerk.Settings, _ *localclerk.Faults) { s.DynamicOAuthClientRegistration = false },
			wantID:   "registration.closed_clerk",
			wantHere: "turn on “Dynamic client registration”",
		},
		{name: "opaque tokens", clerk: opaque, wantID: "clerk.opaque", wantHere: "turn on “Generate access tokens as JWTs”"},
		{
			name:  "opaque tokens, at a server that does not accept them",
			clerk: opaque,
			guard: func(c *gatehouse.Config) {
				c.Provider = clerk.New(clerk.Config{FrontendAPIURL: c.Provider.Issuer, ScopesSupported: []string{"email"}})
			},
			wantID: "revisions.rejected", wantHere: "turn on “Generate access tokens as JWTs”",
		},
		{
			name: "no audience claim, which the server requires", guard: requireAudience,
			wantID: "revisions.rejected", wantHere: "turn on “Audience claim”",
		},
		{
			name: "organizations off",
			clerk: func(s *localclerk.Settings, _ *localclerk.Faults) {
				s.OrganizationsDisabled = true
			},
			guard: func(c *gatehouse.Config) {
				c.Provider = clerk.New(clerk.Config{FrontendAPIURL: c.Provider.Issuer, ScopesSupported: []string{"user:org:read"}})
			},
			wantID: "scopes.organization", wantHere: "turn on “Organizations”",
		},
		{
			name:   "clock ahead",
			clerk:  func(_ *localclerk.Settings, f *localclerk.Faults) { f.ClockOffset = time.Hour },
			wantID: "revisions.rejected", wantHere: "set Clerk’s clock",
		},
		{
			name:   "outage",
			clerk:  func(_ *localclerk.Settings, f *localclerk.Faults) { f.Status = 503 },
			wantID: "server.error", wantHere: "look at Faults",
		},
		{
			name:   "another resource",
			guard:  func(c *gatehouse.Config) { c.Resource += "/v2" },
			server: func(r *rig) { r.config.Endpoint += "/" },
			wantID: "endpoint.not_found",
		},
		{
			name:   "server that does not run",
			server: func(r *rig) { r.server.Close() },
			wantID: "endpoint.gateway", wantHere: "environment variable PORT",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			guarded(t, r, test.guard)
			if test.server != nil {
				test.server(r)
			}
			if test.clerk != nil {
				settings, faults := r.clerk.Settings(), r.clerk.Faults()
				test.clerk(&settings, &faults)
				if err := r.clerk.SetSettings(settings); err != nil {
					t.Fatal(err)
				}
				if err := r.clerk.SetFaults(faults); err != nil {
					t.Fatal(err)
				}
			}
			wantFirst(t, postCheck(t, r), test.wantID, test.wantHere)
			wantNoClientSteps(t, r)
			if tokens := r.state().Tokens; len(tokens) > 0 {
				t.Errorf("the page lists the token of the check: %+v", tokens)
			}
		})
	}
}

func wantFirst(t *testing.T, c Check, id, here string) {
	t.Helper()
	if id == "" {
		for _, f := range c.Findings {
			if f.Level != diagnose.OK && f.ID != "stream" { // a stateless server has none
				t.Errorf("got %s %s: %s; %s", f.Level, f.ID, f.Title, f.Evidence)
			}
		}
		if c.First != -1 || len(c.Findings) < 15 {
			t.Errorf("first is %d of %d findings, want -1 of many", c.First, len(c.Findings))
		}
		return
	}
	if c.First < 0 || c.Findings[c.First].ID != id {
		t.Fatalf("first is %d of %+v, want %s", c.First, c.Findings, id)
	}
	f := c.Findings[c.First]
	if !strings.Contains(f.Here, here) || f.Evidence == "" || f.Consequence == "" || f.Fix == "" {
		t.Errorf("got %+v, want all texts, and %q", f, here)
	}
	if len(c.Clients) == 0 || c.Command == "" || c.Time.IsZero() {
		t.Errorf("got %d clients, command %q, time %s", len(c.Clients), c.Command, c.Time)
	}
}

// wantNoClientSteps checks that the requests of a check are not steps: only those of the MCP server to
// Clerk are, in a run of their own.
func wantNoClientSteps(t *testing.T, r *rig) {
	t.Helper()
	n := r.journal.after(0)
	for _, s := range n.Steps {
		if s.From != Server {
			t.Errorf("%s %s from %s is a step", s.Line, s.Title, s.From)
		}
	}
	for _, run := range n.Runs {
		if !run.Server {
			t.Errorf("%q is a run of a client", run.Client)
		}
	}
}

// TestCheckDuringSignIn checks that a check does not change the run of a client, and that the requests
// of the client are steps although a check runs.
func TestCheckDuringSignIn(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	guarded(t, r, nil)
	do(t, "POST", r.proxy.URL+"/mcp", "{}", "User-Agent", "client")
	r.await(t, 1)
	postCheck(t, r)
	do(t, "GET", r.proxy.URL+"/.well-known/oauth-protected-resource/mcp", "", "User-Agent", "client")
	var lines []string
	for _, s := range r.journal.after(0).Steps {
		if s.Run == 1 {
			lines = append(lines, s.Line)
		}
	}
	want := []string{"POST /mcp", "GET /.well-known/oauth-protected-resource/mcp"}
	if !slices.Equal(lines, want) {
		t.Errorf("the run of the client has %q, want %q", lines, want)
	}
}

// TestProbeKey sends the header of checks as another program would.
func TestProbeKey(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name         string
		key          func(r *rig) string
		wantRecorded bool
		wantHeader   string // that the MCP server gets
	}{
		{"control: no key", func(*rig) string { return "" }, true, ""},
		{"control: the key", func(r *rig) string { return r.probeKey }, false, ""},
		{"another key", func(*rig) string { return "guess" }, true, "guess"},
		{"a part of the key", func(r *rig) string { return r.probeKey[1:] }, true, "PART"},
		{"the key in lower case", func(r *rig) string { return strings.ToLower(r.probeKey) }, true, "LOWER"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			seen := make(chan string, 1)
			r := newRig(t, func(_ http.ResponseWriter, req *http.Request) { seen <- req.Header.Get(probeHeader) })
			var header []string
			if key := test.key(r); key != "" {
				header = []string{probeHeader, key}
			}
			do(t, "POST", r.proxy.URL+"/mcp", "{}", header...)
			if recorded := len(r.journal.after(0).Steps) == 1; recorded != test.wantRecorded {
				t.Errorf("recorded %t, want %t", recorded, test.wantRecorded)
			}
			want := strings.NewReplacer("PART", r.probeKey[1:], "LOWER", strings.ToLower(r.probeKey)).Replace(test.wantHeader)
			if got := <-seen; got != want {
				t.Errorf("the server got %q, want %q", got, want)
			}
			do(t, "GET", r.page.URL+"/.well-known/oauth-authorization-server", "", header...)
			do(t, "GET", r.page.URL+"/unknown", "") // recorded after the one before it
			want = "GET /unknown"
			if test.wantRecorded {
				want = "GET /.well-known/oauth-authorization-server"
			}
			id := uint64(1)
			if test.wantRecorded {
				id = 2
			}
			if step := r.await(t, id); step.Line != want {
				t.Errorf("step %d is %q, want %q", id, step.Line, want)
			}
		})
	}
}

// TestProbeKeyStaysHere checks that the key is sent to this program alone, whatever a document of the
// MCP server names.
func TestProbeKeyStaysHere(t *testing.T) {
	t.Parallel()
	const own = "4001"
	for _, test := range []struct {
		url  string
		want bool
	}{
		{"http://localhost:4001/mcp", true},
		{"http://127.0.0.1:4001/mcp", true},
		{"http://[::1]:4001/mcp", true},
		{"https://localhost:4001/mcp", false},
		{"http://localhost:4002/mcp", false},
		{"http://localhost/mcp", false},
		{"http://127.0.0.2:4001/mcp", false},
		{"http://localhost.example.com:4001/mcp", false},
		{"http://example.com:4001/mcp", false},
	} {
		var got http.Header
		base := roundTripFunc(func(r *http.Request) (*http.Response, error) {
			got = r.Header
			return httptest.NewRecorder().Result(), nil
		})
		transport := &probeTransport{key: "the key", ports: []string{own}, base: base}
		req := httptest.NewRequest("GET", test.url, nil)
		if _, err := transport.RoundTrip(req); err != nil {
			t.Fatal(err)
		}
		if sent := got.Get(probeHeader) == "the key"; sent != test.want {
			t.Errorf("%s: key sent: %t, want %t", test.url, sent, test.want)
		}
		if req.Header.Get(probeHeader) != "" {
			t.Errorf("%s: the caller's request was changed", test.url)
		}
	}
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// blockedCheck starts a check of a server that does not answer before release is closed, and returns
// the status of its answer. The server has got a request when blockedCheck returns.
func blockedCheck(t *testing.T, ctx context.Context) (r *rig, status <-chan int, release chan struct{}) {
	t.Helper()
	asked := make(chan struct{}, 100)
	release = make(chan struct{})
	r = newRig(t, nil)
	r.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body) // only then does the server notice that the client has disconnected
		asked <- struct{}{}
		select {
		case <-release:
			w.WriteHeader(http.StatusNotFound)
		case <-req.Context().Done():
		}
	})
	statuses := make(chan int, 1)
	go func() {
		req, err := http.NewRequestWithContext(ctx, "POST", r.page.URL+Path+"api/check", strings.NewReader("{}"))
		if err != nil {
			panic(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			statuses <- 0
			return
		}
		resp.Body.Close()
		statuses <- resp.StatusCode
	}()
	<-asked
	return r, statuses, release
}

// TestCheckOneAtATime starts a check while another one runs, and again after its end.
func TestCheckOneAtATime(t *testing.T) {
	t.Parallel()
	r, status, release := blockedCheck(t, t.Context())
	resp, body := postJSON(t, r.page.URL+Path+"api/check", "{}")
	if resp.StatusCode != http.StatusConflict || !strings.Contains(body, "is running") {
		t.Errorf("got %d %s, want 409", resp.StatusCode, body)
	}
	close(release)
	if got := <-status; got != http.StatusOK {
		t.Errorf("the first check ended with %d, want 200", got)
	}
	postCheck(t, r)
}

// TestCheckEndsWithWindow ends the window while a check waits for the MCP server.
func TestCheckEndsWithWindow(t *testing.T) {
	t.Parallel()
	r, status, _ := blockedCheck(t, t.Context())
	r.stop()
	if got := <-status; got != http.StatusServiceUnavailable {
		t.Errorf("got %d, want 503", got)
	}
}

// TestCheckEndsWithPage closes the page while a check waits for the MCP server.
func TestCheckEndsWithPage(t *testing.T) {
	t.Parallel()
	ctx, closePage := context.WithCancel(t.Context())
	r, status, release := blockedCheck(t, ctx)
	closePage()
	if got := <-status; got != 0 {
		t.Errorf("got %d, want no answer", got)
	}
	r.checking.Lock() // once the check has ended, although the server has not answered
	close(release)
	r.checking.Unlock()
	postCheck(t, r)
}

// TestCheckGuards sends the action as another web page, and with a body that it does not have.
func TestCheckGuards(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	guarded(t, r, nil)
	const media = "application/json"
	for _, test := range []struct {
		name, body string
		header     []string
		want       int
	}{
		{"control", "{}", []string{"Content-Type", media, "Origin", r.page.URL, "Sec-Fetch-Site", "same-origin"}, 200},
		{"another origin", "{}", []string{"Content-Type", media, "Origin", "https://evil.example"}, 403},
		{"another site", "{}", []string{"Content-Type", media, "Sec-Fetch-Site", "cross-site"}, 403},
		{"another host", "{}", []string{"Content-Type", media, "Host", "evil.example"}, 403},
		{"a form", "", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
		{"a target", `{"target":"https://victim.example"}`, []string{"Content-Type", media}, 400},
		{"no body", "", []string{"Content-Type", media}, 400},
	} {
		resp, body := do(t, "POST", r.page.URL+Path+"api/check", test.body, test.header...)
		if resp.StatusCode != test.want {
			t.Errorf("%s: got %d %s, want %d", test.name, resp.StatusCode, body, test.want)
		}
	}
}

// TestCheckShowsNoSecret checks that the answer has neither the token, nor the secret key, nor the key
// of the window.
func TestCheckShowsNoSecret(t *testing.T) {
	t.Parallel()
	token := make(chan string, 100)
	r := newRig(t, nil)
	guarded(t, r, nil)
	guard := r.server.Config.Handler
	r.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if value := readToken(req.Header.Get("Authorization")); value.isAccessToken() && value.Issuer == r.clerk.Issuer() {
			token <- value.raw
		}
		if req.URL.Path == "/mcp" && req.Method == http.MethodPost { // a server that repeats what it gets
			w.Header().Set("WWW-Authenticate", "Bearer "+req.Header.Get("Authorization"))
		}
		guard.ServeHTTP(w, req)
	})
	_, body := postJSON(t, r.page.URL+Path+"api/check", "{}")
	for name, secret := range map[string]string{
		"token": <-token, "secret key": r.clerk.SecretKey(), "key of the window": r.probeKey,
	} {
		if strings.Contains(body, secret) {
			t.Errorf("the answer has the %s", name)
		}
	}
}
