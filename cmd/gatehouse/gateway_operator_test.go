package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
)

// operatorFixture is a gateway with an operator port, started from a file.
type operatorFixture struct {
	file, url string
	stderr    testlog.Buffer
	stop      context.CancelFunc
	ended     chan int

	forwardAuth bool
}

// startOperator starts a gateway whose file has the lines in addition to what it needs.
func startOperator(t *testing.T, lines string, args ...string) *operatorFixture {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	f := &operatorFixture{
		file: filepath.Join(t.TempDir(), "gateway.yaml"), ended: make(chan int, 1), forwardAuth: slices.Contains(args, "--forward-auth"),
	}
	f.write(t, port, lines)
	ctx, stop := context.WithCancel(t.Context())
	f.stop = stop
	con := &console{stdout: io.Discard, stderr: &f.stderr, getenv: func(string) string { return "" }}
	go func() { f.ended <- run(ctx, con, append([]string{"gateway", "--config", f.file}, args...)) }()
	t.Cleanup(func() { stop() })
	f.url = f.wait(t, `operator port at (http://localhost:\d+)`)[1]
	f.wait(t, "Ctrl-C stops the gateway")
	return f
}

func (f *operatorFixture) write(t *testing.T, port, lines string) {
	t.Helper()
	upstream := ", upstream: \"http://127.0.0.1:1\""
	if f.forwardAuth {
		upstream = "" // the proxy has it
	}
	text := fmt.Sprintf("listen: localhost:%s\n%sprovider: {name: oidc, issuer: \"http://127.0.0.1:1\"}\n"+
		"endpoints: [{url: \"http://localhost:%s/mcp\"%s}]\n", port, lines, port, upstream)
	if err := os.WriteFile(f.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (f *operatorFixture) wait(t *testing.T, pattern string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	match, err := f.stderr.Wait(ctx, regexp.MustCompile(pattern))
	if err != nil {
		t.Fatalf("%v; the log is:\n%s", err, f.stderr.String())
	}
	return match
}

func (f *operatorFixture) get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(f.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestGatewayOperatorPort(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		lines     string
		args      []string
		wantPProf int
	}{
		"of the file":               {"operator: {listen: \"localhost:0\", pprof: true}\n", nil, 200},
		"of the file, no profiles":  {"operator: {listen: \"localhost:0\"}\n", nil, 404},
		"of the command line":       {"", []string{"--operator-listen", "localhost:0"}, 404},
		"of the command line, wins": {"operator: {listen: \"203.0.113.1:9\"}\n", []string{"--operator-listen", "localhost:0"}, 404},
		"forward auth":              {"operator: {listen: \"localhost:0\", pprof: true}\n", []string{"--forward-auth", "caddy"}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startOperator(t, tt.lines, tt.args...)
			if status, body := f.get(t, "/readyz"); status != 503 || !strings.Contains(body, `"status":"not ready","reason":"`) {
				t.Errorf("/readyz without keys: got %d %s, want 503 with the reason", status, body)
			}
			if status, body := f.get(t, "/metrics"); status != 200 || !strings.Contains(body, "\ngatehouse_") {
				t.Errorf("/metrics: got %d %.300s, want metrics of the guard", status, body)
			}
			if status, _ := f.get(t, "/healthz"); status != 200 {
				t.Errorf("/healthz: got %d, want 200", status)
			}
			if status, _ := f.get(t, "/debug/pprof/"); status != tt.wantPProf {
				t.Errorf("/debug/pprof/: got %d, want %d", status, tt.wantPProf)
			}
			f.stop()
			<-f.ended
			if _, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://")); err == nil {
				t.Error("the operator port is open after the gateway has stopped")
			}
		})
	}
}

// Settings that need a restart are named when the file changes.
func TestOperatorPortNeedsARestart(t *testing.T) {
	t.Parallel()
	f := startOperator(t, "operator: {listen: \"localhost:0\"}\n")
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	f.write(t, port, "operator: {listen: \"localhost:0\", pprof: true}\ndrain_delay: 1s\n")
	for _, name := range []string{"listen", "operator", "drain_delay"} {
		f.wait(t, `msg="`+name+` has changed, which applies when the gateway is restarted"`)
	}
	if status, _ := f.get(t, "/debug/pprof/"); status != 404 {
		t.Errorf("/debug/pprof/ after the change: got %d, want 404 until the restart", status)
	}
}

// Each command line changes one thing of a valid one.
func TestOperatorPortFaults(t *testing.T) {
	valid := []string{"gateway", "--provider", "oidc", "--issuer", "https://issuer.example.com", "--upstream", "http://localhost:8000/mcp"}
	for name, tt := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"control":     {[]string{"--operator-listen", ":9090", "--check"}, exitOK, nil},
		"no host":     {[]string{"--operator-listen", "9090", "--check"}, exitUsage, []string{`--operator-listen "9090" has no host`, `hint: write "localhost:9090", or ":9090"`}},
		"no port":     {[]string{"--operator-listen", "localhost", "--check"}, exitUsage, []string{`--operator-listen "localhost" has no port`, `hint: add it, like "localhost:9090"`}},
		"public port": {[]string{"--operator-listen", "127.0.0.1:3000", "--check"}, exitUsage, []string{`--operator-listen "127.0.0.1:3000" is also the address of the gateway`, "hint: use another port"}},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr testlog.Buffer
			con := &console{stdout: io.Discard, stderr: &stderr, getenv: func(string) string { return "" }}
			if code := run(t.Context(), con, append(valid[:len(valid):len(valid)], tt.args...)); code != tt.code {
				t.Errorf("got status %d, want %d:\n%s", code, tt.code, stderr.String())
			}
			for _, want := range tt.want {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("got\n%s\nwant %s", stderr.String(), want)
				}
			}
		})
	}
}

// If both ports are in use, both are reported.
func TestBothGatewayPortsInUse(t *testing.T) {
	var ports [2]string
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports[i] = portOf(l)
	}
	var stderr testlog.Buffer
	con := &console{stdout: io.Discard, stderr: &stderr, getenv: func(string) string { return "" }}
	code := run(t.Context(), con, []string{"gateway", "--provider", "oidc", "--issuer", "https://issuer.example.com",
		"--upstream", "http://localhost:8000/mcp", "--listen", "127.0.0.1:" + ports[0], "--operator-listen", "127.0.0.1:" + ports[1]})
	for _, want := range []string{"error: port " + ports[0] + " is in use", "hint: stop the program that uses it, or choose another port with --listen",
		"error: operator port: port " + ports[1] + " is in use", "choose another port with --operator-listen"} {
		if code != exitFailure || !strings.Contains(stderr.String(), want) {
			t.Errorf("got status %d and\n%s\nwant %s", code, stderr.String(), want)
		}
	}
}

func portOf(l net.Listener) string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
