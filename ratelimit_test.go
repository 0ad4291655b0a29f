package gatehouse_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
)

// The limit of most tests: 5 failed sign-ins at once, and one more each second. JWTs that look valid
// have 20 times as much.
const (
	signInBurst = 5
	jwtBurst    = 20 * signInBurst
)

func fewSignIns(cfg *gatehouse.Config) {
	cfg.RateLimits.FailedSignInsPerMinute, cfg.RateLimits.FailedSignInsBurst = 60, signInBurst
}

// limitedAnswer is an answer, with what a client learns about a limit.
type limitedAnswer struct {
	status     int
	reason     string
	retryAfter string
	challenge  string
}

// sendFrom sends a token from an address, with further headers.
func sendFrom(t testing.TB, handler http.Handler, from, token string, header ...string) limitedAnswer {
	t.Helper()
	r := request{header: bearer(token), body: pingBody}.make()
	r.RemoteAddr = from
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	resp := sendRaw(handler, r)
	var body struct {
		Reason string `json:"reason"`
	}
	json.NewDecoder(resp.Body).Decode(&body)
	return limitedAnswer{resp.StatusCode, body.Reason, resp.Header.Get("Retry-After"), resp.Header.Get("WWW-Authenticate")}
}

// attacker and neighbor share an address, as behind a NAT.
const (
	attacker  = "203.0.113.7:1111"
	neighbor  = "203.0.113.7:2222"
	elsewhere = "198.51.100.9:3333"
)

// junkTokens are tokens that cannot be valid, and tokens whose signature is wrong.
func junkTokens(w *wire) map[string]func(i int) string {
	valid := w.token(resource)
	payload := strings.Split(valid, ".")[1]
	forged := w.signed(testissuer.NewKey("key-2"))
	return map[string]func(int) string{
		"not a JWT":  func(i int) string { return fmt.Sprint("junk-", i) },
		"not base64": func(i int) string { return fmt.Sprint("a.b.c", i) },
		"of no issuer": func(i int) string {
			return w.token(resource, testissuer.Claim("iss", fmt.Sprint("https://", i, ".example")))
		},
		"without alg":     func(i int) string { return "e30." + payload + "." + fmt.Sprint(i) },
		"bad signature":   func(i int) string { return valid[:len(valid)-8] + fmt.Sprintf("%08d", i) },
		"unknown key":     func(i int) string { return forged[:len(forged)-8] + fmt.Sprintf("%08d", i) },
		"opaque, unknown": func(i int) string { return fmt.Sprint("oat_bad_", i) },
	}
}

// burstOf returns how many tokens of the kind one address may send at once.
func burstOf(kind string) int {
	if kind == "bad signature" || kind == "unknown key" {
		return jwtBurst
	}
	return signInBurst
}

// onlyBad introspects tokens: those that begin with oat_bad are not active.
func onlyBad(is *issuer, asked *atomic.Int32) func(context.Context, string) (json.RawMessage, error) {
	return func(_ context.Context, raw string) (json.RawMessage, error) {
		asked.Add(1)
		if strings.HasPrefix(raw, "oat_bad") {
			return nil, gatehouse.ErrInactive
		}
		return json.Marshal(map[string]any{
			"active": true, "iss": is.URL(), "sub": "user_opaque", "aud": resource, "client_id": "client-1",
			"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "jti": raw,
		})
	}
}

// TestFailedSignIns checks that an address that sends too many invalid tokens is answered with 429,
// and that the token is neither verified nor introspected then. Other addresses are not affected,
// and after a wait as Retry-After says, the next token is verified.
func TestFailedSignIns(t *testing.T) {
	w := newWire()
	for kind, junk := range junkTokens(w) {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire()
				var asked atomic.Int32
				handler := w.guard(t, fewSignIns, func(cfg *gatehouse.Config) {
					cfg.Provider.Introspect, cfg.Provider.OpaquePrefixes = onlyBad(w.issuer, &asked), []string{"oat_"}
				})
				known := w.token(resource, testissuer.Claim("sub", "user_known"))
				if got := sendFrom(t, handler, neighbor, known); got.status != 200 {
					t.Fatalf("control: a valid token is answered with %+v", got)
				}
				burst := burstOf(kind)
				for i := range burst {
					if got := sendFrom(t, handler, attacker, junk(i)); got.status != 401 {
						t.Fatalf("token %d is answered with %+v, want 401", i, got)
					}
				}
				before := asked.Load()
				want := limitedAnswer{429, "too_many_failed_sign_ins", "1", ""}
				for i := range 3 {
					if got := sendFrom(t, handler, attacker, junk(burst+i)); got != want {
						t.Errorf("token %d is answered with %+v, want %+v", burst+i, got, want)
					}
				}
				if n := asked.Load(); n != before {
					t.Errorf("%d tokens were introspected after the limit, want none", n-before)
				}
				if got := sendFrom(t, handler, elsewhere, junk(0)); got.status != 401 {
					t.Errorf("another address is answered with %+v, want 401", got)
				}
				if got := sendFrom(t, handler, attacker, known); got.status != 200 {
					t.Errorf("a token in the cache is answered with %+v, want 200", got)
				}
				time.Sleep(time.Second)
				if got := sendFrom(t, handler, attacker, junk(burst+4)); got.status != 401 {
					t.Errorf("after Retry-After: %+v, want 401", got)
				}
			})
		})
	}
}

// TestNeighborsOfAFlood checks what users get who share the address of a flood, during that flood.
func TestNeighborsOfAFlood(t *testing.T) {
	w := newWire()
	for kind, junk := range junkTokens(w) {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire()
				var asked atomic.Int32
				handler := w.guard(t, fewSignIns, func(cfg *gatehouse.Config) {
					cfg.Provider.Introspect, cfg.Provider.OpaquePrefixes = onlyBad(w.issuer, &asked), []string{"oat_"}
				})
				expired := testissuer.Claim("exp", time.Now().Add(-time.Hour).Unix())
				of := func(name string, changes ...testissuer.Change) string {
					return w.token(resource, append(changes, testissuer.Claim("sub", name))...)
				}
				for _, token := range []string{of("user_known"), "oat_known"} {
					if got := sendFrom(t, handler, neighbor, token); got.status != 200 {
						t.Fatalf("control: %+v", got)
					}
				}
				if got := sendFrom(t, handler, neighbor, of("user_expired", expired)); got.status != 401 {
					t.Fatalf("control: an expired token is answered with %+v", got)
				}
				for i := range 2 * jwtBurst {
					sendFrom(t, handler, attacker, junk(i))
				}
				forged := kind == "bad signature" || kind == "unknown key"
				newJWT, newOpaque := 200, 200
				if forged {
					newJWT = 429
				}
				if kind == "opaque, unknown" {
					newOpaque = 429
				}
				for _, user := range []struct {
					name, token string
					want        int
				}{
					{"token in the cache", of("user_known"), 200},
					{"renewed token of a user who signed in before", of("user_known", testissuer.Claim("jti", "next")), 200},
					{"expired token of a user who signed in before", of("user_known", expired), 401},
					{"renewed token of a user whose token had expired", of("user_expired"), 200},
					{"opaque token in the cache", "oat_known", 200},
					{"first JWT of a new user", of("user_new"), newJWT},
					{"first opaque token of a new user", "oat_new", newOpaque},
				} {
					if got := sendFrom(t, handler, neighbor, user.token); got.status != user.want {
						t.Errorf("%s: %+v, want %d", user.name, got, user.want)
					}
				}
				time.Sleep(2 * time.Minute) // the introspected token is verified again
				for i := range 2 * jwtBurst {
					sendFrom(t, handler, attacker, junk(10_000+i))
				}
				if got := sendFrom(t, handler, neighbor, "oat_known"); got.status != 200 {
					t.Errorf("opaque token that was accepted before: %+v, want 200", got)
				}
				for name, token := range map[string]string{"JWT": of("user_other"), "opaque token": "oat_other"} {
					if got := sendFrom(t, handler, elsewhere, token); got.status != 200 {
						t.Errorf("first %s of a new user at another address: %+v, want 200", name, got)
					}
				}
			})
		})
	}
}

// TestSignedTokensDoNotCount checks that tokens that the provider has signed do not use up the budget
// of their address, valid or not, however many users share it. One caller who repeats an invalid one
// is limited alone.
func TestSignedTokensDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		handler := w.guard(t, fewSignIns)
		expired := testissuer.Claim("exp", time.Now().Add(-time.Hour).Unix())
		user := func(i int) testissuer.Change { return testissuer.Claim("sub", fmt.Sprint("user_", i)) }
		for i := range 3 * jwtBurst {
			if got := sendFrom(t, handler, neighbor, w.token(resource, user(i))); got.status != 200 {
				t.Fatalf("valid token %d: %+v", i, got)
			}
			if got := sendFrom(t, handler, neighbor, w.token(resource, user(i), expired)); got.status != 401 {
				t.Fatalf("expired token %d: %+v", i, got)
			}
			if got := sendFrom(t, handler, neighbor, w.token("https://other.example/mcp", user(i))); got.reason != "wrong_audience" {
				t.Fatalf("token %d for another server: %+v", i, got)
			}
		}
		loop := w.token(resource, testissuer.Claim("sub", "user_loop"), expired)
		var answers []int
		for range signInBurst + 1 {
			answers = append(answers, sendFrom(t, handler, neighbor, loop).status)
		}
		if want := []int{401, 401, 401, 401, 401, 429}; fmt.Sprint(answers) != fmt.Sprint(want) {
			t.Errorf("a client that repeats an expired token gets %v, want %v", answers, want)
		}
		if got := sendFrom(t, handler, neighbor, w.token(resource, testissuer.Claim("sub", "user_new"))); got.status != 200 {
			t.Errorf("another user is answered with %+v, want 200", got)
		}
	})
}

// TestOutageDoesNotCount checks that tokens that could not be verified, because no key is known, do
// not count against their address.
func TestOutageDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		handler := w.guard(t, fewSignIns)
		w.down()
		for i := range 2 * jwtBurst {
			token := w.token(resource, testissuer.Claim("sub", fmt.Sprint("user_", i)))
			if got := sendFrom(t, handler, neighbor, token); got.status != 503 {
				t.Fatalf("token %d in an outage: %+v, want 503", i, got)
			}
		}
	})
}

// TestAddressOfTheLimit checks which requests share a budget.
func TestAddressOfTheLimit(t *testing.T) {
	const proxy = "10.0.0.1:80"
	trusting := func(cfg *gatehouse.Config) { cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")} }
	type sent struct {
		from   string
		header []string
	}
	via := func(from string, header ...string) sent { return sent{from, header} }
	tests := []struct {
		name         string
		configure    func(*gatehouse.Config)
		flood, other sent
		want         int // answer to other
	}{
		{"control: the same address", trusting, via(attacker), via(neighbor), 429},
		{"another address", trusting, via(attacker), via(elsewhere), 401},
		{"the same IPv6 network", trusting, via("[2001:db8:1:2::1]:1"), via("[2001:db8:1:2:ffff:1:2:3]:1"), 429},
		{"another IPv6 network", trusting, via("[2001:db8:1:2::1]:1"), via("[2001:db8:1:3::1]:1"), 401},
		{"IPv4 and IPv4 in IPv6", trusting, via(attacker), via("[::ffff:203.0.113.7]:1"), 429},
		{"the same client of a proxy", trusting, via(proxy, "X-Forwarded-For", "192.0.2.1"), via(proxy, "X-Forwarded-For", "192.0.2.1"), 429},
		{"another client of a proxy", trusting, via(proxy, "X-Forwarded-For", "192.0.2.1"), via(proxy, "X-Forwarded-For", "192.0.2.2"), 401},
		{"the same client through two proxies", trusting, via(proxy, "X-Forwarded-For", "192.0.2.1"), via("10.0.0.2:80", "X-Forwarded-For", "192.0.2.1"), 429},
		{"forged by a client of a proxy", trusting, via(proxy, "X-Forwarded-For", "192.0.2.1"), via(proxy, "X-Forwarded-For", "192.0.2.9, 192.0.2.1"), 429},
		{"forged without a proxy", trusting, via(attacker), via(attacker, "X-Forwarded-For", "192.0.2.2"), 429},
		{"another header", trusting, via(proxy, "Forwarded", "for=192.0.2.1"), via(proxy, "Forwarded", "for=192.0.2.2"), 429},
		{"no proxy is trusted", func(*gatehouse.Config) {}, via(proxy, "X-Forwarded-For", "192.0.2.1"), via(proxy, "X-Forwarded-For", "192.0.2.2"), 429},
		{"the configured header", func(cfg *gatehouse.Config) { trusting(cfg); cfg.ClientAddressHeader = "x-real-ip" },
			via(proxy, "X-Real-Ip", "192.0.2.1"), via(proxy, "X-Real-Ip", "192.0.2.2"), 401},
		{"not the configured header", func(cfg *gatehouse.Config) { trusting(cfg); cfg.ClientAddressHeader = "x-real-ip" },
			via(proxy, "X-Forwarded-For", "192.0.2.1"), via(proxy, "X-Forwarded-For", "192.0.2.2"), 429},
	}
	for _, test := range tests {
		synctest.Test(t, func(t *testing.T) {
			handler := newWire().guard(t, fewSignIns, test.configure)
			for i := range signInBurst + 1 {
				sendFrom(t, handler, test.flood.from, fmt.Sprint("junk-", i), test.flood.header...)
			}
			if got := sendFrom(t, handler, test.flood.from, "junk", test.flood.header...); got.status != 429 {
				t.Errorf("%s: the flood is answered with %+v, want 429", test.name, got)
			}
			if got := sendFrom(t, handler, test.other.from, "junk", test.other.header...); got.status != test.want {
				t.Errorf("%s: %+v, want %d", test.name, got, test.want)
			}
		})
	}
}

// TestManyAddresses checks that a flood from more addresses than the table holds neither takes memory
// without bound nor locks others out.
func TestManyAddresses(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, fewSignIns)
	handler := guard.Wrap(behind)
	const addresses = 3 * gatehouse.MaxBudgets
	r := request{header: bearer("junk")}.make()
	for i := range addresses {
		r.RemoteAddr = fmt.Sprintf("[2001:%x:%x::1]:1", i>>8, i&0xff) // each one in a site of its own
		if got := sendRaw(handler, r).StatusCode; got != 401 {
			t.Fatalf("address %d: status %d, want 401", i, got)
		}
	}
	guard.CleanUpBudgets()
	if n := guard.Stats().RateLimits.Budgets; n == 0 || n > gatehouse.MaxBudgets {
		t.Errorf("%d budgets in memory, want at most %d", n, gatehouse.MaxBudgets)
	}
	for i := range 3 {
		token := is.token(resource, testissuer.Claim("sub", fmt.Sprint("user_", i)))
		if got := sendFrom(t, handler, elsewhere, token); got.status != 200 {
			t.Errorf("a new user at a new address is answered with %+v, want 200", got)
		}
	}
	for i := range signInBurst {
		sendFrom(t, handler, attacker, fmt.Sprint("junk-", i))
	}
	if got := sendFrom(t, handler, attacker, "junk"); got.status != 429 {
		t.Errorf("one address with many tokens is answered with %+v, want 429", got)
	}
}

// TestConcurrentFlood checks that the limit is exact if tokens arrive together.
func TestConcurrentFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		var asked atomic.Int32
		handler := w.guard(t, fewSignIns, func(cfg *gatehouse.Config) {
			introspect := onlyBad(w.issuer, &asked)
			cfg.Provider.OpaqueOnly, cfg.Provider.JWKSURL = true, ""
			cfg.Provider.Introspect = func(ctx context.Context, raw string) (json.RawMessage, error) {
				time.Sleep(100 * time.Millisecond)
				return introspect(ctx, raw)
			}
		})
		var answers sync.Map
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				got := sendFrom(t, handler, attacker, fmt.Sprint("oat_bad_", i))
				count, _ := answers.LoadOrStore(got.status, new(atomic.Int32))
				count.(*atomic.Int32).Add(1)
			})
		}
		wg.Wait()
		count, _ := answers.Load(429)
		if n := asked.Load(); n != signInBurst || count.(*atomic.Int32).Load() != 200-signInBurst {
			t.Errorf("%d of 200 tokens were introspected, want %d, and the others answered with 429", n, signInBurst)
		}
	})
}

// TestVerifyCountsFailedSignIns checks that Verify counts for the address of the request, if there
// is one.
func TestVerifyCountsFailedSignIns(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, fewSignIns)
	r := request{}.make()
	for i := range 2 * signInBurst {
		guard.Verify(t.Context(), fmt.Sprint("junk-", i), nil)
	}
	for i := range signInBurst {
		if _, err := guard.Verify(t.Context(), fmt.Sprint("junk-", i), r); err == nil || strings.Contains(err.Error(), "too many") {
			t.Fatalf("token %d: %v", i, err)
		}
	}
	if _, err := guard.Verify(t.Context(), "junk", r); err == nil || !strings.Contains(err.Error(), "too many invalid tokens") {
		t.Errorf("got %v, want the phrase of the limit", err)
	}
}

// TestLogOfAFlood checks that a flood has one line a minute, with the address, and a hint if a proxy
// may be the sender.
func TestLogOfAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log testlog.Buffer
		handler := newWire().guard(t, fewSignIns, func(cfg *gatehouse.Config) { cfg.Logger = log.Logger() })
		for i := range signInBurst {
			sendFrom(t, handler, attacker, fmt.Sprint("junk-", i))
		}
		log.Reset()
		for i := range 1000 {
			sendFrom(t, handler, attacker, fmt.Sprint("junk-", i), "X-Forwarded-For", "192.0.2.1")
		}
		text := log.String()
		if strings.Count(text, "\n") != 1 || !strings.Contains(text, `"address":"203.0.113.7/32"`) || !strings.Contains(text, "TrustedProxies") {
			t.Errorf("the log of 1000 tokens over the limit is\n%s", text)
		}
	})
}

// callsPerMinute allows each caller two requests at once, and one more each second.
func callsPerMinute(cfg *gatehouse.Config) {
	cfg.RateLimits.RequestsPerMinute, cfg.RateLimits.RequestsBurst = 60, 2
}

// TestRequestsPerMinute checks the limit of each caller, and what a client is answered.
func TestRequestsPerMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		handler := w.guard(t, callsPerMinute)
		one, same := w.token(resource), w.token(resource, testissuer.Claim("jti", "next"))
		other := w.token(resource, testissuer.Claim("sub", "user_2"))
		for i, step := range []struct {
			token string
			want  int
		}{{one, 200}, {same, 200}, {one, 429}, {same, 429}, {other, 200}} {
			if got := sendFrom(t, handler, neighbor, step.token); got.status != step.want {
				t.Errorf("request %d: %+v, want %d", i, got, step.want)
			}
		}
		resp := send(handler, request{header: bearer(one), body: `{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"x"}}`})
		const want = `{"jsonrpc":"2.0","id":"a","error":{"code":-32040,"message":"too many requests, try again later",` +
			`"data":{"error":"too_many_requests","error_description":"too many requests, try again later","reason":"rate_limited"}}}`
		if got := body(t, resp); resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "1" || got != want ||
			resp.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("status %d, Retry-After %q, body\n got %s\nwant %s", resp.StatusCode, resp.Header.Get("Retry-After"), got, want)
		}
		time.Sleep(time.Second)
		for i, want := range []int{200, 429} {
			if got := sendFrom(t, handler, neighbor, one); got.status != want {
				t.Errorf("request %d after a second: %+v, want %d", i, got, want)
			}
		}
	})
}

// TestRequestsThatCount checks how much of a budget of three a request takes.
func TestRequestsThatCount(t *testing.T) {
	ping := `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	tests := []struct {
		name   string
		method string
		body   string
		want   int // requests of the kind that pass
	}{
		{"control", "POST", ping, 3},
		{"stream", "GET", "", 3},
		{"end of a session", "DELETE", "", 3},
		{"batch of one", "POST", "[" + ping + "]", 3},
		{"batch of two", "POST", "[" + ping + "," + ping + "]", 1},
		{"batch of three", "POST", "[" + strings.Repeat(ping+",", 2) + ping + "]", 1},
		{"batch that is larger than the burst", "POST", "[" + strings.Repeat(ping+",", 9) + ping + "]", 1},
	}
	for _, test := range tests {
		synctest.Test(t, func(t *testing.T) {
			w := newWire()
			handler := w.guard(t, func(cfg *gatehouse.Config) {
				cfg.RateLimits.RequestsPerMinute, cfg.RateLimits.RequestsBurst = 1, 3
			})
			passed := 0
			for range 5 {
				resp := send(handler, request{method: test.method, header: bearer(w.token(resource)), body: test.body})
				if resp.StatusCode != 429 {
					passed++
				}
			}
			if passed != test.want {
				t.Errorf("%s: %d of 5 requests passed, want %d", test.name, passed, test.want)
			}
		})
	}
}

// TestRequestsWithoutAToken checks that callers without a token share the limit of their address,
// and are asked to sign in over it.
func TestRequestsWithoutAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		handler := w.guard(t, callsPerMinute, func(cfg *gatehouse.Config) {
			cfg.Requirements = []gatehouse.Requirement{{Tool: "open", Require: gatehouse.Require{Public: true}}}
		})
		call := func(from string) int {
			r := request{body: toolCall("open")}.make()
			r.RemoteAddr = from
			return sendRaw(handler, r).StatusCode
		}
		for i, step := range []struct {
			from string
			want int
		}{{attacker, 200}, {neighbor, 200}, {attacker, 401}, {elsewhere, 200}} {
			if got := call(step.from); got != step.want {
				t.Errorf("request %d: status %d, want %d", i, got, step.want)
			}
		}
		if got := sendFrom(t, handler, attacker, w.token(resource)); got.status != 200 {
			t.Errorf("a user at the same address is answered with %+v, want 200", got)
		}
	})
}

// sharedLimiter counts for several guards, as store/redis does.
type sharedLimiter struct {
	mu    sync.Mutex
	rows  map[string]*gatehouse.Bucket
	calls int
	keys  map[string]bool
	fail  func(context.Context) error
}

func (l *sharedLimiter) Take(ctx context.Context, key string, n int, rate gatehouse.Rate) (time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	if l.fail != nil {
		return 0, l.fail(ctx)
	}
	if l.rows == nil {
		l.rows, l.keys = map[string]*gatehouse.Bucket{}, map[string]bool{}
	}
	if l.rows[key] == nil {
		l.rows[key] = &gatehouse.Bucket{}
	}
	l.keys[key] = true
	return l.rows[key].Take(time.Now(), n, rate), nil
}

func (l *sharedLimiter) set(fail func(context.Context) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = fail
}

func (l *sharedLimiter) callCount() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls
}

func sharing(l gatehouse.RateLimiter) func(*gatehouse.Config) {
	return func(cfg *gatehouse.Config) { cfg.RateLimits.Shared = l }
}

// TestSharedLimits checks that two guards with one limiter have one budget, that a flood causes few
// calls of it, and what it is called with.
func TestSharedLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		var limiter sharedLimiter
		one := w.guard(t, fewSignIns, callsPerMinute, sharing(&limiter))
		two := w.guard(t, fewSignIns, callsPerMinute, sharing(&limiter))
		passed := 0
		for i := range 2 * signInBurst {
			for _, handler := range []http.Handler{one, two} {
				if sendFrom(t, handler, attacker, fmt.Sprint("junk-", i)).status == 401 {
					passed++
				}
			}
		}
		if passed != signInBurst {
			t.Errorf("%d invalid tokens were verified in two guards, want %d", passed, signInBurst)
		}
		before := limiter.callCount()
		for i := range 1000 {
			sendFrom(t, two, attacker, fmt.Sprint("junk-", i))
		}
		if n := limiter.callCount() - before; n > 2 {
			t.Errorf("1000 tokens over the limit caused %d calls, want at most 2", n)
		}
		token := w.token(resource)
		var answers []int
		for _, handler := range []http.Handler{one, two, one, two} {
			answers = append(answers, sendFrom(t, handler, neighbor, token).status)
		}
		if want := []int{200, 200, 429, 429}; fmt.Sprint(answers) != fmt.Sprint(want) {
			t.Errorf("requests of one caller get %v, want %v", answers, want)
		}
		for _, key := range []string{
			resource + " junk 203.0.113.7/32 ", resource + " jwt 203.0.113.7/32 ", resource + " requests - https://issuer.example|user_1",
		} {
			if !limiter.keys[key] {
				t.Errorf("no budget %q among %v", key, limiter.keys)
			}
		}
	})
}

// TestSharedLimiterFails checks that each guard counts alone while the shared limiter fails, that
// only few requests wait for it, and that it is used again when it is back.
func TestSharedLimiterFails(t *testing.T) {
	tests := map[string]func(context.Context) error{
		"an error":  func(context.Context) error { return errors.New("connection refused") },
		"a timeout": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"a panic":   func(context.Context) error { panic("203.0.113.7") },
	}
	for name, fail := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire()
				var log testlog.Buffer
				var limiter sharedLimiter
				configure := func(cfg *gatehouse.Config) {
					cfg.Logger, cfg.HTTPClient = log.Logger(), &http.Client{Transport: w}
				}
				guard := newGuard(t, w.issuer, callsPerMinute, sharing(&limiter), configure)
				one, two := guard.Wrap(behind), newGuard(t, w.issuer, callsPerMinute, sharing(&limiter), configure).Wrap(behind)
				token := w.token(resource)
				if got := sendFrom(t, one, neighbor, token); got.status != 200 || !guard.Stats().RateLimits.SharedAvailable {
					t.Fatalf("control: %+v, %+v", got, guard.Stats().RateLimits)
				}
				time.Sleep(time.Minute)
				limiter.set(fail)
				before, start := limiter.callCount(), time.Now()
				var answers []int
				for _, handler := range []http.Handler{one, two, one, two, one, two} {
					answers = append(answers, sendFrom(t, handler, neighbor, token).status)
				}
				if want := []int{200, 200, 200, 200, 429, 429}; fmt.Sprint(answers) != fmt.Sprint(want) {
					t.Errorf("requests get %v, want %v: each guard has the limit", answers, want)
				}
				if took := time.Since(start); took > 110*time.Millisecond {
					t.Errorf("six requests took %s, want at most one timeout for each guard", took)
				}
				if n := limiter.callCount() - before; n > 2 {
					t.Errorf("%d calls while the limiter fails, want at most one for each guard", n)
				}
				stats := guard.Stats().RateLimits
				if stats.SharedFailures != 1 || stats.Fallbacks != 2 || stats.SharedAvailable {
					t.Errorf("got %+v, want 1 failure and 2 fallbacks", stats)
				}
				time.Sleep(time.Minute)
				limiter.set(nil)
				for _, want := range []int{200, 200, 429} {
					if got := sendFrom(t, one, neighbor, token); got.status != want {
						t.Errorf("after the outage: %+v, want %d", got, want)
					}
				}
				if !guard.Stats().RateLimits.SharedAvailable {
					t.Error("the shared limiter is not used again")
				}
				text := log.String()
				if strings.Count(text, "rate limiter is unavailable") != 2 || strings.Count(text, "rate limiter is available again") != 1 ||
					strings.Contains(text, "203.0.113.7") {
					t.Errorf("the log is\n%s", text)
				}
			})
		})
	}
}

// TestRateLimitFaults changes one thing of a valid configuration.
func TestRateLimitFaults(t *testing.T) {
	prefix := netip.MustParsePrefix
	for name, test := range map[string]struct {
		change func(*gatehouse.Config)
		want   string // empty means that the configuration is valid
	}{
		"control": {func(cfg *gatehouse.Config) {
			cfg.RateLimits = gatehouse.RateLimits{FailedSignInsPerMinute: 1, FailedSignInsBurst: 1_000_000, RequestsPerMinute: 1_000_000,
				RequestsBurst: 1, Shared: &sharedLimiter{}}
			cfg.TrustedProxies, cfg.ClientAddressHeader = []netip.Prefix{prefix("10.0.0.0/8")}, "X-Real-IP"
		}, ""},
		"negative": {func(cfg *gatehouse.Config) { cfg.RateLimits.FailedSignInsPerMinute = -1 },
			`RateLimits.FailedSignInsPerMinute "-1" is out of range; use 0 for the default, or at most 1000000`},
		"too many": {func(cfg *gatehouse.Config) { cfg.RateLimits.RequestsPerMinute = 1_000_001 },
			`RateLimits.RequestsPerMinute "1000001" is out of range; use 0 for the default, or at most 1000000`},
		"burst out of range": {func(cfg *gatehouse.Config) { cfg.RateLimits.FailedSignInsBurst = -5 },
			`RateLimits.FailedSignInsBurst "-5" is out of range; use 0 for the default, or at most 1000000`},
		"burst without a number": {func(cfg *gatehouse.Config) { cfg.RateLimits.RequestsBurst = 5 },
			`RateLimits.RequestsBurst "5" has no effect without RequestsPerMinute; set both, or remove it`},
		"unlimited and limited": {func(cfg *gatehouse.Config) {
			cfg.RateLimits.InsecureUnlimitedFailedSignIns, cfg.RateLimits.FailedSignInsPerMinute = true, 5
		}, `RateLimits.FailedSignInsPerMinute "5" has no effect with InsecureUnlimitedFailedSignIns; remove one of the two`},
		"shared without a limit": {func(cfg *gatehouse.Config) {
			cfg.RateLimits.InsecureUnlimitedFailedSignIns, cfg.RateLimits.Shared = true, &sharedLimiter{}
		}, `RateLimits.Shared has no effect, because nothing is limited; remove it, or set a limit`},
		"proxies without a limit": {func(cfg *gatehouse.Config) {
			cfg.RateLimits.InsecureUnlimitedFailedSignIns, cfg.TrustedProxies = true, []netip.Prefix{prefix("10.0.0.1/32")}
		}, `TrustedProxies has no effect, because nothing is limited by the address of a client; remove it, or set a limit`},
		"every proxy": {func(cfg *gatehouse.Config) { cfg.TrustedProxies = []netip.Prefix{prefix("::/0")} },
			`TrustedProxies "::/0" is every address: each client could then choose the address it is limited by; name the addresses of your proxies`},
		"no network": {func(cfg *gatehouse.Config) { cfg.TrustedProxies = []netip.Prefix{{}} },
			`TrustedProxies has a network that is not valid; write it like netip.MustParsePrefix("10.0.0.7/32")`},
		"IPv4 in IPv6": {func(cfg *gatehouse.Config) { cfg.TrustedProxies = []netip.Prefix{prefix("::ffff:10.0.0.0/104")} },
			`TrustedProxies "::ffff:10.0.0.0/104" is an IPv4 network written as IPv6, which matches no address; write it as IPv4`},
		"header without proxies": {func(cfg *gatehouse.Config) { cfg.ClientAddressHeader = "X-Real-IP" },
			`ClientAddressHeader "X-Real-IP" has no effect without TrustedProxies; add the addresses of the proxies that set it, or remove it`},
		"not a header": {func(cfg *gatehouse.Config) {
			cfg.TrustedProxies, cfg.ClientAddressHeader = []netip.Prefix{prefix("10.0.0.1/32")}, "X Real IP"
		}, `ClientAddressHeader "X Real IP" is not the name of a header; write it like "X-Forwarded-For"`},
	} {
		cfg := gatehouse.Config{Resource: "https://mcp.example.com/mcp", Provider: gatehouse.OIDC("https://issuer.example.com")}
		test.change(&cfg)
		guard, err := gatehouse.New(cfg)
		got := ""
		if err != nil {
			got = strings.TrimPrefix(err.Error(), "gatehouse: ")
		} else {
			guard.Close()
		}
		if got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, test.want)
		}
	}
}

// TestUnlimitedSignInsAreNamed checks that the setting has a warning, and works.
func TestUnlimitedSignInsAreNamed(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, func(cfg *gatehouse.Config) { cfg.RateLimits.InsecureUnlimitedFailedSignIns = true })
	if text := strings.Join(guard.Warnings(), "\n"); !strings.Contains(text, "InsecureUnlimitedFailedSignIns") {
		t.Errorf("warnings: %s", text)
	}
	if text := strings.Join(newGuard(t, is).Warnings(), "\n"); strings.Contains(text, "InsecureUnlimited") {
		t.Errorf("control: %s", text)
	}
	handler := guard.Wrap(behind)
	for i := range gatehouse.DefaultFailedSignInsPerMinute + 10 {
		if got := sendFrom(t, handler, attacker, strconv.Itoa(i)); got.status != 401 {
			t.Fatalf("token %d: %+v", i, got)
		}
	}
	limited := newGuard(t, is).Wrap(behind)
	last := 0
	for i := range gatehouse.DefaultFailedSignInsPerMinute + 100 {
		last = sendFrom(t, limited, attacker, strconv.Itoa(i)).status
	}
	if last != 429 {
		t.Errorf("control: status %d by default, want 429", last)
	}
}

// BenchmarkRateLimits measures a call with a known token, and the rejection of invalid tokens, with
// and without limits.
func BenchmarkRateLimits(b *testing.B) {
	is := newIssuer(b)
	valid := is.token(resource)
	forged := valid[:len(valid)-8] + "AAAAAAAA"
	unlimited := func(cfg *gatehouse.Config) { cfg.RateLimits.InsecureUnlimitedFailedSignIns = true }
	perCaller := func(cfg *gatehouse.Config) {
		cfg.RateLimits.RequestsPerMinute, cfg.RateLimits.RequestsBurst = 1_000_000, 1_000_000
	}
	tiny := func(cfg *gatehouse.Config) {
		cfg.RateLimits.FailedSignInsPerMinute, cfg.RateLimits.FailedSignInsBurst = 1, 1
	}
	for _, bench := range []struct {
		name, token string
		configure   func(*gatehouse.Config)
	}{
		{"known token, no limits", valid, unlimited},
		{"known token, default limits", valid, func(*gatehouse.Config) {}},
		{"known token, limit of requests", valid, perCaller},
		{"bad signature, no limits", forged, unlimited},
		{"bad signature, over the limit", forged, tiny},
		{"junk, no limits", "junk", unlimited},
		{"junk, over the limit", "junk", tiny},
	} {
		b.Run(bench.name, func(b *testing.B) {
			handler := newGuard(b, is, bench.configure).Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") }))
			rq := request{header: bearer(bench.token), body: toolCall("read")}
			for range 30 {
				send(handler, rq)
			}
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(discardWriter{make(http.Header)}, rq.make())
			}
		})
	}
}
