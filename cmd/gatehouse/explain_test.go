package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/diagnose"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// runWith runs a command with the standard input stdin.
func runWith(t *testing.T, stdin io.Reader, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	con := &console{
		stdin: stdin, stdout: &stdout, stderr: &stderr,
		getenv:    func(string) string { return "" },
		configDir: func() (string, error) { return t.TempDir(), nil },
	}
	code := run(t.Context(), con, args)
	return outcome{code, stdout.String(), stderr.String()}
}

// tokensOf returns a valid token for the fixture's server, one for another server and an ID token.
func tokensOf(t *testing.T, f *fixture) (valid, other, id string) {
	t.Helper()
	issue := func(token localclerk.Token) string {
		token.User = "ada"
		text, err := f.clerk.IssueToken(token)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	return issue(localclerk.Token{Resource: f.mcpURL}), issue(localclerk.Token{Resource: "https://other.example/mcp"}),
		issue(localclerk.Token{Kind: localclerk.IDToken, Resource: f.mcpURL})
}

// TestExplain checks what is printed about a token, and that its signature is not.
func TestExplain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	valid, other, id := tokensOf(t, f)
	for _, test := range []struct {
		name, token string
		args        []string
		code        int
		want        []string
	}{
		{"alone", valid, nil, exitOK, []string{"This is an access token. No rule that was checked rejects it", "--keys"}},
		{"with keys", valid, []string{"--keys"}, exitOK, []string{"The signature is by a key of the issuer"}},
		{"at its server", valid, []string{"--target", f.mcpURL}, exitOK, []string{"This is an access token. The server accepts it."}},
		{"at another server", other, []string{"--target", f.mcpURL}, exitFailure,
			[]string{"The server rejects it with the reason wrong_audience.", "Fix: ", "https://other.example/mcp"}},
		{"at another resource", valid, []string{"--resource", "https://mcp.example.com/mcp", "--issuer", f.clerkURL}, exitFailure,
			[]string{"wrong_audience"}},
		{"of another issuer", valid, []string{"--issuer", "https://issuer.example.com"}, exitFailure, []string{"wrong_issuer"}},
		{"ID token", id, nil, exitFailure, []string{"This is an ID token, not an access token.", "Fix: send the access_token", "ada@example.com"}},
		{"in quotes", `"Bearer ` + valid + `"`, nil, exitFailure, []string{"The text is more than a token"}},
	} {
		got := runWith(t, strings.NewReader(test.token+"\n"), append([]string{"explain", "-"}, test.args...)...)
		if got.code != test.code {
			t.Errorf("%s: got status %d, want %d\n%s%s", test.name, got.code, test.code, got.stdout, got.stderr)
		}
		for _, want := range test.want {
			if !strings.Contains(got.stdout, want) {
				t.Errorf("%s: the output has no %q:\n%s", test.name, want, got.stdout)
			}
		}
		text := strings.Trim(strings.TrimPrefix(test.token, `"Bearer `), `"`)
		for part := range strings.SplitSeq(text, ".") {
			if strings.Contains(got.stdout+got.stderr, part) {
				t.Errorf("%s: a part of the token was printed:\n%s%s", test.name, got.stdout, got.stderr)
			}
		}
	}
}

// TestExplainJSON checks the members of the JSON output, with a token from a file.
func TestExplainJSON(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, other, _ := tokensOf(t, f)
	file := filepath.Join(t.TempDir(), "token.txt")
	if isTokenInFileFlag(file) || isTokenInFileFlag("eyeglasses.txt") {
		t.Error("the name of a file is taken for a token")
	}
	if err := os.WriteFile(file, []byte(other+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := runWith(t, strings.NewReader(""), "explain", "--json", "--target", f.mcpURL, "--token-file", file)
	var report struct {
		Version int
		Target  string
		diagnose.TokenReport
	}
	decoder := json.NewDecoder(strings.NewReader(got.stdout))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&report); err != nil || got.code != exitFailure {
		t.Fatalf("status %d, %v:\n%s%s", got.code, err, got.stdout, got.stderr)
	}
	if report.Version != diagnose.Version || report.Target != f.mcpURL || report.Reason != "wrong_audience" ||
		len(report.Findings) < 10 || len(report.Claims) < 5 {
		t.Errorf("got %+v, want the report on %s", report, f.mcpURL)
	}
}

// TestTokenArguments checks that a token on the command line is rejected, and not printed.
func TestTokenArguments(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	valid, _, _ := tokensOf(t, f)
	for _, text := range []string{
		valid, "Bearer " + valid, "oat_0ef5a7a33d87ed87ee7954c845d80450", "sk_test_0ef5a7a33d87ed87ee7954c845d80450", strings.Repeat("x", 100),
	} {
		for _, args := range [][]string{
			{"explain", text}, {"explain", "-", text}, {"explain", "--token-file", text}, {"explain", "--target", text}, {"explain", "--issuer", text},
			{"explain", "--resource", text}, {"doctor", "--token", text, f.mcpURL}, {"doctor", "--token-file", text, f.mcpURL},
		} {
			got := runWith(t, strings.NewReader(""), args...)
			if got.code != exitUsage || !strings.Contains(got.stderr, "got a token as an argument") || !strings.Contains(got.stderr, "--token-file FILE") {
				t.Errorf("%.30q: got status %d and %s, want that the token is rejected", args, got.code, got.stderr)
			}
			if strings.Contains(got.stdout+got.stderr, text[len(text)-20:]) {
				t.Errorf("%.30q: the token was printed: %s%s", args, got.stdout, got.stderr)
			}
		}
	}
}

// TestExplainUsage checks the errors of the command line.
func TestExplainUsage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"explain", "https://mcp.example.com/mcp"}, exitUsage, "pass the URL of the server with --target"},
		{[]string{"explain", "x"}, exitUsage, `"-" to read standard input`},
		{[]string{"explain", "-", "-"}, exitUsage, "got 2 arguments"},
		{[]string{"explain", "-", "--token-file", "x"}, exitUsage, `got "-" in addition to --token-file`},
		{[]string{"explain", "-", "--target", "https://a.example/mcp", "--issuer", "https://b.example"}, exitUsage,
			"the metadata of the target names both"},
		{[]string{"explain", "-", "--target", "mcp.example.com"}, exitUsage, "has no scheme"},
		{[]string{"explain", "--token-file", "missing.txt"}, exitFailure, "reading the token"},
		{[]string{"explain", "-", "--target", "http://localhost:1/mcp"}, exitFailure, `"gatehouse doctor http://localhost:1/mcp" explains`},
		{[]string{"explain", "-", "--resource", "mcp.example.com"}, exitFailure, "is not an absolute URL"},
		{[]string{"doctor", "--token", "-", "--token-file", "x", "https://a.example/mcp"}, exitUsage, "want one source of a token"},
	} {
		got := runWith(t, strings.NewReader("x"), test.args...)
		if got.code != test.code || !strings.Contains(got.stderr, test.want) {
			t.Errorf("%q: got status %d and %s, want %d and %q", test.args, got.code, got.stderr, test.code, test.want)
		}
	}
	got := runWith(t, strings.NewReader(strings.Repeat("x", diagnose.MaxTokenText+1)), "explain", "-")
	if got.code != exitFailure || !strings.Contains(got.stderr, "want one token") {
		t.Errorf("got status %d and %s, want that the text is too long", got.code, got.stderr)
	}
}

// TestDoctorExplainsToken checks that doctor adds the findings about a token to those about its
// target, and does not send it.
func TestDoctorExplainsToken(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, other, _ := tokensOf(t, f)
	f.resetCounts()
	got := runWith(t, strings.NewReader(other), "doctor", "--json", "--token", "-", f.mcpURL)
	var report diagnose.Report
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil {
		t.Fatalf("%v:\n%s%s", err, got.stdout, got.stderr)
	}
	found := false
	for _, finding := range report.Findings {
		found = found || finding.ID == "token.audience" && finding.Level == diagnose.Fault
	}
	if !found || got.code != exitFailure {
		t.Errorf("got status %d and %+v, want the fault token.audience", got.code, report.Findings)
	}
}
