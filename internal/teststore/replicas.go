package teststore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

const (
	resource = "http://localhost:3000/mcp"
	// giveUp bounds each wait. It is far longer than what is promised, because the machine of
	// a test may be busy; the times that were measured are logged.
	giveUp = 90 * time.Second
	// loadEvery is the pause between two requests of the load.
	loadEvery = 2 * time.Millisecond
	// measured is the number of revocations whose time is measured.
	measured = 200
	// promised is how long after the return of the engine a revocation takes effect; see
	// docs/replicas.md.
	promised = 15 * time.Second
)

// Engine is a real engine.
type Engine interface {
	// Addr returns the address on which it listens.
	Addr() string
	// Start starts it with the data that it had. Kill ends it at once.
	Start(testing.TB)
	Kill(testing.TB)
	// Open returns the store of a replica. It connects to addr, which is that of the engine or
	// of a proxy before it.
	Open(t testing.TB, addr string) gatehouse.RevocationStore
}

// cluster is several replicas that share an engine.
type cluster struct {
	engine   Engine
	is       *testissuer.Issuer
	replicas []*replica
	users    atomic.Int64
}

// replica is a guard with a store and a network of its own.
type replica struct {
	guard   *gatehouse.Guard
	handler http.Handler
	proxy   *Proxy
}

// RunReplicas tests three replicas with a store of the engine, which runs.
func RunReplicas(t *testing.T, engine Engine) {
	c := &cluster{engine: engine, is: testissuer.Start(t)}
	for range 3 {
		c.replicas = append(c.replicas, c.start(t))
	}
	for _, r := range c.replicas {
		r.mustBeReady(t)
	}
	t.Run("Latency", c.testLatency)
	t.Run("EngineRestarts", c.testEngineRestarts)
	t.Run("NetworkIsCut", c.testNetworkIsCut)
	t.Run("ReplicaRestarts", c.testReplicaRestarts)
	t.Run("TenThousandRevocations", c.testTenThousand)
}

// RunFailover tests three replicas while failover makes the engine move to another server. What was
// denied before must be known to a replica that starts afterwards.
func RunFailover(t *testing.T, engine Engine, failover func(testing.TB)) {
	c := &cluster{engine: engine, is: testissuer.Start(t)}
	for range 3 {
		c.replicas = append(c.replicas, c.start(t))
	}
	for _, r := range c.replicas {
		r.mustBeReady(t)
	}
	c.underLoad(t, func() {
		before, tokenBefore := c.user()
		if err := c.replicas[0].guard.Deny(before); err != nil {
			t.Fatal(err)
		}
		failover(t)
		start := time.Now()
		during, tokenDuring := c.user()
		calls := 1
		for err := c.replicas[0].guard.Deny(during); err != nil; err = c.replicas[0].guard.Deny(during) {
			if !errors.Is(err, gatehouse.ErrDenialNotShared) || time.Since(start) > giveUp {
				t.Fatal(err)
			}
			calls++
		}
		t.Logf("Deny succeeds %s after the failure, at call %d", time.Since(start).Round(time.Millisecond), calls)
		for _, r := range c.replicas {
			r.awaitStatus(t, tokenDuring, http.StatusUnauthorized)
		}
		t.Logf("all replicas reject the token %s after the failure", time.Since(start).Round(time.Millisecond))
		c.awaitShared(t)
		fresh := c.start(t)
		fresh.mustBeReady(t)
		for _, token := range []string{tokenBefore, tokenDuring} {
			if got := fresh.status(token); got != http.StatusUnauthorized {
				t.Errorf("a replica that starts after the failover: status %d for a revoked token, want 401", got)
			}
		}
	})
}

func (c *cluster) start(t testing.TB) *replica {
	t.Helper()
	r := &replica{proxy: StartProxy(t, c.engine.Addr())}
	provider := gatehouse.OIDC(c.is.URL(), "profile", "email")
	provider.JWKSURL = c.is.JWKSURL()
	guard, err := gatehouse.New(gatehouse.Config{
		Resource:    resource,
		Provider:    provider,
		Revocations: c.engine.Open(t, r.proxy.Addr()),
		Logger:      slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(guard.Close)
	r.guard = guard
	r.handler = guard.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	return r
}

func (r *replica) mustBeReady(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), giveUp)
	defer cancel()
	var err error
	for ctx.Err() == nil {
		if err = r.guard.Ready(ctx); err == nil {
			return
		}
	}
	t.Fatalf("the replica is not ready: %v", err)
}

// status returns the status of a request with the token.
func (r *replica) status(token string) int {
	request := httptest.NewRequest(http.MethodPost, resource, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, request)
	return w.Code
}

// awaitStatus waits until the replica answers with the status.
func (r *replica) awaitStatus(t testing.TB, token string, want int) {
	t.Helper()
	deadline := time.Now().Add(giveUp)
	for got := r.status(token); got != want; got = r.status(token) {
		if time.Now().After(deadline) {
			t.Fatalf("after %s, the status is %d, want %d; %+v", giveUp, got, want, r.guard.Stats().Revocations)
		}
		time.Sleep(time.Millisecond)
	}
}

// user returns a new user with a token.
func (c *cluster) user() (denial gatehouse.Denial, token string) {
	subject := fmt.Sprint("user_", c.users.Add(1))
	return gatehouse.Denial{Subject: subject, Until: time.Now().Add(24 * time.Hour)},
		c.is.Token(resource, testissuer.Claim("sub", subject))
}

// underLoad sends requests with a valid token and one that was revoked to all replicas while f
// runs. Each valid one must be accepted, and each revoked one rejected.
func (c *cluster) underLoad(t *testing.T, f func()) {
	t.Helper()
	_, valid := c.user()
	denial, revoked := c.user()
	if err := c.replicas[0].guard.Deny(denial); err != nil {
		t.Fatal(err)
	}
	for _, r := range c.replicas {
		r.awaitStatus(t, revoked, http.StatusUnauthorized)
	}
	var requests, wrong atomic.Int64
	var load sync.WaitGroup
	done := make(chan struct{})
	for i, r := range c.replicas {
		load.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(loadEvery):
				}
				requests.Add(2)
				if got := r.status(valid); got != http.StatusOK && wrong.Add(1) < 10 {
					t.Errorf("replica %d: status %d for a valid token, want 200", i, got)
				}
				if got := r.status(revoked); got != http.StatusUnauthorized && wrong.Add(1) < 10 {
					t.Errorf("replica %d: status %d for a revoked token, want 401", i, got)
				}
			}
		})
	}
	f()
	close(done)
	load.Wait()
	t.Logf("%d requests during the test, %d with a wrong answer", requests.Load(), wrong.Load())
}

func (c *cluster) testLatency(t *testing.T) {
	var times []time.Duration
	c.underLoad(t, func() {
		for i := range measured {
			denial, token := c.user()
			for _, r := range c.replicas {
				if got := r.status(token); got != http.StatusOK {
					t.Fatalf("before Deny: status %d, want 200", got)
				}
			}
			start := time.Now()
			if err := c.replicas[i%len(c.replicas)].guard.Deny(denial); err != nil {
				t.Fatal(err)
			}
			for _, r := range c.replicas {
				r.awaitStatus(t, token, http.StatusUnauthorized)
			}
			times = append(times, time.Since(start))
		}
	})
	slices.Sort(times)
	t.Logf("from Deny until all three replicas reject the token, %d times: min %s, median %s, p99 %s, max %s", len(times),
		times[0].Round(10*time.Microsecond), times[len(times)/2].Round(10*time.Microsecond),
		times[len(times)*99/100].Round(10*time.Microsecond), times[len(times)-1].Round(10*time.Microsecond))
}

func (c *cluster) testEngineRestarts(t *testing.T) {
	c.underLoad(t, func() {
		c.engine.Kill(t)
		denial, token := c.user()
		if err := c.replicas[0].guard.Deny(denial); !errors.Is(err, gatehouse.ErrDenialNotShared) {
			t.Errorf("Deny while the engine does not run = %v, want ErrDenialNotShared", err)
		}
		if got := c.replicas[0].status(token); got != http.StatusUnauthorized {
			t.Errorf("the replica of Deny: status %d, want 401", got)
		}
		fresh := c.start(t)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := fresh.guard.Ready(ctx); !errors.Is(err, gatehouse.ErrRevocationsNotLoaded) {
			t.Errorf("a replica that starts without the engine: Ready = %v, want ErrRevocationsNotLoaded", err)
		}
		for _, r := range c.replicas {
			if err := r.guard.Ready(t.Context()); err != nil {
				t.Errorf("a replica that runs: Ready = %v, want nil", err)
			}
		}
		c.engine.Start(t)
		start := time.Now()
		for _, r := range append(slices.Clone(c.replicas), fresh) {
			r.awaitStatus(t, token, http.StatusUnauthorized)
		}
		t.Logf("%s after the engine listens again, the denial that it did not take is known to all (promised: %s)",
			time.Since(start).Round(time.Millisecond), promised)
	})
	c.awaitShared(t)
}

// awaitShared waits until all replicas are connected and have appended everything.
func (c *cluster) awaitShared(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(giveUp)
	for _, r := range c.replicas {
		for s := r.guard.Stats().Revocations; s.Unshared > 0 || !s.Connected; s = r.guard.Stats().Revocations {
			if time.Now().After(deadline) {
				t.Fatalf("after %s: %+v", giveUp, s)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func (c *cluster) testNetworkIsCut(t *testing.T) {
	c.underLoad(t, func() {
		apart := c.replicas[2]
		apart.proxy.SetCut(true)
		denial, token := c.user()
		if err := c.replicas[0].guard.Deny(denial); err != nil {
			t.Fatal(err)
		}
		c.replicas[1].awaitStatus(t, token, http.StatusUnauthorized)
		if got := apart.status(token); got != http.StatusOK {
			t.Errorf("the replica without a network: status %d, want 200, since it cannot know", got)
		}
		deadline := time.Now().Add(giveUp)
		for apart.guard.Stats().Revocations.Connected {
			if time.Now().After(deadline) {
				t.Fatal("the replica does not notice that the network is cut")
			}
			time.Sleep(10 * time.Millisecond)
		}
		apart.proxy.SetCut(false)
		start := time.Now()
		apart.awaitStatus(t, token, http.StatusUnauthorized)
		t.Logf("%s after the network is back, the replica rejects the token (promised: %s)", time.Since(start).Round(time.Millisecond), promised)
	})
	c.awaitShared(t)
}

// testReplicaRestarts starts replicas while others revoke: none of them may ever accept a token
// that was revoked before it started.
func (c *cluster) testReplicaRestarts(t *testing.T) {
	const restarts = 10
	c.underLoad(t, func() {
		for range restarts {
			denial, token := c.user()
			_, valid := c.user()
			if err := c.replicas[0].guard.Deny(denial); err != nil {
				t.Fatal(err)
			}
			fresh := c.start(t)
			if got := fresh.status(token); got != http.StatusUnauthorized && got != http.StatusServiceUnavailable {
				t.Errorf("the first answer to a revoked token has the status %d, want 401 or 503", got)
			}
			fresh.mustBeReady(t)
			if got := fresh.status(token); got != http.StatusUnauthorized {
				t.Errorf("a replica that is ready: status %d for a revoked token, want 401", got)
			}
			if got := fresh.status(valid); got != http.StatusOK {
				t.Errorf("a replica that is ready: status %d for a valid token, want 200", got)
			}
			fresh.guard.Close()
		}
	})
}

func (c *cluster) testTenThousand(t *testing.T) {
	const many = 10_000
	store := c.engine.Open(t, c.engine.Addr())
	ctx, cancel := context.WithTimeout(t.Context(), giveUp)
	defer cancel()
	until := time.Now().Add(time.Hour).Truncate(time.Millisecond).UTC()
	start := time.Now()
	for first := 0; first < many; first += 500 {
		var batch []gatehouse.Denial
		for i := range 500 {
			batch = append(batch, gatehouse.Denial{Subject: fmt.Sprint("user_of_many_", first+i), Until: until})
		}
		if err := store.Append(ctx, batch); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d revocations appended in %s", many, time.Since(start).Round(time.Millisecond))
	fresh := c.start(t)
	start = time.Now()
	fresh.mustBeReady(t)
	count := fresh.guard.Stats().Revocations.Count
	t.Logf("a replica is ready with %d revocations %s after its start", count, time.Since(start).Round(time.Millisecond))
	if count < many {
		t.Errorf("it has %d revocations, want at least %d", count, many)
	}
	token := c.is.Token(resource, testissuer.Claim("sub", "user_of_many_9999"))
	if got := fresh.status(token); got != http.StatusUnauthorized {
		t.Errorf("status %d for the last one, want 401", got)
	}
	for i, r := range c.replicas {
		r.awaitStatus(t, token, http.StatusUnauthorized)
		t.Logf("replica %d: %+v", i, r.guard.Stats().Revocations)
	}
}
