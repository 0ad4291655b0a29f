//go:build stores

package redis_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/internal/teststore"
	gatehouseredis "github.com/gatehouse-mcp/gatehouse/store/redis"
	"github.com/redis/go-redis/v9"
)

const limitedResource = "https://mcp.example.com/mcp"

var limiterKey = gatehouseredis.LimiterKey(strings.Repeat("k", 32))

func openLimiter(t testing.TB, client redis.UniversalClient) *gatehouseredis.Limiter {
	t.Helper()
	limiter, err := gatehouseredis.NewLimiter(gatehouseredis.LimiterConfig{Client: client, Key: limiterKey})
	if err != nil {
		t.Fatal(err)
	}
	return limiter
}

// TestLimiter checks the budget in Redis itself.
func TestLimiter(t *testing.T) {
	s := start(t)
	client := s.client(t, s.addr)
	limiter := openLimiter(t, client)
	rate := gatehouse.Rate{Every: time.Minute, Burst: 3}
	takeOf := func(key string, n int) time.Duration {
		t.Helper()
		wait, err := limiter.Take(t.Context(), key, n, rate)
		if err != nil {
			t.Fatal(err)
		}
		return wait
	}
	for i, step := range []struct {
		n, wantMinutes int
	}{{1, 0}, {2, 0}, {1, 1}, {3, 3}, {9, 3}, {-1, 0}, {1, 0}, {1, 1}, {-3, 0}, {3, 0}, {1, 1}} {
		got := takeOf("a", step.n)
		want := time.Duration(step.wantMinutes) * time.Minute
		if got > want || got < want-10*time.Second {
			t.Errorf("step %d, take %d: wait %s, want about %s", i, step.n, got, want)
		}
	}
	if got := takeOf("b", 3); got != 0 {
		t.Errorf("another budget: wait %s, want 0", got)
	}
	keys := client.Keys(t.Context(), "*").Val()
	if len(keys) != 2 {
		t.Errorf("%d keys, want 2: %q", len(keys), keys)
	}
	for _, key := range keys {
		if ttl := client.PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > 3*time.Minute {
			t.Errorf("%s expires in %s, want at most when its budget is full", key, ttl)
		}
		if !strings.HasPrefix(key, "gatehouse:limit:") {
			t.Errorf("the key %q has not the prefix", key)
		}
	}
	takeOf("b", -3)
	if keys := client.Keys(t.Context(), "*").Val(); len(keys) != 1 {
		t.Errorf("a budget that is full again has a key: %q", keys)
	}
	// A time far in the future, as after the clock of the server was set back.
	if err := client.Set(t.Context(), keys[0], "9000000000000000", 0).Err(); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "b"} {
		if got := takeOf(key, 1); got > time.Minute {
			t.Errorf("wait %s after the clock was set back, want at most a minute", got)
		}
	}
	client.ScriptFlush(t.Context())
	if got := takeOf("c", 1); got != 0 {
		t.Errorf("after the script was removed: wait %s, want 0", got)
	}
	if _, err := limiter.Take(t.Context(), "a", 1, gatehouse.Rate{}); err == nil {
		t.Error("a rate without an interval has no error")
	}
}

// TestLimiterIsExact checks that takes that arrive together get no more than there is.
func TestLimiterIsExact(t *testing.T) {
	s := start(t)
	var got atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		limiter := openLimiter(t, s.client(t, s.addr))
		for range 50 {
			wg.Go(func() {
				wait, err := limiter.Take(context.Background(), "a", 1, gatehouse.Rate{Every: time.Hour, Burst: 30})
				if err != nil {
					t.Error(err)
				} else if wait == 0 {
					got.Add(1)
				}
			})
		}
	}
	wg.Wait()
	if got.Load() != 30 {
		t.Errorf("%d of 200 were allowed, want 30", got.Load())
	}
}

// TestLimiterLeastPrivileges takes as the user whose rights the documentation names.
func TestLimiterLeastPrivileges(t *testing.T) {
	s := start(t)
	source, err := os.ReadFile("redis.go")
	if err != nil {
		t.Fatal(err)
	}
	args := []any{"ACL", "SETUSER", "gatehouse", "on", ">secret", "+hello", "+ping"}
	_, line, found := strings.Cut(string(source), "//\tACL SETUSER gatehouse ~")
	line, _, _ = strings.Cut("~"+line, "\n")
	if !found {
		t.Fatal("the documentation has no line for a Limiter")
	}
	for _, arg := range strings.Fields(line) {
		args = append(args, arg)
	}
	if err := s.client(t, s.addr).Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
	client := s.client(t, s.addr, func(o *redis.UniversalOptions) { o.Username, o.Password = "gatehouse", "secret" })
	if err := client.Set(t.Context(), "other", "x", 0).Err(); err == nil {
		t.Error("the user may write another key")
	}
	limiter := openLimiter(t, client)
	for _, n := range []int{1, -1} {
		if wait, err := limiter.Take(t.Context(), "a", n, gatehouse.Rate{Every: time.Minute, Burst: 3}); wait != 0 || err != nil {
			t.Errorf("Take(%d) = %s, %v", n, wait, err)
		}
	}
}

// TestLimiterHints checks that an error of the server says what to do. The control is TestLimiterLeastPrivileges.
func TestLimiterHints(t *testing.T) {
	s := start(t)
	rate := gatehouse.Rate{Every: time.Minute, Burst: 3}
	for name, test := range map[string]struct{ rights, want string }{
		"no script": {"-evalsha", "+evalsha +eval +time +get +set +del"},
		"no key":    {"resetkeys", "~gatehouse:limit:*"},
		"no write":  {"-set", "+set"},
	} {
		err := s.client(t, s.addr).Do(t.Context(), "ACL", "SETUSER", "limited", "reset", "on", ">secret", "allkeys", "allcommands", test.rights).Err()
		if err != nil {
			t.Fatal(err)
		}
		client := s.client(t, s.addr, func(o *redis.UniversalOptions) { o.Username, o.Password = "limited", "secret" })
		_, err = openLimiter(t, client).Take(t.Context(), name, 1, rate)
		if err == nil || !strings.Contains(err.Error(), "; give the user the rights") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want the rights with %s", name, err, test.want)
		}
	}
	client := s.client(t, s.addr, func(o *redis.UniversalOptions) { o.Username, o.Password = "limited", "wrong" })
	if _, err := openLimiter(t, client).Take(t.Context(), "a", 1, rate); err == nil || !strings.Contains(err.Error(), "; correct the user and the password") {
		t.Errorf("a wrong password: got %v", err)
	}
	if err := s.client(t, s.addr).ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := openLimiter(t, s.client(t, s.addr)).Take(t.Context(), "a", 1, rate); err == nil || !strings.Contains(err.Error(), "; the server has no memory left") {
		t.Errorf("without memory: got %v", err)
	}
}

// TestLimitersAreIndependent checks that limiters with another prefix or another key have budgets of their
// own, and that those with the same ones share theirs.
func TestLimitersAreIndependent(t *testing.T) {
	s := start(t)
	client := s.client(t, s.addr)
	for i, test := range []struct {
		name   string
		change func(*gatehouseredis.LimiterConfig)
		shares bool
	}{
		{"control", func(*gatehouseredis.LimiterConfig) {}, true},
		{"another prefix", func(cfg *gatehouseredis.LimiterConfig) { cfg.Prefix = "staging" }, false},
		{"another key", func(cfg *gatehouseredis.LimiterConfig) { cfg.Key = gatehouseredis.LimiterKey(strings.Repeat("z", 32)) }, false},
	} {
		cfg := gatehouseredis.LimiterConfig{Client: client, Key: limiterKey}
		test.change(&cfg)
		other, err := gatehouseredis.NewLimiter(cfg)
		if err != nil {
			t.Fatal(err)
		}
		name, rate := fmt.Sprint("budget-", i), gatehouse.Rate{Every: time.Minute, Burst: 1}
		if wait, err := openLimiter(t, client).Take(t.Context(), name, 1, rate); wait != 0 || err != nil {
			t.Fatalf("%s: got %s, %v from a full budget", test.name, wait, err)
		}
		wait, err := other.Take(t.Context(), name, 1, rate)
		if err != nil || (wait > 0) != test.shares {
			t.Errorf("%s: the other limiter waits %s, %v; want that it shares the budget: %v", test.name, wait, err, test.shares)
		}
	}
}

// limitedReplica is a guard that limits with a limiter.
type limitedReplica struct {
	guard   *gatehouse.Guard
	handler http.Handler
}

func newLimitedReplica(t testing.TB, is *testissuer.Issuer, limiter gatehouse.RateLimiter) limitedReplica {
	t.Helper()
	provider := gatehouse.OIDC(is.URL())
	provider.JWKSURL = is.JWKSURL()
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: limitedResource, Provider: provider, Logger: slog.New(slog.DiscardHandler),
		RateLimits: gatehouse.RateLimits{
			FailedSignInsPerMinute: 1, FailedSignInsBurst: 10, RequestsPerMinute: 1, RequestsBurst: 10, Shared: limiter,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(guard.Close)
	return limitedReplica{guard, guard.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))}
}

// send sends a request with the token from an address.
func (r limitedReplica) send(address, token string) (status int, took time.Duration) {
	request := httptest.NewRequest(http.MethodPost, limitedResource, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
	request.Header.Set("Authorization", "Bearer "+token)
	request.RemoteAddr = address + ":1"
	w := httptest.NewRecorder()
	start := time.Now()
	r.handler.ServeHTTP(w, request)
	return w.Code, time.Since(start)
}

// TestReplicasShareLimits checks that two replicas have one budget, for an address and for a caller,
// and that neither is in Redis in clear.
func TestReplicasShareLimits(t *testing.T) {
	s := start(t)
	is := testissuer.Start(t)
	client := s.client(t, s.addr)
	var replicas []limitedReplica
	for range 2 {
		replicas = append(replicas, newLimitedReplica(t, is, openLimiter(t, s.client(t, s.addr))))
	}
	token := is.Token(limitedResource, testissuer.Claim("sub", "user_1"))
	count := map[int]int{}
	for i := range 20 {
		for _, r := range replicas {
			junk, _ := r.send("203.0.113.7", fmt.Sprint("junk-", i))
			call, _ := r.send("198.51.100.9", token)
			count[junk]++
			count[call]++
		}
	}
	if count[401] != 10 || count[200] != 10 || count[429] != 60 {
		t.Errorf("two replicas answer %v, want ten 401 and ten 200, as one would", count)
	}
	for _, key := range client.Keys(t.Context(), "*").Val() {
		if strings.Contains(key, "203.0.113.7") || strings.Contains(key, "user_1") || strings.Contains(key, "mcp.example.com") {
			t.Errorf("the key %q names someone", key)
		}
	}
}

// TestLimiterWithoutRedis kills, restarts, pauses and cuts off Redis: every request is answered, the
// limit of each replica holds meanwhile, few requests wait, and the shared budget is used again.
func TestLimiterWithoutRedis(t *testing.T) {
	s := start(t)
	proxy := teststore.StartProxy(t, s.addr)
	is := testissuer.Start(t)
	r := newLimitedReplica(t, is, openLimiter(t, s.client(t, proxy.Addr())))
	users := 0
	check := func(t *testing.T, wantShared bool) {
		t.Helper()
		users++
		token := is.Token(limitedResource, testissuer.Claim("sub", fmt.Sprint("user_", users)))
		before := r.guard.Stats().RateLimits
		count := map[int]int{}
		slow := 0
		for range 30 {
			status, took := r.send(fmt.Sprint("198.51.100.", users), token)
			count[status]++
			if took > 30*time.Millisecond {
				slow++
			}
		}
		after := r.guard.Stats().RateLimits
		t.Logf("%v, %d slow, %+v", count, slow, after)
		if count[200] != 10 || count[429] != 20 {
			t.Errorf("answers %v, want ten 200 and twenty 429", count)
		}
		if shared := after.SharedAvailable; shared != wantShared {
			t.Errorf("the shared limiter is available: %v, want %v", shared, wantShared)
		}
		if fallbacks := after.Fallbacks > before.Fallbacks; fallbacks == wantShared {
			t.Errorf("decisions without the shared limiter: %v, want %v", fallbacks, !wantShared)
		}
	}
	awaitShared := func(t *testing.T) {
		t.Helper()
		deadline := time.Now().Add(20 * time.Second)
		for i := 0; !r.guard.Stats().RateLimits.SharedAvailable; i++ {
			if time.Now().After(deadline) {
				t.Fatalf("the shared limiter is not used again: %+v", r.guard.Stats().RateLimits)
			}
			r.send(fmt.Sprintf("192.0.2.%d", i%250), "junk")
			time.Sleep(50 * time.Millisecond)
		}
	}
	t.Run("control", func(t *testing.T) { check(t, true) })
	t.Run("killed", func(t *testing.T) {
		s.Kill(t)
		check(t, false)
		s.Start(t)
		awaitShared(t)
		check(t, true)
	})
	t.Run("slow", func(t *testing.T) {
		if err := s.client(t, s.addr).Do(t.Context(), "CLIENT", "PAUSE", 1500, "ALL").Err(); err != nil {
			t.Fatal(err)
		}
		check(t, false)
		awaitShared(t)
		check(t, true)
	})
	t.Run("network is cut", func(t *testing.T) {
		proxy.SetCut(true)
		check(t, false)
		proxy.SetCut(false)
		awaitShared(t)
		check(t, true)
	})
}

// BenchmarkLimiter measures one call with a server on the same machine.
func BenchmarkLimiter(b *testing.B) {
	s := start(b)
	limiter := openLimiter(b, s.client(b, s.addr))
	for b.Loop() {
		if _, err := limiter.Take(b.Context(), "a", 1, gatehouse.Rate{Every: time.Microsecond, Burst: 1_000_000}); err != nil {
			b.Fatal(err)
		}
	}
}
