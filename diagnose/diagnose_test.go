package diagnose_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse/diagnose"
)

// TestTargets checks what cannot be a target. The error must not repeat it.
func TestTargets(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ target, want string }{
		"secret key":      {"sk_test_abcdefghijklmnop", "the target is a secret key of Clerk"},
		"opaque token":    {"oat_abcdefghijklmnop", "the target is a token or a key"},
		"JWT":             {"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "the target is a token or a key"},
		"with the scheme": {"Bearer abcdef", "the target is a token or a key"},
		"white space":     {"https://mcp.example.com/mcp ", "the target contains white space"},
		"too long": {"https://mcp.example.com/" + strings.Repeat("x", 2048),
			"the target is 2072 bytes long, want at most 2048"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, err := diagnose.Run(t.Context(), diagnose.Config{}, test.target)
			var wrong *diagnose.TargetError
			if !errors.As(err, &wrong) || !strings.Contains(wrong.Problem, test.want) || report != nil {
				t.Fatalf("Run = %v, %v, want %q", report, err, test.want)
			}
			if strings.Contains(err.Error(), test.target) {
				t.Errorf("the error repeats the target: %v", err)
			}
		})
	}
}

// TestReportJSON checks that the JSON of a report has exactly the documented members.
func TestReportJSON(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.target = "mcp.example.com"
	text, err := json.Marshal(r.run())
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	members := func(v any) []string {
		var names []string
		for name := range v.(map[string]any) {
			names = append(names, name)
		}
		slices.Sort(names)
		return names
	}
	if diff := cmp.Diff([]string{"clients", "findings", "target", "version"}, members(got)); diff != "" {
		t.Errorf("members of the report (-want +got):\n%s", diff)
	}
	findings := got["findings"].([]any)
	want := []string{"consequence", "evidence", "fix", "id", "level", "title"}
	for _, f := range findings {
		if diff := cmp.Diff(want, members(f)); diff != "" {
			t.Errorf("members of a finding (-want +got):\n%s", diff)
		}
	}
	if len(findings) == 0 || got["clients"] == nil || got["version"] != 1.0 {
		t.Errorf("report %s, want findings, a list of clients and the version 1", text)
	}
	client, err := json.Marshal(diagnose.Client{Name: "n", Verdict: diagnose.Unknown, Why: "w"})
	if string(client) != `{"name":"n","verdict":"unknown","why":"w"}` || err != nil {
		t.Errorf("client %s, %v", client, err)
	}
}

// TestDoesNotChangeAnything checks that nothing is registered, and that a run sends few requests.
func TestDoesNotChangeAnything(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var n atomic.Int32
	var seen sync.Map
	r.config.Origin = "https://app.example.com"
	r.config.HTTPClient = &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		n.Add(1)
		if req.URL.Host == "issuer.example.com" {
			seen.Store(req.Method, true)
		}
		return r.hosts.RoundTrip(req)
	})}
	wantHealthy(t, r.run())
	seen.Range(func(method, _ any) bool {
		if method != http.MethodGet && method != http.MethodOptions {
			t.Errorf("the issuer got %s, want GET and OPTIONS only", method)
		}
		return true
	})
	if got := n.Load(); got > 50 {
		t.Errorf("%d requests, want at most 50", got)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// TestSecretsAreNotShown checks a server that repeats the token in its answers.
func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.config.Token = "the-secret-token-of-ada"
	f := newForeign(issuerURL)
	f.reject = func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set(authHeader, f.challenge+`, error="invalid_token", error_description="`+req.Header.Get(tokenHeader)+`"`)
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, "unknown token "+req.Header.Get(tokenHeader))
	}
	r.server = f
	report := r.run()
	want(t, report, "revisions.rejected", diagnose.Fault)
	wantNoSecret(t, report, string(r.config.Token))
	if text := fmt.Sprintf("%+v", r.config); strings.Contains(text, string(r.config.Token)) {
		t.Errorf("the configuration prints the token: %s", text)
	}
}

// TestQueryIsNotShown checks a server whose URL has a key in it.
func TestQueryIsNotShown(t *testing.T) {
	t.Parallel()
	const query = "?api_key=hush-hush"
	r := newRig(t)
	r.target = mcpURL + query
	f := newForeign(issuerURL).document(func(d map[string]any) { d["resource"] = mcpURL + query })
	f.challenge = `Bearer resource_metadata="` + mcpOrigin + prmPath + query + `", scope="profile email"`
	r.server = f
	report := r.run()
	wantHealthy(t, report)
	wantNoSecret(t, report, "hush-hush")
	if report.Target != mcpURL+"?[redacted]" {
		t.Errorf("target %q", report.Target)
	}
}

// TestForeignDocuments checks that a document of another machine cannot make Run connect to
// this one.
func TestForeignDocuments(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	local := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	t.Cleanup(local.Close)
	for name, set := range map[string]func(r *rig){
		"challenge": func(r *rig) { r.server = challenging(`Bearer resource_metadata="` + local.URL + prmPath + `"`) },
		"issuer":    func(r *rig) { r.server = newForeign(local.URL) },
		"keys":      func(r *rig) { r.issuer.metadata["jwks_uri"] = local.URL + "/jwks" },
		"registration": func(r *rig) {
			r.issuer.metadata["registration_endpoint"] = local.URL + "/register"
		},
		"redirect": func(r *rig) { r.front(at(redirect(local.URL+"/"), prmPath, prmRoot)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			set(r)
			r.hosts[local.URL] = local.Config.Handler
			if f := first(t, r.run()); f.Level != diagnose.Fault {
				t.Errorf("first is %+v, want a fault", f)
			}
			if n := requests.Load(); n != 0 {
				t.Errorf("%d requests to this machine, want none", n)
			}
		})
	}
	t.Run("name that leads to this machine", func(t *testing.T) {
		// The dialer sees the address, whatever the name was.
		err := diagnose.ForeignGet(t.Context(), local.URL)
		if err == nil || !strings.Contains(err.Error(), "leads to this one") || requests.Load() != 0 {
			t.Errorf("GET = %v after %d requests, want an error and none", err, requests.Load())
		}
	})
}

// TestReach checks which hosts a document may name, by the host of the target.
func TestReach(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		target, issuer string
		want           string // ID of the first finding, or "" for none
	}{
		{mcpURL, issuerURL, ""},
		{mcpURL, "https://10.0.0.7", "issuer.local"},
		{mcpURL, "https://keycloak.internal", "issuer.local"},
		{mcpURL, "https://keycloak", "issuer.local"},
		{mcpURL, "https://169.254.169.254", "issuer.local"},
		{"https://10.0.0.7/mcp", issuerURL, ""},
		{"https://10.0.0.7/mcp", "https://keycloak.internal", ""},
		{"https://10.0.0.7/mcp", "https://localhost:8443", "issuer.local"},
		{"https://mcp.internal/mcp", "http://127.0.0.1:8080", "issuer.local"},
	} {
		t.Run(test.target+" names "+test.issuer, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			origin := strings.TrimSuffix(test.target, "/mcp")
			f := newForeign(test.issuer).document(func(d map[string]any) { d["resource"] = test.target })
			f.challenge = `Bearer resource_metadata="` + origin + prmPath + `", scope="profile email"`
			r.hosts[origin], r.target, r.issuer = f, test.target, newIssuer(test.issuer)
			report := r.run()
			if test.want == "" {
				wantHealthy(t, report)
			} else if got := first(t, report); got.ID != test.want {
				t.Errorf("first is %s, want %s:\n%s", got.ID, test.want, describe(report))
			}
		})
	}
}

// TestBounds checks servers that send too much or never end.
func TestBounds(t *testing.T) {
	t.Parallel()
	endless := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", jsonType)
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat(" ", 1<<16)); err != nil {
				return
			}
		}
	}
	for name, set := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"endless metadata": {endless, "metadata.not_json"},
		"redirects without an end": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
		}, "metadata.redirect"},
		"deep JSON": {func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, strings.Repeat(`{"a":`, 100_000)+"1"+strings.Repeat("}", 100_000))
		}, "metadata.not_json"},
		"a hundred thousand issuers": {func(w http.ResponseWriter, _ *http.Request) {
			sendJSON(w, map[string]any{"resource": "", "authorization_servers": make([]string, 100_000)})
		}, "resource.missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newForeign("http://localhost:1")
			mux := http.NewServeMux()
			mux.Handle("/", f)
			mux.HandleFunc("/.well-known/", set.handler)
			server := httptest.NewServer(mux)
			t.Cleanup(server.Close)
			f.challenge = `Bearer resource_metadata="` + server.URL + prmPath + `"`
			f.documents = nil
			report := run(t, diagnose.Config{RequestTimeout: 5 * time.Second}, server.URL+"/mcp")
			if got := first(t, report); got.ID != set.want {
				t.Errorf("first is %s, want %s:\n%s", got.ID, set.want, describe(report))
			}
			for _, finding := range report.Findings {
				if len(finding.Evidence) > 2000 {
					t.Errorf("%s has an evidence of %d bytes", finding.ID, len(finding.Evidence))
				}
			}
		})
	}
}

// TestCanceled checks that a run ends with its context, and that a report is still returned.
func TestCanceled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	r := newRig(t)
	r.config.HTTPClient = &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		cancel()
		<-req.Context().Done()
		return nil, req.Context().Err()
	})}
	report, err := diagnose.Run(ctx, r.config, r.target)
	if err != nil {
		t.Fatal(err)
	}
	want(t, report, "connect.timeout_run", diagnose.Fault)
}

// TestProgress checks that the steps are announced, one at a time.
func TestProgress(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var steps []string
	r.config.Progress = func(s string) { steps = append(steps, s) }
	wantHealthy(t, r.run())
	if len(steps) < 4 || steps[0] != "connecting to mcp.example.com" {
		t.Errorf("steps %q", steps)
	}
}

// TestConcurrentRuns runs several at the same time, for the race detector.
func TestConcurrentRuns(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			report, err := diagnose.Run(t.Context(), r.config, r.target)
			if err != nil || report.First() != nil {
				t.Errorf("Run = %v, %v", report, err)
			}
		})
	}
	wait.Wait()
}

// TestExplainEntra checks that a code is not found in a longer one.
func TestExplainEntra(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"AADSTS9010010: The resource parameter provided in the request doesn't match": "entra.aadsts9010010",
		"invalid_request: AADSTS901002: The 'resource' request parameter":             "entra.aadsts901002",
		"AADSTS65001": "entra.aadsts65001", "AADSTS650053: x": "entra.aadsts650053", "AADSTS900144:": "entra.aadsts900144",
		"AADSTS9010011": "", "invalid_scope": "",
	} {
		got, ok := diagnose.ExplainEntra(text)
		if got.ID != want || ok != (want != "") || ok && (got.Title == "" || got.Fix == "") {
			t.Errorf("ExplainEntra(%q) = %+v, %t, want %q", text, got, ok, want)
		}
	}
}
