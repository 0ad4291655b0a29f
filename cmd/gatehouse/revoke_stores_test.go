//go:build stores

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
	"github.com/gatehouse-mcp/gatehouse/internal/teststore"
)

// startRedis starts an empty redis-server with a password, and returns a file with its URL.
func startRedis(t *testing.T) (urlFile string) {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatalf("%v; install Debian's redis-server", err)
	}
	addr, port := teststore.FreeAddr(t)
	folder := t.TempDir()
	teststore.NewProcess(t, addr, folder, nil, path, "--bind", "127.0.0.1", "--port", port, "--dir", folder,
		"--appendonly", "no", "--save", "", "--requirepass", "hunter2").Start(t)
	urlFile = filepath.Join(folder, "url")
	if err := os.WriteFile(urlFile, []byte("redis://:hunter2@"+addr+"/0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return urlFile
}

// A user who is revoked on the command line is shut out of two gateways and others
// are not.
func TestRevokeShutsAUserOut(t *testing.T) {
	f := newFixture(t)
	urlFile := startRedis(t)
	var urls, files []string
	for range 2 {
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "gateway.yaml")
		text := fmt.Sprintf("listen: localhost:%s\noperator: {listen: \"localhost:0\"}\nrevocations: {redis_url_file: %q}\n"+
			"provider: {name: clerk, frontend_api_url: %q}\nendpoints: [{url: \"http://localhost:%s/mcp\", upstream: %q}]\n",
			port, urlFile, f.clerkURL, port, newOpenServer(t))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		startSharing(t, file)
		urls, files = append(urls, "http://localhost:"+port+"/mcp"), append(files, file)
	}
	var subject string
	for _, url := range urls {
		got := f.call(t, url, "whoami", "--user", "ada")
		got.want(t, exitOK)
		subject = regexp.MustCompile(`user_\w+`).FindString(got.stdout)
		f.call(t, url, "whoami", "--user", "grace").want(t, exitOK)
	}

	out := runRevoke(t, exitOK, "--config", files[0], "--subject", subject, "--for", "1h")
	if want := "revoked: subject=" + subject + " issuer=" + f.clerkURL + " until="; !strings.HasPrefix(out, want) {
		t.Errorf("got %q, want %q", out, want)
	}
	for _, url := range urls {
		deadline := time.Now().Add(20 * time.Second) // more than the second that is promised, for a busy machine
		for got := f.call(t, url, "whoami", "--user", "ada"); got.code == exitOK; got = f.call(t, url, "whoami", "--user", "ada") {
			if time.Now().After(deadline) {
				t.Fatalf("%s: the revoked user is let through:\n%s", url, got.stdout)
			}
		}
		f.call(t, url, "whoami", "--user", "grace").want(t, exitOK)
	}
	if out := runRevoke(t, exitOK, "--redis-url-file", urlFile, "--list"); !strings.Contains(out, "subject="+subject+" ") {
		t.Errorf("got the list %q, want the user", out)
	}
	if out := runRevoke(t, exitFailure, "--redis-url-file", urlFile, "--create-tables"); !strings.Contains(out, "needs no tables") {
		t.Errorf("got %q, want that Redis needs no tables", out)
	}
}

// startSharing starts a gateway with the file, until t ends.
func startSharing(t *testing.T, file string) {
	t.Helper()
	var stderr testlog.Buffer
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	con := &console{stdout: &stderr, stderr: &stderr, getenv: func(string) string { return "" }}
	go func() { ended <- run(ctx, con, []string{"gateway", "--config", file}) }()
	t.Cleanup(func() { stop(); <-ended })
	if _, err := stderr.Wait(t.Context(), regexp.MustCompile("sharing revocations through Redis at 127.0.0.1:[^\x00]*Ctrl-C stops")); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(stderr.String(), "hunter2") {
		t.Errorf("the log has the password:\n%s", stderr.String())
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
