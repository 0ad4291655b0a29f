package check

import (
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// startTime bounds the start of a program, and stopTime its end.
const (
	startTime = 3 * time.Minute
	stopTime  = 20 * time.Second
)

// program is a program that runs until the test ends.
type program struct {
	cmd  *exec.Cmd
	done chan error
	log  string // path of its output
}

// start starts a program in a folder.
func start(t testing.TB, folder string, env []string, argv ...string) *program {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = folder, append(os.Environ(), env...), log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &program{cmd: cmd, done: make(chan error, 1), log: log.Name()}
	go func() { p.done <- cmd.Wait() }()
	t.Cleanup(func() {
		p.terminate(t)
		log.Close()
		if t.Failed() {
			t.Logf("log of %v:\n%s", argv, p.output())
		}
	})
	return p
}

// terminate sends SIGTERM and waits for the end.
func (p *program) terminate(t testing.TB) {
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case err := <-p.done:
		p.done <- err
	case <-time.After(stopTime):
		t.Errorf("%s did not stop", p.cmd.Path)
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
}

func (p *program) output() string {
	text, _ := os.ReadFile(p.log)
	return string(text)
}

// await waits until a GET request of the URL has status 200.
func (p *program) await(t testing.TB, url string) {
	t.Helper()
	for deadline := time.Now().Add(startTime); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if get(t, url, "") == http.StatusOK {
			return
		}
		select {
		case err := <-p.done:
			p.done <- err
			t.Fatalf("%s ended: %v\n%s", p.cmd.Path, err, p.output())
		default:
		}
	}
	t.Fatalf("%s has no status 200\n%s", url, p.output())
}

// client accepts the self-signed certificates of the tests.
var client = &http.Client{
	Timeout: startTime, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
}

// get returns the status of a GET request, or 0 if it fails. host, if not empty, is the value of
// the header Host.
func get(t testing.TB, url, host string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// nextPort is below the ports that systems give to outgoing connections.
var nextPort atomic.Int32

// freePort returns a TCP port that no one listens on.
func freePort(t testing.TB) string {
	t.Helper()
	for range 1000 {
		port := strconv.Itoa(21_000 + (os.Getpid()*7+int(nextPort.Add(1)))%3000)
		if l, err := net.Listen("tcp", ":"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}
