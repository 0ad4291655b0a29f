//go:build stores

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

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
		g := startGatewayFile(t, file, `sharing revocations through Redis at 127\.0\.0\.1:`)
		if strings.Contains(g.stderr.String(), "hunter2") {
			t.Errorf("the log has the password:\n%s", g.stderr.String())
		}
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
		f.awaitRejected(t, url, "ada")
		f.call(t, url, "whoami", "--user", "grace").want(t, exitOK)
	}
	if out := runRevoke(t, exitOK, "--redis-url-file", urlFile, "--list"); !strings.Contains(out, "subject="+subject+" ") {
		t.Errorf("got the list %q, want the user", out)
	}
	if out := runRevoke(t, exitFailure, "--redis-url-file", urlFile, "--create-tables"); !strings.Contains(out, "needs no tables") {
		t.Errorf("got %q, want that Redis needs no tables", out)
	}
}
