//go:build stores && linux

// Package replicas tests several processes of a server behind real routers, with a real Redis or
// PostgreSQL that shares their revocations.
//
//	make stores
//
// nginx, HAProxy, Redis and PostgreSQL are those of Debian, which the tests install if they run as root.
package replicas

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/internal/teststore"
)

var update = flag.Bool("update", false, "rewrite the tables of docs/replicas.md")

const (
	repository = "../.."
	// giveUp bounds each wait. It is far longer than what is promised, because the machine of a
	// test may be busy; the times that were measured are logged.
	giveUp = time.Minute
	pause  = 5 * time.Millisecond
)

// names are those of the replicas, as in the configurations of the routers.
var names = []string{"one", "two", "three"}

// The programs, each of which is built once.
var (
	serverProgram  = built("server", ".", "off", "./server")
	gatewayProgram = built("gatehouse", repository, "", "./cmd/gatehouse")
	backendProgram = built("backend", repository, "", "./e2e/gateway/backends/gosdk")

	programs string // their folder
)

// built returns a function that builds a package of the module in a folder, and returns the path of
// the program.
func built(name, folder, goWork, pkg string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		program := filepath.Join(programs, name)
		cmd := exec.Command("go", "build", "-o", program, pkg)
		cmd.Dir, cmd.Env = folder, append(os.Environ(), "GOWORK="+goWork)
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("building %s: %w: %s", name, err, out)
		}
		return program, err
	})
}

// must returns the path of a program that was built.
func must(t testing.TB, built func() (string, error)) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMain(m *testing.M) {
	var err error
	if programs, err = os.MkdirTemp("", "gatehouse-replicas-"); err != nil {
		panic(err)
	}
	status := m.Run()
	os.RemoveAll(programs)
	os.Exit(status)
}

// replica is a process of the server.
type replica struct {
	*teststore.Process
	name, addr string
}

// cluster is three replicas, and the address of the router in front of them.
type cluster struct {
	is       *testissuer.Issuer
	replicas []*replica
	addr     string // of the router
	port     string
}

const sessionKey = "the key of session IDs of all replicas, for tests"

// start starts the replicas. Each gets the settings, which env returns for its index.
func start(t testing.TB, env func(i int) []string) *cluster {
	t.Helper()
	c := &cluster{is: testissuer.Start(t)}
	c.addr, c.port = teststore.FreeAddr(t)
	for i := range names {
		c.replicas = append(c.replicas, c.newReplica(t, i, env(i)...))
	}
	for _, r := range c.replicas {
		r.Start(t)
		r.awaitReady(t)
	}
	return c
}

// newReplica returns a replica that is not started.
func (c *cluster) newReplica(t testing.TB, i int, env ...string) *replica {
	t.Helper()
	addr, port := teststore.FreeAddr(t)
	r := &replica{name: names[i], addr: addr, Process: teststore.NewProcess(t, addr, t.TempDir(), nil, must(t, serverProgram))}
	r.Env = append([]string{
		"REPLICA=" + names[i], "HOST=127.0.0.1", "PORT=" + port, "MCP_URL=" + c.resource(),
		"ISSUER=" + c.is.URL(), "ISSUER_KEYS=" + c.is.JWKSURL(), "MCP_SESSION_KEY=" + sessionKey,
	}, env...)
	return r
}

func (c *cluster) resource() string { return "http://" + c.addr + "/mcp" }

// token returns a token of the subject.
func (c *cluster) token(subject string, changes ...testissuer.Change) string {
	return c.is.Token(c.resource(), append([]testissuer.Change{testissuer.Claim("sub", subject)}, changes...)...)
}

func (r *replica) awaitReady(t testing.TB) {
	t.Helper()
	await(t, r.name+" is ready", func() error {
		resp, err := http.Get("http://" + r.addr + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d: %s", resp.StatusCode, text)
		}
		return nil
	})
}

// await waits until check returns nil.
func await(t testing.TB, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(giveUp)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waiting until %s: %v", what, err)
		}
		time.Sleep(pause)
	}
}

// deny calls Guard.Deny in the replica.
func (r *replica) deny(subject string) error {
	resp, err := http.PostForm("http://"+r.addr+"/admin/deny", url.Values{"subject": {subject}})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %s", resp.StatusCode, text)
	}
	return nil
}

// notify makes all replicas send a notification to those who listen.
func (c *cluster) notify(t testing.TB) {
	t.Helper()
	for _, r := range c.replicas {
		resp, err := http.Post("http://"+r.addr+"/admin/notify", "", nil)
		if err != nil {
			t.Error(err)
			return
		}
		resp.Body.Close()
	}
}

type stats struct {
	Started     int64 // calls of the tool wait
	Canceled    int64 // those that were canceled
	Sessions    int
	Revocations gatehouse.RevocationStats
}

func (r *replica) stats() (s stats, err error) {
	resp, err := http.Get("http://" + r.addr + "/admin/stats")
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	return s, json.NewDecoder(resp.Body).Decode(&s)
}

// configuration writes a file of examples/replicas, with the addresses of the cluster and further
// changes, into a new folder. Each old text must be in the file.
func (c *cluster) configuration(t testing.TB, name string, oldnew ...string) (folder, path string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "examples/replicas", name))
	if err != nil {
		t.Fatal(err)
	}
	changes := append([]string{"127.0.0.1:3000", c.addr}, oldnew...)
	for i, r := range c.replicas {
		changes = append(changes, fmt.Sprint("127.0.0.1:", 3001+i), r.addr)
	}
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(string(text), changes[i]) {
			t.Fatalf("%s has no %q", name, changes[i])
		}
	}
	folder = t.TempDir()
	path = filepath.Join(folder, name)
	if err := os.WriteFile(path, []byte(strings.NewReplacer(changes...).Replace(string(text))), 0o644); err != nil {
		t.Fatal(err)
	}
	return folder, path
}

// startNginx starts nginx with examples/replicas/nginx.conf and the changes.
func (c *cluster) startNginx(t testing.TB, oldnew ...string) *teststore.Process {
	t.Helper()
	folder, path := c.configuration(t, "nginx.conf", oldnew...)
	globals := "daemon off; pid " + filepath.Join(folder, "nginx.pid") + ";"
	if os.Getuid() == 0 {
		globals += " user root;" // the folder of the test is not for others
	}
	p := teststore.NewProcess(t, c.addr, folder, nil, teststore.Program(t, "nginx", "nginx", "/usr/sbin/nginx"), "-e", "stderr", "-p", folder, "-c", path, "-g", globals)
	p.Start(t)
	return p
}

// startHAProxy starts HAProxy with examples/replicas/haproxy.cfg.
func (c *cluster) startHAProxy(t testing.TB) {
	t.Helper()
	folder, path := c.configuration(t, "haproxy.cfg")
	teststore.NewProcess(t, c.addr, folder, nil, teststore.Program(t, "haproxy", "haproxy", "/usr/sbin/haproxy"), "-db", "-f", path).Start(t)
}
