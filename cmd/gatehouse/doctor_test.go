package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/diagnose"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// doctor runs "gatehouse doctor" with the arguments.
func (f *fixture) doctor(t *testing.T, args ...string) outcome {
	t.Helper()
	return f.run(t, t.Context(), append([]string{"doctor"}, args...)...)
}

func TestDoctorHealthy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	got := f.doctor(t, f.mcpURL)
	got.want(t, exitOK)
	for _, text := range []string{f.mcpURL + "\n", "no faults, ", "will sign in      it registers itself\n", "Passed\n  ok  The URL has the form that clients need\n"} {
		if !strings.Contains(got.stdout, text) {
			t.Errorf("stdout lacks %q:\n%s", text, got.stdout)
		}
	}
	if strings.Contains(got.stdout, "\x1b") || got.stderr != "" {
		t.Errorf("stdout has colors or stderr is not empty:\n%s\n%s", got.stdout, got.stderr)
	}
}

// TestDoctorFault checks the order of the output: the summary begins with the first thing to
// fix.
func TestDoctorFault(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.metadata.Resource += "/"
	got := f.doctor(t, f.mcpURL)
	got.want(t, exitFailure)
	lines := strings.SplitN(got.stdout, "\n", 6)
	if !strings.HasPrefix(lines[1], "1 fault, ") || lines[3] != "First fix this" ||
		!strings.Contains(lines[4], "fault  resource differs from the URL by a slash at the end (resource.slash)") {
		t.Errorf("stdout begins with\n%s", strings.Join(lines[:5], "\n"))
	}
	if got.stderr != "" {
		t.Errorf("stderr %q, want nothing", got.stderr)
	}
}

func TestDoctorJSON(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	got := f.doctor(t, "--json", f.mcpURL, "mcp.example.com/mcp")
	got.want(t, exitFailure)
	dec := json.NewDecoder(strings.NewReader(got.stdout))
	dec.DisallowUnknownFields()
	for i, want := range []string{f.mcpURL, "mcp.example.com/mcp"} {
		var report diagnose.Report
		err := dec.Decode(&report)
		if err != nil || report.Version != 1 || report.Target != want || len(report.Findings) == 0 || report.Clients == nil {
			t.Errorf("report %+v, %v, want one of %s", report, err, want)
		}
		if endpoint := i == 0; (len(report.Clients) > 0) != endpoint { // the other one is not a URL
			t.Errorf("verdicts on %d clients for %s", len(report.Clients), want)
		}
	}
}

func TestDoctorUsage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("two lines\nof text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		want string
		code int
	}{
		"timeout": {[]string{"--timeout", "0s", f.mcpURL}, "--timeout is 0s, want more than 0", exitUsage},
		"stream":  {[]string{"--stream", "-1s", f.mcpURL}, "--stream is -1s, want 0 or more", exitUsage},
		"origin": {[]string{"--origin", "https://app.example.com/", f.mcpURL},
			`--origin "https://app.example.com/" can never match`, exitUsage},
		"sign-in of two":  {[]string{"--sign-in", f.mcpURL, f.mcpURL}, "--sign-in with 2 targets, want one", exitUsage},
		"sign-in of none": {[]string{"--sign-in"}, "--sign-in with 0 targets, want one", exitUsage},
		"yes alone":       {[]string{"--yes", f.mcpURL}, "--yes without --sign-in", exitUsage},
		"org alone":       {[]string{"--org", "x", f.mcpURL}, "--org without --user", exitUsage},
		"secret without ID": {[]string{"--client-secret-file", "x", f.mcpURL},
			"--client-secret-file without --client-id", exitUsage},
		"two tokens": {[]string{"--sign-in", "--send-token-file", token, f.mcpURL}, "want one source of a token",
			exitUsage},
		"secret key as target": {[]string{"sk_test_abcdefghijklmnop"}, "the target is a secret key of Clerk", exitUsage},
		"issuer with sign-in":  {[]string{"--sign-in", "--yes", f.clerkURL}, "the target is not one", exitUsage},
		"many targets":         {slices.Repeat([]string{f.mcpURL}, 21), "got 21 targets, want at most 20", exitUsage},
		"token file":           {[]string{"--send-token-file", token, f.mcpURL}, "does not have one token", exitFailure},
		"no token file":        {[]string{"--send-token-file", token + "x", f.mcpURL}, "reading the token", exitFailure},
		"no key file":          {[]string{"--secret-key-file", token + "x", f.mcpURL}, "reading the secret key", exitFailure},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := f.doctor(t, test.args...)
			got.want(t, test.code)
			if !strings.Contains(got.stderr, test.want) || got.stdout != "" {
				t.Errorf("stderr %q, stdout %q, want %q", got.stderr, got.stdout, test.want)
			}
			if strings.Contains(got.stderr, "sk_test_abc") {
				t.Errorf("stderr shows the key: %s", got.stderr)
			}
		})
	}
}

// TestDoctorSignIn checks the sign-in of a new client: what it checks, what it leaves at the
// issuer, and that it saves nothing.
func TestDoctorSignIn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	got := f.doctor(t, "--sign-in", "--yes", "--user", "ada", "-v", f.mcpURL)
	got.want(t, exitOK)
	for _, text := range []string{"A new client can sign in", "tools/list returned 3 tools", "the token was refreshed",
		"left behind: the access token"} {
		if !strings.Contains(strings.Join(strings.Fields(got.stdout), " "), text) {
			t.Errorf("stdout lacks %q:\n%s", text, got.stdout)
		}
	}
	if n := f.count("POST /oauth/register"); n != 1 {
		t.Errorf("%d registrations, want 1", n)
	}
	if n := f.count("POST /oauth/token/revoke"); n != 1 {
		t.Errorf("%d revocations, want 1", n)
	}
	if files := f.files(t); len(files) > 0 {
		t.Errorf("%d saved sign-ins, want none", len(files))
	}
	for _, form := range f.tokens {
		for _, secret := range []string{form.Get("code"), form.Get("code_verifier"), form.Get("refresh_token")} {
			if secret != "" && strings.Contains(got.stdout+got.stderr, secret) {
				t.Errorf("the output shows a secret: %s", secret)
			}
		}
	}
}

// TestDoctorAsksToRegister checks that no client is registered without an answer.
func TestDoctorAsksToRegister(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer string
		want   int // registrations
		words  string
	}{
		"yes":     {"y\n", 1, "A new client can sign in"},
		"no":      {"n\n", 0, "you chose not to register a client"},
		"nothing": {"", 0, "you chose not to register a client"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.stdin = test.answer
			got := f.doctor(t, "--sign-in", "--user", "ada", f.mcpURL)
			got.want(t, exitOK)
			if n := f.count("POST /oauth/register"); n != test.want {
				t.Errorf("%d registrations, want %d", n, test.want)
			}
			if !strings.Contains(got.stdout, test.words) || !strings.Contains(got.stderr, "register it? [y/N]") {
				t.Errorf("stdout lacks %q, or stderr the question:\n%s\n%s", test.words, got.stdout, got.stderr)
			}
		})
	}
}

// TestDoctorSignInFails checks failures of the sign-in. Each row changes one thing of
// TestDoctorSignIn.
func TestDoctorSignInFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(f *fixture)
		want   string
		code   int
	}{
		"fault before": {func(f *fixture) { f.metadata.Resource += "/" }, "no client can sign in before this is fixed",
			exitFailure},
		"registration is rejected": {func(f *fixture) {
			f.interceptClerk = func(w http.ResponseWriter, req *http.Request) bool {
				if req.URL.Path != "/oauth/register" || req.Method != http.MethodPost {
					return false
				}
				http.Error(w, `{"error":"invalid_client_metadata"}`, http.StatusBadRequest)
				return true
			}
		}, "The sign-in of a new client fails (signin.failed)", exitFailure},
		"refresh is rejected": {func(f *fixture) {
			f.interceptClerk = func(w http.ResponseWriter, req *http.Request) bool {
				// The fixture has recorded the form.
				if req.URL.Path != "/oauth/token" || f.tokens[len(f.tokens)-1].Get("grant_type") != "refresh_token" {
					return false
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusBadRequest)
				w.Write([]byte(`{"error":"invalid_grant"}`))
				return true
			}
		}, "The token cannot be refreshed (signin.refresh)", exitFailure},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			test.change(f)
			got := f.doctor(t, "--sign-in", "--yes", "--user", "ada", f.mcpURL)
			got.want(t, test.code)
			if !strings.Contains(strings.Join(strings.Fields(got.stdout), " "), test.want) {
				t.Errorf("stdout lacks %q:\n%s", test.want, got.stdout)
			}
		})
	}
}

// TestDoctorEntra checks an error that Microsoft Entra ID shows on a page only.
func TestDoctorEntra(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.interceptClerk = func(w http.ResponseWriter, req *http.Request) bool {
		if req.URL.Path != "/oauth/authorize" {
			return false
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write([]byte(`<html><script>$Config={"strServiceExceptionMessage":"AADSTS9010010: The resource parameter provided in ` +
			`the request doesn&#39;t match with the requested scopes. Trace ID: 1"}</script></html>`))
		return true
	}
	got := f.doctor(t, "--sign-in", "--client-id", "c1", f.mcpURL)
	got.want(t, exitFailure)
	text := strings.Join(strings.Fields(got.stdout), " ")
	for _, want := range []string{
		"The resource parameter and the scopes name different applications (AADSTS9010010) (signin.failed)",
		"doesn't match with the requested scopes", "set the Application ID URI to the URL of the MCP endpoint",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("stdout lacks %q:\n%s", want, got.stdout)
		}
	}
	if f.opened != 0 {
		t.Errorf("the browser was opened %d times, want 0", f.opened)
	}
}

// TestDoctorDeletesClient checks a provider that lets a client delete itself (RFC 7592).
func TestDoctorDeletesClient(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	deleted := 0
	f.editJSON = func(path string, document map[string]any) {
		if path == "/oauth/register" {
			document["registration_client_uri"] = f.clerkURL + "/oauth/register/c1"
			document["registration_access_token"] = "manage-it"
		}
	}
	f.interceptClerk = func(w http.ResponseWriter, req *http.Request) bool {
		if req.Method != http.MethodDelete {
			return false
		}
		if req.URL.Path == "/oauth/register/c1" && req.Header.Get("Authorization") == "Bearer manage-it" {
			deleted++
		}
		w.WriteHeader(http.StatusNoContent)
		return true
	}
	got := f.doctor(t, "--sign-in", "--yes", "--user", "ada", "-v", f.mcpURL)
	got.want(t, exitOK)
	if deleted != 1 || strings.Contains(got.stdout, "the client \"") || strings.Contains(got.stdout+got.stderr, "manage-it") {
		t.Errorf("%d deletions, want 1, and nothing about a client that is left:\n%s", deleted, got.stdout)
	}
}

// TestDoctorSecretKey checks that the settings of the instance are read with its key, and that
// the key is not shown.
func TestDoctorSecretKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	settings := localclerk.DefaultSettings()
	settings.OAuthJWTAccessTokens = false
	f.restartClerk(t, &settings)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(f.clerk.SecretKey()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.env = map[string]string{"CLERK_API_URL": f.clerkURL}
	got := f.doctor(t, "--secret-key-file", key, f.mcpURL)
	got.want(t, exitOK)
	if !strings.Contains(got.stdout, "clerk.opaque") || strings.Contains(got.stdout, f.clerk.SecretKey()) {
		t.Errorf("stdout lacks clerk.opaque, or shows the key:\n%s", got.stdout)
	}
}

func TestDescribeReport(t *testing.T) {
	t.Parallel()
	report := &diagnose.Report{
		Target: "https://h\x1b[2J/mcp",
		Findings: []diagnose.Finding{
			{ID: "url", Level: diagnose.OK, Title: "The URL is fine", Evidence: "seen"},
			{ID: "resource.slash", Level: diagnose.Fault, Title: "A slash", Evidence: strings.Repeat("word ", 40),
				Consequence: "stops", Fix: "remove it"},
		},
		Clients: []diagnose.Client{
			{Name: "Claude", Verdict: diagnose.WillNotSignIn, Why: "compares it"},
			{Name: "A client with a long name indeed", Verdict: diagnose.Unknown, Why: "it is unknown"},
		},
	}
	text := describeReport(report, false, false)
	for _, line := range strings.Split(text, "\n") {
		if len(line) > lineWidth {
			t.Errorf("line of %d characters: %q", len(line), line)
		}
	}
	const clients = "\nClients\n" +
		"  Claude                            will not sign in  compares it\n" +
		"  A client with a long name indeed  unknown           it is unknown\n"
	if strings.Contains(text, "\x1b") || !strings.Contains(text, clients) {
		t.Errorf("text has control characters, or no table of the clients:\n%s", text)
	}
	colored := describeReport(report, true, true)
	if !strings.Contains(colored, "\x1b[31m\x1b[1mfault\x1b[0m") || strings.Contains(colored,
		"\x1b[2J") || !strings.Contains(colored, "seen:   seen") {
		t.Errorf("text has no colors, or what the target has in it:\n%q", colored)
	}
}

// TestStdoutColor checks when the report has colors.
func TestStdoutColor(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		terminal bool
		env      map[string]string
		want     bool
	}{
		"terminal": {true, nil, true},
		"pipe":     {false, nil, false},
		"NO_COLOR": {true, map[string]string{"NO_COLOR": "1"}, false},
		"dumb":     {true, map[string]string{"TERM": "dumb"}, false},
	} {
		con := &console{stdoutIsTerminal: test.terminal, getenv: func(name string) string { return test.env[name] }}
		if got := con.stdoutColor(); got != test.want {
			t.Errorf("%s: stdoutColor = %t, want %t", name, got, test.want)
		}
	}
}

// TestProgressLine checks that progress is shown on a terminal only, and is replaced.
func TestProgressLine(t *testing.T) {
	t.Parallel()
	for _, terminal := range []bool{true, false} {
		var stderr strings.Builder
		con := &console{stderr: &stderr, stderrIsTerminal: terminal}
		con.progress("connecting to h\x1b[2J")
		con.endProgress()
		want := ""
		if terminal {
			want = "\r\x1b[K" + "connecting to h"
		}
		if got := stderr.String(); !strings.HasPrefix(got, want) || terminal != (got != "") || strings.Contains(got, "\x1b[2J") {
			t.Errorf("terminal %t: %q, want it to begin with %q", terminal, got, want)
		}
		if got := con.currentActivity(); !strings.HasPrefix(got, "connecting to h") {
			t.Errorf("activity %q", got)
		}
	}
}

// TestDoctorTokenForQuery explains a token for an endpoint whose URL has a query: the audience has the
// query too, and the report does not.
func TestDoctorTokenForQuery(t *testing.T) {
	t.Parallel()
	const key = "the-secret-key"
	for _, test := range []struct {
		name, audience string // the query of the audience
		want           string
	}{
		{"control", "?key=" + key, "The token is for this server"},
		{"another query", "?key=other", "The token is not for this server"},
		{"no query", "", "they differ only in the query"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			endpoint := f.mcpURL
			f.metadata.Resource = endpoint + "?key=" + key
			token, err := f.clerk.IssueToken(localclerk.Token{Resource: endpoint + test.audience})
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "token")
			if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
				t.Fatal(err)
			}
			got := f.doctor(t, "--token-file", file, "-v", endpoint+"?key="+key)
			if !strings.Contains(got.stdout, test.want) || strings.Contains(got.stdout+got.stderr, key) {
				t.Errorf("want %q, and no key, in:\n%s%s", test.want, got.stdout, got.stderr)
			}
		})
	}
}
