package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
)

// A gateway without a store shuts a user out that is revoked through its operator port, also after its file has
// changed, and forgets it when it is restarted, as it says.
func TestRevokeThroughTheOperatorPort(t *testing.T) {
	f := newFixture(t)
	folder := t.TempDir()
	keyFile, file := filepath.Join(folder, "key"), filepath.Join(folder, "gateway.yaml")
	if err := os.WriteFile(keyFile, []byte(strings.Repeat("k", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	operatorPort, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	url, backend := "http://localhost:"+port+"/mcp", newOpenServer(t)
	write := func(name string) {
		text := fmt.Sprintf("listen: localhost:%s\noperator: {listen: \"localhost:%s\", revoke_key_file: key}\n"+
			"provider: {name: clerk, frontend_api_url: %q}\nendpoints: [{url: %q, upstream: %q, name: %s}]\n",
			port, operatorPort, f.clerkURL, url, backend, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	g := startGatewayFile(t, file, "keeping revocations in memory: no other gateway knows them, and a restart forgets them")
	got := f.call(t, url, "whoami", "--user", "ada")
	got.want(t, exitOK)
	subject := regexp.MustCompile(`user_\w+`).FindString(got.stdout)

	out := runRevoke(t, exitOK, "--config", file, "--subject", subject, "--for", "1h")
	if want := "revoked: subject=" + subject + " issuer=" + f.clerkURL + " until="; !strings.HasPrefix(out, want) {
		t.Errorf("got %q, want %q", out, want)
	}
	f.awaitRejected(t, url, "ada")
	f.call(t, url, "whoami", "--user", "grace").want(t, exitOK)
	for _, args := range [][]string{{"--config", file}, {"--operator", "http://localhost:" + operatorPort, "--operator-key-file", keyFile}} {
		if out := runRevoke(t, exitOK, append(args, "--list")...); !strings.Contains(out, "subject="+subject+" ") {
			t.Errorf("%s: got the list %q, want the user", args, out)
		}
	}
	write("second")
	if _, err := g.stderr.Wait(t.Context(), regexp.MustCompile("config file applied")); err != nil {
		t.Fatal(err)
	}
	f.awaitRejected(t, url, "ada")
	g.stop()
	if out := runRevoke(t, exitFailure, "--config", file, "--list"); !strings.Contains(out, "no operator port listens at http://localhost:"+operatorPort) {
		t.Errorf("got %q, want that no gateway runs", out)
	}
	startGatewayFile(t, file, "keeping revocations in memory")
	f.call(t, url, "whoami", "--user", "ada").want(t, exitOK)
	if out := runRevoke(t, exitOK, "--config", file, "--list", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("got the list %q after a restart, want none", out)
	}
}

// Each command line changes one thing of one that reaches no gateway.
func TestRevokeOperatorFaults(t *testing.T) {
	t.Parallel()
	_, file := filesOfTest(t)
	key, short := file("key", strings.Repeat("k", 32)), file("short", strings.Repeat("k", 31))
	const rest = "provider: {name: oidc, issuer: \"https://issuer.example.com\"}\nendpoints: [{url: \"https://mcp.example.com/mcp\", upstream: \"http://localhost:8000\"}]\n"
	config := func(name, listen string) string {
		return file(name, fmt.Sprintf("operator: {listen: %q, revoke_key_file: key}\n%s", listen, rest))
	}
	for name, tt := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"control": {[]string{"--operator", "http://127.0.0.1:1", "--operator-key-file", key, "--subject", "user_1"}, exitFailure,
			[]string{"no operator port listens at http://127.0.0.1:1", "hint: start the gateway with operator:"}},
		"control, file": {[]string{"--config", config("a.yaml", ":1"), "--subject", "user_1"}, exitFailure,
			[]string{"no operator port listens at http://localhost:1"}},
		"no key": {[]string{"--operator", "http://127.0.0.1:1", "--subject", "user_1"}, exitUsage,
			[]string{"--operator is set without --operator-key-file", "hint: add --operator-key-file FILE"}},
		"key alone":       {[]string{"--operator-key-file", key, "--subject", "user_1"}, exitUsage, []string{"--operator-key-file has no effect without --operator"}},
		"short key":       {[]string{"--operator", "http://127.0.0.1:1", "--operator-key-file", short, "--subject", "user_1"}, exitUsage, []string{"has a key of 31 bytes, want at least 32"}},
		"another machine": {[]string{"--operator", "http://10.0.0.7:9090", "--operator-key-file", key, "--list"}, exitUsage, []string{"is not on this machine", "kubectl port-forward"}},
		"tables":          {[]string{"--operator", "http://127.0.0.1:1", "--operator-key-file", key, "--create-tables"}, exitUsage, []string{"--create-tables has no effect with --operator"}},
		"tables of a file": {[]string{"--config", config("b.yaml", ":1"), "--create-tables"}, exitUsage,
			[]string{"--create-tables has no effect without postgres_url"}},
		"free port": {[]string{"--config", config("c.yaml", "localhost:0"), "--list"}, exitUsage, []string{"has no fixed port", "use --operator URL"}},
		"address of this machine": {[]string{"--config", config("d.yaml", "10.0.0.7:9090"), "--list"}, exitFailure,
			[]string{`operator.listen "10.0.0.7:9090"`, "is not on this machine"}},
		"neither": {[]string{"--config", file("e.yaml", rest), "--subject", "user_1"}, exitFailure,
			[]string{"has no section revocations", "operator: {listen: localhost:9090, revoke_key_file: FILE}"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := runRevoke(t, tt.code, tt.args...)
			for _, want := range tt.want {
				if !strings.Contains(out, want) {
					t.Errorf("got\n%s\nwant %s", out, want)
				}
			}
			if strings.Contains(out, "kkkk") {
				t.Errorf("the key is shown:\n%s", out)
			}
		})
	}
}

// filesOfTest returns a new folder, and a function that writes a file into it and returns the path.
func filesOfTest(t *testing.T) (folder string, file func(name, text string) string) {
	folder = t.TempDir()
	return folder, func(name, text string) string {
		t.Helper()
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
}

// gatewayRun is a gateway that a test has started with a file.
type gatewayRun struct {
	stderr testlog.Buffer
	stop   func() // ends it and waits
}

// startGatewayFile starts a gateway with the file, until t ends. Its output must have the words, which are a regular
// expression, before it serves.
func startGatewayFile(t *testing.T, file, words string) *gatewayRun {
	t.Helper()
	g := &gatewayRun{}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	con := &console{stdout: &g.stderr, stderr: &g.stderr, getenv: func(string) string { return "" }}
	go func() { defer close(ended); run(ctx, con, []string{"gateway", "--config", file}) }()
	g.stop = func() { stop(); <-ended }
	t.Cleanup(g.stop)
	if _, err := g.stderr.Wait(t.Context(), regexp.MustCompile(words+"[^\x00]*Ctrl-C stops")); err != nil {
		t.Fatal(err)
	}
	return g
}

// awaitRejected calls a tool as the user until that fails.
func (f *fixture) awaitRejected(t *testing.T, url, user string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second) // more than the second that is promised, for a busy machine
	for got := f.call(t, url, "whoami", "--user", user); got.code == exitOK; got = f.call(t, url, "whoami", "--user", user) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: the revoked user is let through:\n%s", url, got.stdout)
		}
	}
}

// runRevoke runs "gatehouse revoke" and returns what it writes.
func runRevoke(t *testing.T, wantCode int, args ...string) string {
	t.Helper()
	var out, stderr testlog.Buffer
	con := &console{stdout: &out, stderr: &stderr, getenv: func(string) string { return "" }}
	if code := run(t.Context(), con, append([]string{"revoke"}, args...)); code != wantCode {
		t.Errorf("revoke %q: got status %d, want %d:\n%s", args, code, wantCode, stderr.String())
	}
	return out.String() + map[bool]string{true: stderr.String()}[wantCode != exitOK]
}
