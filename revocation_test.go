package gatehouse_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
)

// replica is one of several guards that share a store, in a bubble.
type replica struct {
	*gatehouse.Guard
	handler http.Handler
	log     *testlog.Buffer
}

// newReplica returns a guard that shares the store.
func newReplica(t *testing.T, is *issuer, store gatehouse.RevocationStore) *replica {
	r := &replica{log: &testlog.Buffer{}}
	r.Guard = newGuard(t, is, func(cfg *gatehouse.Config) { cfg.Revocations, cfg.Logger = store, r.log.Logger() })
	t.Cleanup(r.Close)
	r.handler = r.Wrap(behind)
	return r
}

// status returns the status of a request with the token.
func (r *replica) status(token string) int {
	return send(r.handler, request{header: bearer(token)}).StatusCode
}

func (r *replica) mustBeReady(t *testing.T) {
	t.Helper()
	if err := r.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func denyUser(subject string) gatehouse.Denial {
	return gatehouse.Denial{Subject: subject, Until: time.Now().Add(24 * time.Hour)}
}

// inReplicas runs a test in a bubble, with a token of user_1 that is valid for an hour.
func inReplicas(t *testing.T, test func(t *testing.T, is *issuer, store *gatehousetest.Revocations, token string)) {
	is := newIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		test(t, is, gatehousetest.NewRevocations(), is.token(resource))
	})
}

func TestRevocationsAreShared(t *testing.T) {
	inReplicas(t, func(t *testing.T, is *issuer, store *gatehousetest.Revocations, token string) {
		one, two := newReplica(t, is, store), newReplica(t, is, store)
		one.mustBeReady(t)
		two.mustBeReady(t)
		if got := two.status(token); got != 200 {
			t.Fatalf("before Deny: status %d, want 200", got)
		}
		if err := one.Deny(denyUser("user_1")); err != nil {
			t.Fatal(err)
		}
		if got := one.status(token); got != 401 {
			t.Errorf("the replica of Deny: status %d, want 401", got)
		}
		synctest.Wait()
		if got := two.status(token); got != 401 {
			t.Errorf("the other replica: status %d, want 401", got)
		}
		three := newReplica(t, is, store)
		if got := three.status(token); got != 401 {
			t.Errorf("a replica that starts afterwards: status %d, want 401", got)
		}
		stats := two.Stats().Revocations
		if stats.Count != 1 || !stats.Loaded || !stats.Connected || stats.Received != 1 || stats.LastEvent.IsZero() ||
			stats.Lag > time.Second || stats.Failures != 0 || stats.Unshared != 0 {
			t.Errorf("Stats().Revocations = %+v", stats)
		}
	})
}

func TestReadyWaitsForRevocations(t *testing.T) {
	inReplicas(t, func(t *testing.T, is *issuer, store *gatehousetest.Revocations, token string) {
		for name, fault := range map[string]func(bool){"down": store.SetDown, "silent": store.SetSilent} {
			fault(true)
			guard := newReplica(t, is, store)
			start := time.Now()
			if err := guard.Ready(t.Context()); !errors.Is(err, gatehouse.ErrRevocationsNotLoaded) {
				t.Errorf("%s: Ready = %v, want ErrRevocationsNotLoaded", name, err)
			}
			if got := guard.status(token); got != 503 {
				t.Errorf("%s: status %d, want 503", name, got)
			}
			if wait := time.Since(start); wait > 11*time.Second {
				t.Errorf("%s: Ready and a request waited for %s", name, wait)
			}
			if n := guard.Stats().Rejected["revocations_unavailable"]; n != 1 {
				t.Errorf("%s: %d rejected as revocations_unavailable, want 1", name, n)
			}
			fault(false)
			time.Sleep(11 * time.Second) // an attempt that hangs has ten seconds
			if err := guard.Ready(t.Context()); err != nil {
				t.Errorf("%s, afterwards: Ready = %v", name, err)
			}
			if got := guard.status(token); got != 200 {
				t.Errorf("%s, afterwards: status %d, want 200", name, got)
			}
		}
	})
}

// A canceled request must not wait for the store.
func TestRequestDoesNotOutliveItsContext(t *testing.T) {
	inReplicas(t, func(t *testing.T, is *issuer, store *gatehousetest.Revocations, token string) {
		store.SetSilent(true)
		guard := newReplica(t, is, store)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := guard.Ready(ctx); !errors.Is(err, gatehouse.ErrRevocationsNotLoaded) || time.Since(start) > time.Second {
			t.Errorf("Ready = %v after %s, want ErrRevocationsNotLoaded after a second", err, time.Since(start))
		}
	})
}

func TestRevocationStoreFails(t *testing.T) {
	for name, fault := range map[string]func(*gatehousetest.Revocations, bool){
		"down":   (*gatehousetest.Revocations).SetDown,
		"silent": (*gatehousetest.Revocations).SetSilent,
	} {
		t.Run(name, func(t *testing.T) {
			inReplicas(t, func(t *testing.T, is *issuer, store *gatehousetest.Revocations, token string) {
				one, two := newReplica(t, is, store), newReplica(t, is, store)
				one.mustBeReady(t)
				two.mustBeReady(t)
				synctest.Wait()
				if err := one.Deny(denyUser("user_2")); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()

				fault(store, true)
				time.Sleep(time.Minute)
				if err := two.Ready(t.Context()); err != nil {
					t.Errorf("in the outage: Ready = %v, want nil", err)
				}
				if got := two.status(token); got != 200 {
					t.Errorf("in the outage, another user: status %d, want 200", got)
				}
				stats := two.Stats().Revocations
				if stats.Connected || stats.Failures == 0 || stats.Lag < 55*time.Second || stats.Count != 1 {
					t.Errorf("in the outage: Stats().Revocations = %+v", stats)
				}
				start := time.Now()
				if err := one.Deny(denyUser("user_1")); !errors.Is(err, gatehouse.ErrDenialNotShared) {
					t.Errorf("in the outage: Deny = %v, want ErrDenialNotShared", err)
				}
				if wait := time.Since(start); wait > 5*time.Second {
					t.Errorf("Deny waited for %s", wait)
				}
				if got := one.status(token); got != 401 {
					t.Errorf("in the outage, the replica of Deny: status %d, want 401", got)
				}
				if n := one.Stats().Revocations.Unshared; n != 1 {
					t.Errorf("%d denials are not shared, want 1", n)
				}

				fault(store, false)
				time.Sleep(16 * time.Second) // the promised bound
				if got := two.status(token); got != 401 {
					t.Errorf("after the outage, the other replica: status %d, want 401", got)
				}
				if s := one.Stats().Revocations; s.Unshared != 0 || !s.Connected {
					t.Errorf("after the outage: Stats().Revocations = %+v", s)
				}
				for text, want := range map[string]int{"store is unavailable;": 1, "store is available again": 1} {
					if got := strings.Count(two.log.String(), text); got != want {
						t.Errorf("the log has %q %d times, want %d:\n%s", text, got, want, two.log)
					}
				}
			})
		})
	}
}

func TestRevocationPositionIsLost(t *testing.T) {
	inReplicas(t, func(t *testing.T, is *issuer, store *gatehousetest.Revocations, token string) {
		guard := newReplica(t, is, store)
		guard.mustBeReady(t)
		synctest.Wait()
		store.SetDown(true)
		time.Sleep(time.Second)
		store.SetDown(false)
		if err := store.Append(t.Context(), []gatehouse.Denial{denyUser("user_1")}); err != nil {
			t.Fatal(err)
		}
		store.LosePositions()
		time.Sleep(6 * time.Second)
		if got := guard.status(token); got != 401 {
			t.Errorf("status %d, want 401", got)
		}
		if s := guard.Stats().Revocations; s.Snapshots != 2 || !s.Connected {
			t.Errorf("Stats().Revocations = %+v, want two snapshots", s)
		}
	})
}

// What the store has lost, any process that has it appends again.
func TestRevocationsThatTheStoreLost(t *testing.T) {
	inReplicas(t, func(t *testing.T, is *issuer, store *gatehousetest.Revocations, token string) {
		one, two := newReplica(t, is, store), newReplica(t, is, store)
		one.mustBeReady(t)
		two.mustBeReady(t)
		for i := range 1200 {
			if err := store.Append(t.Context(), []gatehouse.Denial{denyUser(fmt.Sprint("user_", i))}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		one.Close()
		store.LoseData()
		time.Sleep(6 * time.Second)
		three := newReplica(t, is, store)
		if got := three.status(token); got != 401 {
			t.Errorf("a replica that starts afterwards: status %d, want 401", got)
		}
		if n := three.Stats().Revocations.Count; n != 1200 {
			t.Errorf("it has %d denials, want 1200", n)
		}
	})
}

func TestSharedDenialsEnd(t *testing.T) {
	inReplicas(t, func(t *testing.T, is *issuer, store *gatehousetest.Revocations, token string) {
		one, two := newReplica(t, is, store), newReplica(t, is, store)
		one.mustBeReady(t)
		two.mustBeReady(t)
		if err := one.Deny(gatehouse.Denial{Subject: "user_1", Until: time.Now().Add(30 * time.Minute)}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := two.status(token); got != 401 {
			t.Errorf("status %d, want 401", got)
		}
		time.Sleep(30*time.Minute + time.Millisecond)
		if got := two.status(token); got != 200 {
			t.Errorf("after its end: status %d, want 200", got)
		}
		if n := two.Stats().Revocations.Count; n != 0 {
			t.Errorf("after its end: %d denials, want 0", n)
		}
	})
}

// The store is not trusted to have denials that this package would make.
func TestInvalidDenialsOfTheStore(t *testing.T) {
	inReplicas(t, func(t *testing.T, is *issuer, store *gatehousetest.Revocations, token string) {
		guard := newReplica(t, is, store)
		guard.mustBeReady(t)
		until := time.Now().Add(time.Hour)
		invalid := []gatehouse.Denial{{Until: until}, {Organization: "org_1", Until: until}, {Subject: strings.Repeat("x", 1025), Until: until}}
		if err := store.Append(t.Context(), append(invalid, denyUser("user_2"))); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := guard.status(token); got != 200 {
			t.Errorf("status %d, want 200", got)
		}
		if s := guard.Stats().Revocations; s.Invalid != 3 || s.Count != 1 {
			t.Errorf("Stats().Revocations = %+v, want three invalid ones and one valid", s)
		}
	})
}

func TestTooManySharedDenials(t *testing.T) {
	inReplicas(t, func(t *testing.T, is *issuer, store *gatehousetest.Revocations, token string) {
		guard := newReplica(t, is, store)
		guard.mustBeReady(t)
		var many []gatehouse.Denial
		for i := range 2*gatehouse.MaxDenials + 3 {
			many = append(many, gatehouse.Denial{Subject: fmt.Sprint("many_", i), Until: time.Now().Add(time.Minute)})
		}
		if err := store.Append(t.Context(), many); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := guard.Deny(denyUser("user_9")); !errors.Is(err, gatehouse.ErrTooManyDenials) {
			t.Errorf("Deny = %v, want ErrTooManyDenials", err)
		}
		if err := guard.Ready(t.Context()); !errors.Is(err, gatehouse.ErrRevocationsNotLoaded) || !strings.Contains(err.Error(), "set Until") {
			t.Errorf("Ready = %v, want ErrRevocationsNotLoaded with the fix", err)
		}
		if s := guard.Stats().Revocations; s.Dropped != 3 || s.Count != 2*gatehouse.MaxDenials {
			t.Errorf("Stats().Revocations = %+v, want three dropped", s)
		}
		if got := guard.status(token); got != 200 {
			t.Errorf("a running replica: status %d, want 200", got)
		}
		other := newReplica(t, is, store)
		if got := other.status(token); got != 503 {
			t.Errorf("a replica that starts now: status %d, want 503", got)
		}
		time.Sleep(2 * time.Minute)
		for name, r := range map[string]*replica{"running": guard, "started": other} {
			if err := r.Ready(t.Context()); err != nil {
				t.Errorf("after they ended, the %s one: Ready = %v, want nil", name, err)
			}
		}
	})
}

func TestCloseStopsWatching(t *testing.T) {
	inReplicas(t, func(t *testing.T, is *issuer, store *gatehousetest.Revocations, token string) {
		guard := newReplica(t, is, store)
		guard.mustBeReady(t)
		guard.Close()
		synctest.Wait()
		if err := store.Append(t.Context(), []gatehouse.Denial{denyUser("user_1")}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := guard.status(token); got != 200 {
			t.Errorf("status %d, want 200 as before", got)
		}
	}) // the bubble fails if a goroutine is left
}

// panickingStore panics in every method.
type panickingStore struct{}

func (panickingStore) Append(context.Context, []gatehouse.Denial) error { panic("secret") }
func (panickingStore) Snapshot(context.Context) ([]gatehouse.Denial, string, error) {
	panic("secret")
}
func (panickingStore) Watch(context.Context, string, func([]gatehouse.Denial, string)) error {
	panic("secret")
}

func TestRevocationStoreMayPanic(t *testing.T) {
	is := newIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		guard := newReplica(t, is, panickingStore{})
		if err := guard.Ready(t.Context()); !errors.Is(err, gatehouse.ErrRevocationsNotLoaded) {
			t.Errorf("Ready = %v, want ErrRevocationsNotLoaded", err)
		}
		if err := guard.Deny(denyUser("user_1")); !errors.Is(err, gatehouse.ErrDenialNotShared) {
			t.Errorf("Deny = %v, want ErrDenialNotShared", err)
		}
		if log := guard.log.String(); strings.Contains(log, "secret") || !strings.Contains(log, "the store panicked") {
			t.Errorf("the log is %s", log)
		}
	})
}

// A denial that arrives from the store ends streams as Deny does.
func TestSharedDenialEndsStreams(t *testing.T) {
	store := gatehousetest.NewRevocations()
	s := startLive(t, func(cfg *gatehouse.Config) { cfg.Revocations = store })
	denied, other := s.client(t, eras[0], "user_1"), s.client(t, eras[0], "user_2")
	_, deniedLines := denied.openStream(t)
	_, otherLines := other.openStream(t)
	if err := store.Append(t.Context(), []gatehouse.Denial{denyUser("user_1")}); err != nil {
		t.Fatal(err)
	}
	for range deniedLines { // until the stream ends
	}
	s.notify("after")
	if !next(t, otherLines, "list_changed") {
		t.Error("the stream of another user has ended")
	}
}

func TestDenialsCoverEachOther(t *testing.T) {
	now := time.Now().Truncate(time.Millisecond)
	narrow := gatehouse.Denial{Subject: "user_1", IssuedBefore: now, Until: now.Add(time.Hour)}
	change := func(f func(*gatehouse.Denial)) gatehouse.Denial { d := narrow; f(&d); return d }
	for _, test := range []struct {
		name  string
		other gatehouse.Denial
		want  int
	}{
		{"the same", narrow, 1},
		{"longer", change(func(d *gatehouse.Denial) { d.Until = now.Add(2 * time.Hour) }), 1},
		{"shorter", change(func(d *gatehouse.Denial) { d.Until = now.Add(time.Minute) }), 1},
		{"later tokens too", change(func(d *gatehouse.Denial) { d.IssuedBefore = now.Add(time.Minute) }), 1},
		{"all tokens", change(func(d *gatehouse.Denial) { d.IssuedBefore = time.Time{} }), 1},
		{"all tokens, shorter", change(func(d *gatehouse.Denial) { d.IssuedBefore, d.Until = time.Time{}, now.Add(time.Minute) }), 2},
		{"another organization", change(func(d *gatehouse.Denial) { d.Organization = "org_1" }), 2},
		{"another issuer", change(func(d *gatehouse.Denial) { d.Issuer = "https://other.example" }), 2},
		{"another user", change(func(d *gatehouse.Denial) { d.Subject = "user_2" }), 2},
	} {
		for _, order := range [][]gatehouse.Denial{{narrow, test.other}, {test.other, narrow}} {
			guard := newGuard(t, newIssuer(t))
			for _, d := range order {
				if err := guard.Deny(d); err != nil {
					t.Fatal(err)
				}
			}
			if got := guard.Stats().Revocations.Count; got != test.want {
				t.Errorf("%s: %d denials, want %d (%+v)", test.name, got, test.want, slices.Clone(order))
			}
		}
	}
}

// pickyStore rejects each batch with a denial of the user rejected.
type pickyStore struct {
	*gatehousetest.Revocations
	rejected string
}

func (s pickyStore) Append(ctx context.Context, list []gatehouse.Denial) error {
	if slices.ContainsFunc(list, func(d gatehouse.Denial) bool { return d.Subject == s.rejected }) {
		return errors.New("the encoding of the database does not have the character")
	}
	return s.Revocations.Append(ctx, list)
}

// A denial that the store rejects for good does not keep others from it, which were made while it was down.
func TestOneDenialIsRejectedByTheStore(t *testing.T) {
	for rejected, want := range map[string][]string{"": {"user_1", "user_2", "user_3"}, "user_1": {"user_2", "user_3"}, "user_3": {"user_1", "user_2"}} {
		inReplicas(t, func(t *testing.T, is *issuer, store *gatehousetest.Revocations, token string) {
			guard := newReplica(t, is, pickyStore{store, rejected})
			guard.mustBeReady(t)
			store.SetDown(true)
			for i := range 3 {
				if err := guard.Deny(denyUser(fmt.Sprint("user_", i+1))); !errors.Is(err, gatehouse.ErrDenialNotShared) {
					t.Fatalf("Deny = %v, want ErrDenialNotShared", err)
				}
			}
			store.SetDown(false)
			time.Sleep(time.Minute)
			var got []string
			for _, d := range store.Denials() {
				got = append(got, d.Subject)
			}
			slices.Sort(got)
			if !slices.Equal(slices.Compact(got), want) {
				t.Errorf("with %q rejected, the store has %q, want %q", rejected, got, want)
			}
			if n := guard.Stats().Revocations.Unshared; n != 3-len(want) {
				t.Errorf("with %q rejected, %d denials are not shared, want %d", rejected, n, 3-len(want))
			}
		})
	}
}

// An end that is far away counts as the end of the year 9999: in milliseconds it would overflow.
func TestDenyForEver(t *testing.T) {
	inReplicas(t, func(t *testing.T, is *issuer, store *gatehousetest.Revocations, token string) {
		guard := newReplica(t, is, store)
		guard.mustBeReady(t)
		if got := guard.status(token); got != 200 {
			t.Fatalf("before Deny: status %d, want 200", got)
		}
		if err := guard.Deny(gatehouse.Denial{Subject: "user_1", Until: time.Unix(1<<60, 0)}); err != nil {
			t.Fatal(err)
		}
		if got := guard.status(token); got != 401 {
			t.Errorf("after Deny: status %d, want 401", got)
		}
		if got := store.Denials(); len(got) != 1 || got[0].Until.Year() != 9999 {
			t.Errorf("the store has %v, want one until the year 9999", got)
		}
	})
}
