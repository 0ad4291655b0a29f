//go:build stores && linux

package replicas

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/teststore"
)

const (
	// measured is the number of revocations whose time is measured.
	measured = 200
	// loaders is how many clients send requests through nginx during each test.
	loaders = 6
	// promised is how long after the return of the engine a revocation takes effect, at most.
	promised = 15 * time.Second
)

// shared is three replicas behind nginx that share an engine, each through a network of its own.
type shared struct {
	*cluster
	engine   engine
	networks []*teststore.Proxy
	users    atomic.Int64
	direct   *http.Client
}

func startShared(t testing.TB, e engine) *shared {
	t.Helper()
	s := &shared{engine: e, direct: &http.Client{Timeout: stepTime, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}}
	s.cluster = start(t, func(int) []string {
		network := teststore.StartProxy(t, e.address())
		s.networks = append(s.networks, network)
		return []string{"REVOCATIONS_URL=" + e.url(network.Addr())}
	})
	s.startNginx(t, toAny...)
	return s
}

// user returns a new user with a token.
func (s *shared) user() (subject, token string) {
	subject = fmt.Sprint("user_", s.users.Add(1))
	return subject, s.token(subject)
}

// status returns the status of a call at an address, or 0 if it fails.
func (s *shared) status(addr, token string) int {
	c := client{revision: revisions[2], url: "http://" + addr + "/mcp", token: token, http: s.direct}
	resp, err := c.send(context.Background(), http.MethodPost, "tools/call", "whoami", c.message(1, "tools/call", callParams("whoami")))
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// awaitStatus waits until a replica answers with the status, and returns when it did.
func (s *shared) awaitStatus(t testing.TB, r *replica, token string, want int) time.Time {
	t.Helper()
	deadline := time.Now().Add(giveUp)
	for {
		got := s.status(r.addr, token)
		switch {
		case got == want:
			return time.Now()
		case time.Now().After(deadline):
			t.Errorf("replica %s: the status is %d after %s, want %d", r.name, got, giveUp, want)
			return time.Now()
		}
		time.Sleep(time.Millisecond)
	}
}

// awaitAll waits until all replicas, and nginx in front of them, reject the token. It returns how
// long that took from start.
func (s *shared) awaitAll(t testing.TB, token string, start time.Time) time.Duration {
	t.Helper()
	ends := make([]time.Time, len(s.replicas))
	var all sync.WaitGroup
	for i, r := range s.replicas {
		all.Go(func() { ends[i] = s.awaitStatus(t, r, token, http.StatusUnauthorized) })
	}
	all.Wait()
	for range names {
		if got := s.status(s.addr, token); got != http.StatusUnauthorized {
			t.Errorf("through nginx: status %d after all replicas rejected the token, want 401", got)
		}
	}
	return slices.MaxFunc(ends, time.Time.Compare).Sub(start)
}

// load is what clients saw during a test.
type load struct {
	accepted, rejected       atomic.Int64 // requests with a valid token
	revoked, revokedAccepted atomic.Int64 // requests with a revoked token
	unanswered               atomic.Int64 // requests that no replica answered, or one that is not ready
}

// underLoad sends requests through nginx while f runs: with a valid token, which must never be
// rejected, and with one that was revoked before, which must never be accepted.
func (s *shared) underLoad(t *testing.T, f func()) {
	t.Helper()
	_, valid := s.user()
	subject, revoked := s.user()
	if err := s.replicas[0].deny(subject); err != nil {
		t.Fatal(err)
	}
	s.awaitAll(t, revoked, time.Now())
	l, done := &load{}, make(chan struct{})
	var running sync.WaitGroup
	for range loaders {
		running.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(pause):
				}
				l.count(s.status(s.addr, valid), &l.accepted, &l.rejected)
				l.count(s.status(s.addr, revoked), &l.revokedAccepted, &l.revoked)
			}
		})
	}
	f()
	close(done)
	running.Wait()
	t.Logf("through nginx: of %d requests with a valid token, %d were rejected; of %d with a revoked one, %d were accepted; %d more had no answer or 503",
		l.accepted.Load()+l.rejected.Load(), l.rejected.Load(), l.revoked.Load()+l.revokedAccepted.Load(), l.revokedAccepted.Load(), l.unanswered.Load())
	if l.rejected.Load() > 0 || l.revokedAccepted.Load() > 0 || l.accepted.Load() == 0 || l.revoked.Load() == 0 {
		t.Error("want no valid token rejected, and no revoked one accepted")
	}
}

// count counts an answer.
func (l *load) count(status int, ok, rejected *atomic.Int64) {
	switch status {
	case http.StatusOK:
		ok.Add(1)
	case 0, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		l.unanswered.Add(1)
	default:
		rejected.Add(1)
	}
}

func TestEngineFails(t *testing.T) {
	for name, start := range engines {
		t.Run(name, func(t *testing.T) {
			s := startShared(t, start(t))
			t.Run("Latency", s.testLatency)
			t.Run("EngineRestarts", s.testEngineRestarts)
			t.Run("NetworkIsCut", s.testNetworkIsCut)
			t.Run("ReplicaIsKilled", s.testReplicaIsKilled)
			t.Run("ReplicaRestarts", s.testReplicaRestarts)
			t.Run("TenThousandRevocations", s.testTenThousand)
		})
	}
}

func (s *shared) testLatency(t *testing.T) {
	var times []time.Duration
	s.underLoad(t, func() {
		for i := range measured {
			subject, token := s.user()
			for _, r := range s.replicas {
				if got := s.status(r.addr, token); got != http.StatusOK {
					t.Fatalf("before Deny: status %d, want 200", got)
				}
			}
			start := time.Now()
			if err := s.replicas[i%len(s.replicas)].deny(subject); err != nil {
				t.Fatal(err)
			}
			times = append(times, s.awaitAll(t, token, start))
		}
	})
	slices.Sort(times)
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
	t.Logf("from Deny until all three replicas reject the token, %d times: median %s, p99 %s, max %s",
		len(times), ms(times[len(times)/2]), ms(times[len(times)*99/100]), ms(times[len(times)-1]))
}

func (s *shared) testEngineRestarts(t *testing.T) {
	s.underLoad(t, func() {
		s.engine.Kill(t)
		subject, token := s.user()
		if err := s.replicas[0].deny(subject); err == nil || !strings.Contains(err.Error(), gatehouse.ErrDenialNotShared.Error()) {
			t.Errorf("Deny while the engine does not run: %v, want ErrDenialNotShared", err)
		}
		for i, r := range s.replicas {
			want := []int{http.StatusUnauthorized, http.StatusOK, http.StatusOK}[i]
			if got := s.status(r.addr, token); got != want {
				t.Errorf("replica %s while the engine does not run: status %d, want %d", r.name, got, want)
			}
			r.awaitReady(t)
		}
		fresh := s.newReplica(t, 0, s.replicas[0].Env...)
		fresh.Env = append(fresh.Env, "PORT="+portOf(fresh.addr))
		fresh.Start(t)
		if got := s.status(fresh.addr, token); got != http.StatusServiceUnavailable {
			t.Errorf("a replica that starts without the engine: status %d, want 503", got)
		}
		s.engine.Start(t)
		start := time.Now()
		took := s.awaitAll(t, token, start)
		s.awaitStatus(t, fresh, token, http.StatusUnauthorized)
		t.Logf("%s after the engine listens again, all replicas know the denial that it did not take (promised: %s)",
			took.Round(time.Millisecond), promised)
		fresh.awaitReady(t)
		fresh.Kill(t)
	})
	s.awaitConnected(t)
}

func portOf(addr string) string { return addr[strings.LastIndex(addr, ":")+1:] }

// awaitConnected waits until all replicas watch the engine and have appended everything.
func (s *shared) awaitConnected(t *testing.T) {
	t.Helper()
	for _, r := range s.replicas {
		await(t, r.name+" is connected", func() error {
			got, err := r.stats()
			if err == nil && (!got.Revocations.Connected || got.Revocations.Unshared > 0) {
				err = fmt.Errorf("%+v", got.Revocations)
			}
			return err
		})
	}
}

func (s *shared) testNetworkIsCut(t *testing.T) {
	s.underLoad(t, func() {
		apart := s.replicas[2]
		s.networks[2].SetCut(true)
		subject, token := s.user()
		if err := s.replicas[0].deny(subject); err != nil {
			t.Fatal(err)
		}
		s.awaitStatus(t, s.replicas[1], token, http.StatusUnauthorized)
		if got := s.status(apart.addr, token); got != http.StatusOK {
			t.Errorf("the replica without a network: status %d, want 200, since it cannot know", got)
		}
		await(t, "the replica notices that the network is cut", func() error {
			got, err := apart.stats()
			if err == nil && got.Revocations.Connected {
				err = errors.New("it is connected")
			}
			return err
		})
		s.networks[2].SetCut(false)
		took := s.awaitAll(t, token, time.Now())
		t.Logf("%s after the network is back, the replica rejects the token (promised: %s)", took.Round(time.Millisecond), promised)
	})
	s.awaitConnected(t)
}

// testReplicaIsKilled kills a replica and starts it again, while others revoke. It may never accept a
// token that was revoked before it started.
func (s *shared) testReplicaIsKilled(t *testing.T) {
	s.underLoad(t, func() { s.restart(t, s.replicas[1].Kill) })
}

// testReplicaRestarts does the same with a replica that ends by itself, as for an update.
func (s *shared) testReplicaRestarts(t *testing.T) {
	s.underLoad(t, func() { s.restart(t, s.replicas[1].Stop) })
}

func (s *shared) restart(t *testing.T, end func(testing.TB)) {
	r := s.replicas[1]
	for range 5 {
		end(t)
		subject, revoked := s.user()
		_, valid := s.user()
		if err := s.replicas[0].deny(subject); err != nil {
			t.Fatal(err)
		}
		s.awaitStatus(t, s.replicas[2], revoked, http.StatusUnauthorized)
		r.Start(t)
		if got := s.status(r.addr, revoked); got != http.StatusUnauthorized && got != http.StatusServiceUnavailable {
			t.Errorf("the first answer to a revoked token has the status %d, want 401 or 503", got)
		}
		r.awaitReady(t)
		if got := s.status(r.addr, revoked); got != http.StatusUnauthorized {
			t.Errorf("a replica that is ready: status %d for a revoked token, want 401", got)
		}
		if got := s.status(r.addr, valid); got != http.StatusOK {
			t.Errorf("a replica that is ready: status %d for a valid token, want 200", got)
		}
		time.Sleep(time.Second) // nginx uses it again
	}
}

func (s *shared) testTenThousand(t *testing.T) {
	const many, batch = 10_000, 500
	store := s.engine.store(t)
	ctx, cancel := context.WithTimeout(t.Context(), giveUp)
	defer cancel()
	until := time.Now().Add(time.Hour).Truncate(time.Millisecond).UTC()
	for first := 0; first < many; first += batch {
		denials := make([]gatehouse.Denial, batch)
		for i := range denials {
			denials[i] = gatehouse.Denial{Subject: fmt.Sprint("user_of_many_", first+i), Until: until}
		}
		if err := store.Append(ctx, denials); err != nil {
			t.Fatal(err)
		}
	}
	last := s.token(fmt.Sprint("user_of_many_", many-1))
	s.awaitAll(t, last, time.Now())
	r := s.replicas[1]
	r.Stop(t)
	start := time.Now()
	r.Start(t)
	listens := time.Since(start)
	r.awaitReady(t)
	ready := time.Since(start)
	got, err := r.stats()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a replica listens %s after its start, and is ready with %d revocations %s later",
		listens.Round(time.Millisecond), got.Revocations.Count, (ready - listens).Round(time.Millisecond))
	if got.Revocations.Count < many {
		t.Errorf("it has %d revocations, want at least %d", got.Revocations.Count, many)
	}
	if got := s.status(r.addr, last); got != http.StatusUnauthorized {
		t.Errorf("status %d for the last one, want 401", got)
	}
}
