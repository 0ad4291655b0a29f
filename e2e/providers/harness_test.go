//go:build providers && unix

// Package providers tests Gatehouse with real authorization servers on this machine: each
// server is started, a user signs in without a browser window, and an MCP server that
// Gatehouse protects accepts the token that the server issued, and rejects its other tokens.
//
//	make providers
//
// The tests install what they need. Packages of npm go into this folder, and downloads into
// the folder gatehouse-e2e of the user's cache folder, where later runs find them. A test
// fails if something that it needs is still missing, and names it.
//
// Each file tests one server. The others are shared:
//
//	harness_test.go   processes, ports, installation
//	endpoint_test.go  an MCP server with a guard
//	browser_test.go   a user who fills in the forms of a sign-in
//	oauth_test.go     requests to the endpoints of an authorization server, and its tokens
//	client_test.go    MCP clients that sign in: go-sdk, gatehouse call, the scripts of e2e/clients
//	record_test.go    files with recorded documents and tokens
package providers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	// installTime bounds one installation, and stepTime one sign-in or one call.
	installTime = 10 * time.Minute
	stepTime    = 2 * time.Minute
	// stopTime is how long a server may take to stop after SIGTERM.
	stopTime = 15 * time.Second
	// probePause is the pause between two probes of a server that is starting.
	probePause = 200 * time.Millisecond
	// maxShownLog bounds what a failed test shows of the log of a server.
	maxShownLog = 20_000
)

var update = flag.Bool("update", false, "rewrite the recorded documents and tokens")

// repository is the absolute path of the repository.
var repository = func() string {
	here, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	return filepath.Dir(filepath.Dir(here))
}()

// serverProcess is how a server is started.
type serverProcess struct {
	name string   // for messages, and for the file of its log
	argv []string // program and arguments
	dir  string   // working directory; empty for the folder of this package
	env  []string // in addition to the environment of the test
	// ready is a URL that answers 200 when the server is ready.
	ready string
	// within is how long the server may take until it is ready.
	within time.Duration
}

// start starts a server and returns when it is ready. The server stops when the test ends.
// Its output goes to a log file, the end of which is shown if the test fails.
func start(t testing.TB, s serverProcess) {
	t.Helper()
	began := time.Now()
	logFile := filepath.Join(t.TempDir(), s.name+".log")
	output, err := os.Create(logFile)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(s.argv[0], s.argv[1:]...)
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), s.env...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", s.name, err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		stop(cmd.Process.Pid, ended)
		output.Close()
		if t.Failed() {
			t.Logf("log of %s:\n%s", s.name, tail(logFile))
		}
	})
	if err := awaitReady(within(t, s.within), s.ready, ended); err != nil {
		t.Fatalf("starting %s: %v", s.name, err)
	}
	t.Logf("%s was ready after %.1f s", s.name, time.Since(began).Seconds())
}

// stop ends a process and everything that it started: with SIGTERM, then with SIGKILL.
func stop(pid int, ended <-chan struct{}) {
	syscall.Kill(-pid, syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(stopTime):
	}
	syscall.Kill(-pid, syscall.SIGKILL)
	<-ended
}

// awaitReady waits until a URL answers 200.
func awaitReady(ctx context.Context, url string, ended <-chan struct{}) error {
	probes := time.NewTicker(probePause)
	defer probes.Stop()
	last := errors.New("no answer yet")
	for {
		resp, err := get(ctx, url)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(resp.Status)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w; the last answer was: %w", url, ctx.Err(), last)
		}
		last = err
		select {
		case <-probes.C:
		case <-ended:
			return errors.New("the server ended")
		case <-ctx.Done():
		}
	}
}

func get(ctx context.Context, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(req)
}

// tail returns the end of a file.
func tail(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	if len(text) > maxShownLog {
		text = append([]byte("…"), text[len(text)-maxShownLog:]...)
	}
	return string(text)
}

const (
	// firstPort and portCount are the ports that freePort chooses from. They are below those
	// that systems give to outgoing connections and to listeners on port 0: one of these could
	// take a port before the server that it is for listens on it.
	firstPort = 30_000
	portCount = 2_700
)

// nextPort is the offset of the port that freePort tries next. It begins anywhere, so that two
// runs on one machine seldom meet.
var nextPort = func() *atomic.Int64 {
	var n atomic.Int64
	n.Store(rand.Int64N(portCount))
	return &n
}()

// freePort returns a TCP port of 127.0.0.1 that no one listens on. It returns each port once.
func freePort(t testing.TB) string {
	t.Helper()
	for range portCount {
		port := strconv.Itoa(firstPort + int(nextPort.Add(1)%portCount))
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatalf("no port from %d to %d is free", firstPort, firstPort+portCount-1)
	return ""
}

// within returns a context that ends after d.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// cacheFolder returns a folder for downloads that is kept between runs. It exists.
func cacheFolder(t testing.TB, name string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(cache, "gatehouse-e2e", name)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}

// requireProgram checks that a program is on PATH. debian is the Debian package that has
// it, which is installed if the tests run as root.
func requireProgram(t testing.TB, program, debian string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Getuid() != 0 {
		t.Fatalf("%s is not on PATH; install it (Debian: apt-get install %s)", program, debian)
	}
	run(t, "/", "apt-get", "update", "-qq")
	run(t, "/", "apt-get", "install", "-y", "-qq", "--no-install-recommends", debian)
}

// run runs a command to its end and returns its output. The test fails if the command does.
func run(t testing.TB, folder string, argv ...string) string {
	t.Helper()
	cmd := exec.CommandContext(within(t, installTime), argv[0], argv[1:]...)
	cmd.Dir = folder
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}

// checkSum checks the SHA-256 of a file, in hexadecimal.
func checkSum(file, want string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != want {
		return fmt.Errorf("the SHA-256 of %s is %s, want %s; remove the file to download it again", file, got, want)
	}
	return nil
}

// writeCertificate writes a certificate to a file, as PEM, and returns the path.
func writeCertificate(t testing.TB, certificate *x509.Certificate) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "certificate.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// installed runs install unless it ran in a folder for the same version before.
func installed(t testing.TB, folder string, version []byte, install func()) {
	t.Helper()
	stamp := filepath.Join(folder, ".gatehouse-e2e")
	if got, err := os.ReadFile(stamp); err == nil && bytes.Equal(got, version) {
		return
	}
	install()
	if err := os.WriteFile(stamp, version, 0o644); err != nil {
		t.Fatal(err)
	}
}

// npmCI installs the npm packages of a folder of this repository as its package-lock.json
// says, and returns the folder. Install scripts do not run.
func npmCI(t testing.TB, folder ...string) string {
	t.Helper()
	dir := filepath.Join(append([]string{repository}, folder...)...)
	lock, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	requireProgram(t, "npm", "npm")
	installed(t, filepath.Join(dir, "node_modules"), lock, func() {
		run(t, dir, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	})
	return dir
}

// gatehouseProgram builds the command gatehouse once and returns its path.
func gatehouseProgram(t testing.TB) string {
	t.Helper()
	program, err := buildGatehouse()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

var buildGatehouse = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "gatehouse-providers-")
	if err != nil {
		return "", err
	}
	temporary = append(temporary, folder)
	program := filepath.Join(folder, "gatehouse")
	cmd := exec.Command("go", "build", "-o", program, "./cmd/gatehouse")
	cmd.Dir = repository
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building gatehouse: %w\n%s", err, out)
	}
	return program, nil
})

// temporary lists the folders that TestMain removes.
var temporary []string

func TestMain(m *testing.M) {
	flag.Parse()
	status := m.Run()
	for _, folder := range slices.Backward(temporary) {
		os.RemoveAll(folder)
	}
	os.Exit(status)
}
