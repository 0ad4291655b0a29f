//go:build stores && linux

package replicas

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/internal/teststore"
)

// keyOfTest returns a session key.
func keyOfTest(name string) string { return name + strings.Repeat("-", 32) }

// gateways is three gateways behind nginx, which sends requests to each in turn, and three MCP
// servers with sessions behind all of them.
type gateways struct {
	*cluster
	backends []string // their addresses
	keyFile  string
	files    []string // the configurations
}

func startGateways(t testing.TB, key string) *gateways {
	t.Helper()
	g := &gateways{cluster: &cluster{is: testissuer.Start(t)}, keyFile: assertionKey(t)}
	g.addr, g.port = teststore.FreeAddr(t)
	for range names {
		addr, port := teststore.FreeAddr(t)
		p := teststore.NewProcess(t, addr, t.TempDir(), nil, must(t, backendProgram))
		p.Env = []string{"PORT=" + port, "GATEWAY=http://" + g.addr}
		p.Start(t)
		g.backends = append(g.backends, addr)
	}
	for i, name := range names {
		addr, _ := teststore.FreeAddr(t)
		file := filepath.Join(t.TempDir(), "gateway.yaml")
		r := &replica{name: name, addr: addr, Process: teststore.NewProcess(t, addr, t.TempDir(), nil, must(t, gatewayProgram), "gateway", "--config", file)}
		g.replicas, g.files = append(g.replicas, r), append(g.files, file)
		g.configure(t, i, key)
		r.Start(t)
	}
	g.startNginx(t, toAny...)
	for _, r := range g.replicas {
		r.awaitReady(t)
	}
	return g
}

// assertionKey returns the path of a new key for assertions, which all gateways use.
func assertionKey(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "assertion.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// configure writes the configuration of a gateway. A gateway that runs applies it within two seconds.
func (g *gateways) configure(t testing.TB, i int, key string, accepted ...string) {
	t.Helper()
	text := fmt.Sprintf("listen: %s\nprovider: {name: oidc, issuer: %q}\nassertion_key_file: %s\nsession_key: %q\n",
		g.replicas[i].addr, g.is.URL(), g.keyFile, key)
	if len(accepted) > 0 {
		text += fmt.Sprintf("accepted_session_keys: [%q]\n", strings.Join(accepted, `", "`))
	}
	text += fmt.Sprintf("endpoints:\n  - url: %s\n    upstreams: [http://%s/mcp]\n", g.resource(), strings.Join(g.backends, "/mcp, http://"))
	if err := os.WriteFile(g.files[i], []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// users are clients, each with an open session, that call a tool again and again.
type users struct {
	stop    chan struct{}
	running sync.WaitGroup
	calls   atomic.Int64
	lost    atomic.Int64 // calls whose session was unknown
	other   atomic.Int64 // calls that failed otherwise
}

// startUsers opens the sessions and starts the calls.
func (c *cluster) startUsers(t testing.TB, n int) *users {
	t.Helper()
	u := &users{stop: make(chan struct{})}
	for i := range n {
		client := c.newClient(revisions[0], fmt.Sprint("user_", i), false)
		if err := client.open(); err != nil {
			t.Fatal(err)
		}
		u.running.Go(func() { u.call(t, client) })
	}
	return u
}

func (u *users) call(t testing.TB, client *client) {
	for {
		select {
		case <-u.stop:
			return
		case <-time.After(pause):
		}
		_, err := client.call("whoami")
		u.calls.Add(1)
		var f *failure
		switch {
		case errors.As(err, &f) && f.status == fmt.Sprint(http.StatusNotFound):
			u.lost.Add(1)
		case err != nil:
			if u.other.Add(1) < 5 {
				t.Logf("a call failed: %.300v", err)
			}
		}
	}
}

// end stops the calls, and returns how many there were and how many lost their session.
func (u *users) end() (calls, lost, other int64) {
	close(u.stop)
	u.running.Wait()
	return u.calls.Load(), u.lost.Load(), u.other.Load()
}

// A session works through each of several gateways, and stays with the MCP server that has it, without
// a table and without a router that is sticky.
func TestSeveralGateways(t *testing.T) {
	g := startGateways(t, keyOfTest("one"))
	for range 12 { // each server gets some of the sessions
		client := g.newClient(revisions[0], "user_1", true)
		if err := client.open(); err != nil {
			t.Fatal(err)
		}
		for range 2 * len(names) {
			if text, err := client.call("whoami"); want(text, err, "user_1") != nil {
				t.Fatalf("a call got %s, %v", text, err)
			}
		}
		other := g.newClient(revisions[0], "user_2", true)
		other.session = client.session
		var f *failure
		if _, err := other.call("whoami"); !errors.As(err, &f) || f.status != "404" {
			t.Errorf("the session of another user: %v, want 404", err)
		}
		if _, err := client.text(http.MethodDelete, "", "", ""); err != nil {
			t.Errorf("DELETE: %v", err)
		}
		if _, err := client.call("whoami"); !errors.As(err, &f) || f.status != "404" {
			t.Errorf("after DELETE: %v, want 404", err)
		}
	}
}

// TestRotation replaces the session key of three gateways, in the order of docs/replicas.md, while
// sessions are used through all of them. None is lost.
func TestRotation(t *testing.T) {
	before, after := keyOfTest("before"), keyOfTest("after")
	for name, apply := range map[string]func(t testing.TB, g *gateways, i int){
		"by changing the file": func(t testing.TB, g *gateways, _ int) { time.Sleep(5 * time.Second) }, // twice the interval in which it is read
		"by restarting each gateway": func(t testing.TB, g *gateways, i int) {
			g.replicas[i].Stop(t)
			g.replicas[i].Start(t)
			g.replicas[i].awaitReady(t)
			time.Sleep(2 * time.Second) // nginx uses it again
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := startGateways(t, before)
			step := func(key string, accepted ...string) {
				for i := range g.replicas {
					g.configure(t, i, key, accepted...)
					apply(t, g, i)
				}
			}
			first := g.openSession(t)
			old := g.startUsers(t, 6)
			step(before, after) // 1: the new key is accepted
			step(after, before) // 2: new sessions get the new key
			last := g.openSession(t)
			recent := g.startUsers(t, 6)
			time.Sleep(time.Second)
			old.wantNoneLost(t, "sessions of the old key, steps 1 and 2")
			if _, err := first.call("whoami"); err != nil {
				t.Errorf("a session of the old key, after step 2: %v", err)
			}
			step(after) // 3: the old key is removed
			recent.wantNoneLost(t, "sessions of the new key, step 3")
			if _, err := last.call("whoami"); err != nil {
				t.Errorf("a session of the new key, after step 3: %v", err)
			}
			var f *failure
			if _, err := first.call("whoami"); !errors.As(err, &f) || f.status != "404" {
				t.Errorf("a session of the old key, after step 3: %v, want 404", err)
			}
		})
	}
	t.Run("in one step", func(t *testing.T) { // the control
		g := startGateways(t, before)
		users := g.startUsers(t, 6)
		g.configure(t, 0, after)
		time.Sleep(5 * time.Second)
		if calls, lost, _ := users.end(); lost == 0 {
			t.Errorf("none of %d calls lost its session, so the test shows nothing", calls)
		}
	})
}

func (c *cluster) openSession(t testing.TB) *client {
	t.Helper()
	client := c.newClient(revisions[0], "user_1", false)
	if err := client.open(); err != nil {
		t.Fatal(err)
	}
	return client
}

func (u *users) wantNoneLost(t *testing.T, what string) {
	t.Helper()
	calls, lost, other := u.end()
	t.Logf("%s: %d calls, %d lost their session, %d failed otherwise", what, calls, lost, other)
	if calls == 0 || lost > 0 {
		t.Errorf("%s: %d of %d calls lost their session, want none", what, lost, calls)
	}
}
