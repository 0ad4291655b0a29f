package keys_test

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
	"github.com/gatehouse-mcp/gatehouse/internal/keys"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

const interval = 4 * time.Second

func TestStampedeIsOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := publishing(ecJWK("a", ecA))
		i.Delay(200 * time.Millisecond)
		s := i.open(t)
		var right atomic.Int32
		for range 500 {
			go func() {
				if got, _ := present(t.Context(), s, "a", ecA); got == accepted {
					right.Add(1)
				}
			}()
		}
		time.Sleep(time.Second)
		if right.Load() != 500 || i.fetches() != 1 {
			t.Errorf("%d of 500 accepted with %d fetches, want all with 1", right.Load(), i.fetches())
		}
	})
}

func TestFirstUsesOfANewKeyShareOneFetch(t *testing.T) {
	for _, kid := range []string{"b", "a"} { // a new kid, and the same one
		t.Run(kid, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := publishing(ecJWK("a", ecA))
				s := i.open(t)
				wantAnswer(t, s, "a", ecA, accepted)
				time.Sleep(interval)
				i.publish(ecJWK(kid, ecB))
				i.Delay(200 * time.Millisecond)
				var right atomic.Int32
				for range 50 {
					go func() {
						if got, _ := present(t.Context(), s, kid, ecB); got == accepted {
							right.Add(1)
						}
					}()
				}
				time.Sleep(time.Second)
				if right.Load() != 50 || i.fetches() != 2 {
					t.Errorf("%d of 50 accepted with %d fetches, want all with 2", right.Load(), i.fetches())
				}
			})
		})
	}
}

// flood presents n tokens over the time d, from 100 callers at once. The
// channel is closed when all have their answers.
func flood(t *testing.T, s *keys.Set, n int, d time.Duration, kid func(k int) string) <-chan struct{} {
	const callers = 100
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for k := range n / callers {
				if got, _ := present(t.Context(), s, kid(c*n/callers+k), ecC); got == accepted {
					t.Error("garbage is accepted")
					return
				}
				time.Sleep(d / time.Duration(n/callers))
			}
		})
	}
	over := make(chan struct{})
	go func() { wg.Wait(); close(over) }()
	return over
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestFlood(t *testing.T) {
	for _, tc := range []struct {
		name string
		n    int
		kid  func(k int) string
	}{
		{"control: few tokens", 100, func(int) string { return "junk" }},
		{"unknown kids", 100_000, func(k int) string { return fmt.Sprintf("junk-%d", k) }},
		{"bad signatures", 20_000, func(int) string { return "a" }},
		{"bad signatures without kid", 20_000, func(int) string { return "" }},
		{"all", 20_000, func(k int) string { return []string{"a", "", fmt.Sprintf("junk-%d", k)}[k%3] }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := publishing(ecJWK("a", ecA))
				i.Delay(50 * time.Millisecond)
				s := i.open(t)
				wantAnswer(t, s, "a", ecA, accepted)
				over := flood(t, s, tc.n, 2*time.Minute, tc.kid)

				for range 300 { // 30 s: tokens of known keys are not affected
					time.Sleep(100 * time.Millisecond)
					wantAnswer(t, s, "a", ecA, accepted)
				}
				i.publish(ecJWK("a", ecA), ecJWK("b", ecB))
				published := time.Now()
				for got := later; got != accepted; time.Sleep(100 * time.Millisecond) {
					if got, _ = present(t.Context(), s, "b", ecB); got == rejected {
						t.Fatal("a token of a new key is rejected, want it accepted or answered with later")
					}
				}
				if late := time.Since(published); late > 5*time.Second {
					t.Errorf("new key is accepted after %s, want within 5s", late)
				}
				if isClosed(over) {
					t.Error("the flood is over too early")
				}
				<-over
				wantAnswer(t, s, "b", ecB, accepted)
				if n := testissuer.MostWithin(time.Minute, i.Requests("")); n > 15 {
					t.Errorf("%d fetches within a minute, want at most 15", n)
				}
				if searched, _ := s.Remembered(); searched > 2*keys.MaxSearched {
					t.Errorf("%d names remembered, want at most %d", searched, 2*keys.MaxSearched)
				}
			})
		})
	}
}

func TestRotation(t *testing.T) {
	type step struct {
		publish []member // nil: as before
		wait    time.Duration
		kid     string
		signer  *ecdsa.PublicKey
		want    answer
	}
	a, b := ecJWK("a", ecA), ecJWK("b", ecB)
	for _, tc := range []struct {
		name  string
		steps []step
	}{
		{"control: none", []step{
			{wait: time.Hour, kid: "a", signer: ecA, want: accepted},
			{kid: "a", signer: ecB, want: rejected},
			{kid: "b", signer: ecB, want: later},
			{wait: interval, kid: "b", signer: ecB, want: rejected},
		}},
		{"with overlap", []step{
			{publish: []member{a, b}, wait: interval, kid: "b", signer: ecB, want: accepted},
			{kid: "a", signer: ecA, want: accepted},
			{publish: []member{b}, wait: 11 * time.Minute, kid: "a", signer: ecA, want: rejected},
			{kid: "b", signer: ecB, want: accepted},
		}},
		{"without overlap", []step{
			{publish: []member{b}, wait: interval, kid: "b", signer: ecB, want: accepted},
			{kid: "a", signer: ecA, want: rejected},
		}},
		{"under the same kid", []step{
			{publish: []member{ecJWK("a", ecB)}, wait: interval, kid: "a", signer: ecB, want: accepted},
			{kid: "a", signer: ecA, want: rejected},
		}},
		{"two keys of one kid", []step{
			{publish: []member{a, ecJWK("a", ecB)}, wait: interval, kid: "a", signer: ecB, want: accepted},
			{kid: "a", signer: ecA, want: accepted},
		}},
		{"removed key noticed without a request", []step{
			{publish: []member{b}, wait: 11 * time.Minute, kid: "a", signer: ecA, want: rejected},
		}},
		{"removed key comes back", []step{
			{publish: []member{b}, wait: interval, kid: "b", signer: ecB, want: accepted},
			{kid: "a", signer: ecA, want: rejected},
			{publish: []member{a, b}, wait: interval, kid: "a", signer: ecA, want: accepted},
		}},
		{"empty set does not count", []step{
			{publish: []member{}, wait: 11 * time.Minute, kid: "a", signer: ecA, want: accepted},
			{publish: []member{b}, wait: interval, kid: "b", signer: ecB, want: accepted},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := publishing(a)
				s := i.open(t)
				wantAnswer(t, s, "a", ecA, accepted)
				for k, step := range tc.steps {
					if step.publish != nil {
						i.publish(step.publish...)
					}
					time.Sleep(step.wait)
					if got, _ := present(t.Context(), s, step.kid, step.signer); got != step.want {
						t.Fatalf("step %d: kid %q is %s, want %s", k+1, step.kid, got, step.want)
					}
				}
			})
		})
	}
}

func TestUnknownKid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := publishing(ecJWK("a", ecA))
		s := i.open(t)
		wantAnswer(t, s, "a", ecA, accepted)

		time.Sleep(time.Second)
		if after := wantAnswer(t, s, "x", ecC, later); after != interval-time.Second {
			t.Errorf("RetryAfter is %s, want %s", after, interval-time.Second)
		}
		time.Sleep(interval - time.Second)
		wantAnswer(t, s, "x", ecC, rejected)
		time.Sleep(time.Second)
		wantAnswer(t, s, "x", ecC, rejected) // no new fetch: the last one began after the first search for x
		wantAnswer(t, s, "y", ecC, later)
		if i.fetches() != 2 {
			t.Errorf("%d fetches, want 2", i.fetches())
		}
	})
}

// A fetch that began before the first search for a kid does not show whether the kid
// exists, even if it ends later.
func TestUnknownKidDuringAFetch(t *testing.T) {
	for _, tc := range []struct {
		name  string
		delay time.Duration
		want  answer
	}{
		{"fetch ends within the interval", 2 * time.Second, later},
		{"the next may begin at once", 4500 * time.Millisecond, rejected},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := publishing(ecJWK("a", ecA))
				s := i.open(t)
				wantAnswer(t, s, "a", ecA, accepted)
				time.Sleep(interval)
				i.Delay(tc.delay)
				go present(t.Context(), s, "x", ecC)
				time.Sleep(time.Second)
				wantAnswer(t, s, "y", ecC, tc.want)
			})
		})
	}
}

// A token of a removed key is rejected at once, even while a flood fills the table of
// searches.
func TestRemovedKeyIsRejectedInAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := publishing(ecJWK("a", ecA), ecJWK("b", ecB))
		s := i.open(t)
		wantAnswer(t, s, "a", ecA, accepted)
		i.publish(ecJWK("b", ecB))
		time.Sleep(11 * time.Minute)
		over := flood(t, s, 10_000, time.Minute, func(k int) string { return fmt.Sprint(k) })
		for range 100 {
			time.Sleep(500 * time.Millisecond)
			wantAnswer(t, s, "a", ecA, rejected)
		}
		<-over
	})
}

// The table of searches that a flood has filled is empty two successful fetches later.
func TestUnknownKidsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := publishing(ecJWK("a", ecA))
		s := i.open(t)
		wantAnswer(t, s, "a", ecA, accepted)
		for k := range 2 * keys.MaxSearched {
			wantAnswer(t, s, fmt.Sprint(k), ecC, later)
		}
		if searched, _ := s.Remembered(); searched != keys.MaxSearched {
			t.Errorf("%d names remembered, want %d", searched, keys.MaxSearched)
		}
		time.Sleep(interval)
		wantAnswer(t, s, "x", ecC, rejected)
		wantAnswer(t, s, "x", ecC, rejected) // without another fetch
		time.Sleep(interval)
		wantAnswer(t, s, "y", ecC, rejected)
		time.Sleep(interval)
		wantAnswer(t, s, "y", ecC, rejected)
		if searched, _ := s.Remembered(); searched > 2 {
			t.Errorf("%d names remembered, want at most x and y", searched)
		}
	})
}

func TestRetiredNamesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := publishing(ecJWK("a", ecA))
		s := i.open(t)
		for round := range 2 + keys.MaxRetired/keys.MaxKeys {
			var list []member
			for k := range keys.MaxKeys {
				list = append(list, ecJWK(fmt.Sprintf("%d-%d", round, k), ecB))
			}
			i.publish(list...)
			wantAnswer(t, s, fmt.Sprintf("%d-0", round), ecB, accepted)
			time.Sleep(interval)
		}
		if _, retired := s.Remembered(); retired != keys.MaxRetired {
			t.Errorf("%d retired names, want %d", retired, keys.MaxRetired)
		}
	})
}

// Names that no key set could hold cost no fetch and no memory.
func TestImpossibleNames(t *testing.T) {
	for _, tc := range []struct {
		name, kid, alg string
		wantFetches    int
	}{
		{"control", "x", "ES256", 2},
		{"longest kid", strings.Repeat("x", jose.MaxKeyID), "ES256", 2},
		{"kid too long", strings.Repeat("x", jose.MaxKeyID+1), "ES256", 1},
		{"no kid, and no key for alg", "", "RS256", 2},
		{"no kid, and alg not wanted", "", "RS512", 1},
		{"no alg", "a", "", 1},
		{"alg none", "a", "none", 1},
		{"symmetric alg", "a", "HS256", 1},
		{"alg not wanted", "a", "RS512", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := publishing(ecJWK("a", ecA))
				s := i.open(t, func(cfg *keys.Config) { cfg.Algorithms = []string{"ES256", "RS256"} })
				wantAnswer(t, s, "a", ecA, accepted)
				time.Sleep(interval)
				found, generation, err := s.Find(t.Context(), tc.kid, tc.alg)
				if len(found) != 0 || generation != 1 || err != nil {
					t.Errorf("Find = %v, %d, %v, want none, 1, nil", found, generation, err)
				}
				if i.fetches() != tc.wantFetches {
					t.Errorf("%d fetches, want %d", i.fetches(), tc.wantFetches)
				}
			})
		})
	}
}

// One kid may move to another algorithm: a Clerk kid is the instance's id.
func TestAlgorithmChangesUnderTheSameKid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := publishing(rsaJWK("ins_1", rsaA()))
		s := i.open(t)
		found, _, err := s.Find(t.Context(), "ins_1", "RS256")
		if len(found) != 1 || !rsaA().Equal(found[0]) || err != nil {
			t.Fatalf("Find = %v, %v, want the RSA key", found, err)
		}
		time.Sleep(interval)
		wantAnswer(t, s, "ins_1", ecA, rejected)
		i.publish(ecJWK("ins_1", ecA))
		time.Sleep(interval)
		wantAnswer(t, s, "ins_1", ecA, accepted)
		if found, _, err := s.Find(t.Context(), "ins_1", "RS256"); len(found) != 0 || err != nil {
			t.Errorf("Find = %v, %v, want none: the RSA key was removed", found, err)
		}
	})
}

func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := publishing(ecJWK("a", ecA))
		s := i.open(t)
		wantAnswer(t, s, "a", ecA, accepted)
		i.down()

		time.Sleep(23 * time.Hour)
		wantAnswer(t, s, "a", ecA, accepted)
		wantAnswer(t, s, "a", ecB, rejected)
		for range 10 {
			wantAnswer(t, s, "x", ecC, later)
			time.Sleep(time.Second)
		}

		time.Sleep(2 * time.Hour)
		wantAnswer(t, s, "a", ecA, later)
		if s.Generation() != 0 {
			t.Errorf("Generation() = %d without usable keys, want 0", s.Generation())
		}

		i.publish(ecJWK("a", ecA))
		time.Sleep(interval)
		wantAnswer(t, s, "a", ecA, accepted)
		wantAnswer(t, s, "x", ecC, rejected)
		if s.Generation() != 1 {
			t.Errorf("Generation() = %d, want 1: the same keys are back", s.Generation())
		}
	})
}

// A kid that the issuer did not have is answered with later while the issuer is
// unavailable: it may have been published since.
func TestAbsentKidDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := publishing(ecJWK("a", ecA))
		s := i.open(t)
		wantAnswer(t, s, "a", ecA, accepted)
		time.Sleep(interval)
		wantAnswer(t, s, "x", ecC, rejected)
		i.down()
		time.Sleep(interval)
		for range 10 {
			wantAnswer(t, s, "x", ecC, later)
			time.Sleep(time.Second)
		}
	})
}

func TestStartWithoutIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := publishing(ecJWK("a", ecA))
		i.down()
		s := i.open(t)
		if err := s.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "fetching keys: ") {
			t.Fatalf("Ready = %v, want an error about fetching keys", err)
		}
		wantAnswer(t, s, "a", ecA, later)
		time.Sleep(time.Hour)
		i.publish(ecJWK("a", ecA))

		time.Sleep(67 * time.Second) // no request meanwhile
		if s.Generation() != 1 {
			t.Error("no keys a backoff after the issuer came back")
		}
		n := i.fetches()
		wantAnswer(t, s, "a", ecA, accepted)
		if i.fetches() != n {
			t.Error("a request had to fetch")
		}
	})
}

func TestRequestRecoversAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := publishing(ecJWK("a", ecA))
		i.down()
		s := i.open(t)
		wantAnswer(t, s, "a", ecA, later)
		time.Sleep(time.Hour)
		i.publish(ecJWK("a", ecA))
		_, after := present(t.Context(), s, "a", ecA)
		time.Sleep(min(after, interval))
		wantAnswer(t, s, "a", ecA, accepted)
	})
}

// Whatever a broken issuer sends, tokens of known keys are accepted, unknown kids are
// answered with later, and the next usable set is adopted.
func TestBadSetsDoNoHarm(t *testing.T) {
	oct := member{"kty": "oct", "kid": "a", "alg": "HS256", "k": "c2VjcmV0"}
	for _, tc := range []struct {
		name   string
		mutate func(*issuer)
		want   answer // for a kid that is unknown
	}{
		{"control", func(*issuer) {}, rejected},
		{"500", func(i *issuer) { i.Respond(500, "") }, later},
		{"HTML", func(i *issuer) { i.Respond(200, "<html>") }, later},
		{"10 MB", func(i *issuer) { i.Respond(200, `{"keys":[],"x":"`+strings.Repeat("x", 10<<20)+`"}`) }, later},
		{"empty set", func(i *issuer) { i.publish() }, later},
		{"no set", func(i *issuer) { i.Respond(200, `{"Keys":[]}`) }, later},
		{"keys is not an array", func(i *issuer) { i.Respond(200, `{"keys":{}}`) }, later},
		{"only unusable keys", func(i *issuer) { i.publish(oct) }, later},
		{"too many keys", func(i *issuer) { i.publish(make([]member, keys.MaxKeys+1)...) }, later},
		{"never answers", func(i *issuer) { i.Delay(time.Hour) }, later},
		{"down", (*issuer).down, later},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := publishing(ecJWK("a", ecA))
				s := i.open(t)
				wantAnswer(t, s, "a", ecA, accepted)
				tc.mutate(i)
				time.Sleep(interval)
				wantAnswer(t, s, "x", ecC, tc.want)
				wantAnswer(t, s, "a", ecA, accepted)
				i.Delay(0)
				i.publish(ecJWK("b", ecB))
				time.Sleep(interval)
				wantAnswer(t, s, "b", ecB, accepted)
				wantAnswer(t, s, "a", ecA, rejected)
			})
		})
	}
}

func TestCallerLeavesAndFetchGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := publishing(ecJWK("a", ecA))
		i.Delay(2 * time.Second)
		s := i.open(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got, _ := present(ctx, s, "a", ecA); got != later {
			t.Errorf("a caller without time gets %s, want %s", got, later)
		}
		wantAnswer(t, s, "a", ecA, accepted)
		if i.fetches() != 1 {
			t.Errorf("%d fetches, want 1", i.fetches())
		}
	})
}

func TestGenerationFollowsTheMaterial(t *testing.T) {
	a, b := ecJWK("a", ecA), ecJWK("b", ecB)
	withX5T := ecJWK("a", ecA)
	withX5T["x5t"] = "abc"
	unusable := member{"kty": "AKP", "kid": "pq", "alg": "ML-DSA-44", "pub": "AAAA"}
	synctest.Test(t, func(t *testing.T) {
		i := publishing(a)
		s := i.open(t)
		if s.Generation() != 0 {
			t.Errorf("Generation() = %d before the first fetch, want 0", s.Generation())
		}
		for k, step := range []struct {
			publish []member
			want    uint64
		}{
			{[]member{a}, 1},
			{[]member{withX5T}, 1},
			{[]member{a, a, unusable}, 1},
			{[]member{a, b}, 2},
			{[]member{b, a}, 2},
			{[]member{b}, 3},
			{[]member{a}, 4},
			{[]member{ecJWK("a", ecB)}, 5},
			{[]member{}, 5},
		} {
			i.publish(step.publish...)
			if err := s.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(interval)
			s.Find(t.Context(), fmt.Sprint("x", k), "ES256") // causes a fetch
			if got := s.Generation(); got != step.want {
				t.Errorf("step %d: Generation() = %d, want %d", k+1, got, step.want)
			}
		}
	})
}

func TestKeyFileServesThroughAnOutage(t *testing.T) {
	for _, tc := range []struct {
		name   string
		age    time.Duration
		mutate func(*keys.Config)
		want   answer
	}{
		{"control", 0, func(*keys.Config) {}, accepted},
		{"23 h old", 23 * time.Hour, func(*keys.Config) {}, accepted},
		{"25 h old", 25 * time.Hour, func(*keys.Config) {}, later},
		{"of another issuer", 0, func(cfg *keys.Config) { cfg.URL = "https://other.example/jwks" }, later},
		{"of other algorithms", 0, func(cfg *keys.Config) { cfg.Algorithms = []string{"RS256", "ES256"} }, accepted},
		{"of no wanted algorithm", 0, func(cfg *keys.Config) { cfg.Algorithms = []string{"RS256"} }, later},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "keys.json")
				i := publishing(ecJWK("a", ecA))
				before := i.open(t, func(cfg *keys.Config) { cfg.File = file })
				wantAnswer(t, before, "a", ecA, accepted)
				before.Close()
				i.down()
				time.Sleep(tc.age)
				s := i.open(t, func(cfg *keys.Config) { cfg.File = file; tc.mutate(cfg) })
				wantAnswer(t, s, "a", ecA, tc.want)
				wantAnswer(t, s, "x", ecC, later)
			})
		})
	}
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := publishing(ecJWK("a", ecA), ecJWK("a", ecB), member{"kty": "AKP", "kid": "pq"})
		s := i.open(t)
		wantAnswer(t, s, "a", ecA, accepted)
		wantAnswer(t, s, "x", ecC, later)
		got := s.Stats()
		if got.Keys != 2 || got.Generation != 1 || got.Fetches != 1 {
			t.Errorf("Stats() = %+v, want 2 keys, generation 1, 1 fetch", got)
		}
	})
}

// The whole path over real sockets: concurrent callers through a rotation.
func TestOverSockets(t *testing.T) {
	t.Parallel()
	var body atomic.Value
	body.Store(jwks(ecJWK("a", ecA)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, body.Load())
	}))
	t.Cleanup(server.Close)
	s := keys.New(keys.Config{URL: server.URL, MinInterval: time.Nanosecond})
	t.Cleanup(s.Close)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got, _ := present(t.Context(), s, "a", ecA); got != accepted {
				t.Errorf("before the rotation: %s, want accepted", got)
			}
		})
	}
	wg.Wait()
	body.Store(jwks(ecJWK("b", ecB)))
	for range 20 {
		wg.Go(func() {
			if got, _ := present(t.Context(), s, "b", ecB); got != accepted {
				t.Errorf("after the rotation: %s, want accepted", got)
			}
			if got, _ := present(t.Context(), s, "a", ecA); got != rejected {
				t.Errorf("the removed key: %s, want rejected", got)
			}
		})
	}
	wg.Wait()
}

func TestFindOfAKnownKeyAllocatesNothing(t *testing.T) {
	s := publishing(ecJWK("a", ecA)).open(t)
	wantAnswer(t, s, "a", ecA, accepted)
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { s.Find(ctx, "a", "ES256") }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkFindKnown(b *testing.B) {
	s := publishing(ecJWK("a", ecA)).open(b)
	if err := s.Ready(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		ctx := context.Background()
		for pb.Next() {
			if found, _, err := s.Find(ctx, "a", "ES256"); len(found) != 1 || err != nil {
				b.Fatalf("Find = %v, %v", found, err)
			}
		}
	})
}

func BenchmarkGeneration(b *testing.B) {
	s := publishing(ecJWK("a", ecA)).open(b)
	if err := s.Ready(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if s.Generation() != 1 {
				b.Fatal("generation is not 1")
			}
		}
	})
}
