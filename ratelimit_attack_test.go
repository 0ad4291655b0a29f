package gatehouse_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
)

// siteBurst is the burst of a whole IPv6 site, 16 times that of one network.
const siteBurst = 16 * signInBurst

// inSite returns an address in one of the networks of a site.
func inSite(site, network int) string { return fmt.Sprintf("[2001:db8:%x:%x::1]:1", site, network) }

// TestFloodOfAnIPv6Site checks that a sender who has a whole IPv6 site, which is 65,536 networks, is
// limited, and others are not.
func TestFloodOfAnIPv6Site(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		handler := w.guard(t, fewSignIns)
		known := w.token(resource, testissuer.Claim("sub", "user_known"))
		if got := sendFrom(t, handler, inSite(1, 0xffff), known); got.status != 200 {
			t.Fatalf("control: a valid token is answered with %+v", got)
		}
		count := map[int]int{}
		for i := range 2 * siteBurst {
			count[sendFrom(t, handler, inSite(1, i), fmt.Sprint("junk-", i)).status]++
		}
		if count[401] != siteBurst || count[429] != siteBurst {
			t.Errorf("a flood from %d networks of one site is answered with %v, want %d times 401", 2*siteBurst, count, siteBurst)
		}
		if got, want := sendFrom(t, handler, inSite(1, 0xfff0), "junk"), (limitedAnswer{429, "too_many_failed_sign_ins", "1", ""}); got != want {
			t.Errorf("a further network is answered with %+v, want %+v", got, want)
		}
		for name, user := range map[string]struct{ from, token string }{
			"a token in the cache":               {inSite(1, 1), known},
			"a renewed token of a known user":    {inSite(1, 1), w.token(resource, testissuer.Claim("sub", "user_known"), testissuer.Claim("jti", "next"))},
			"a new user of the site":             {inSite(1, 2), w.token(resource, testissuer.Claim("sub", "user_new"))},
			"a new user at another site":         {inSite(2, 1), w.token(resource, testissuer.Claim("sub", "user_other"))},
			"a new user at an address with IPv4": {elsewhere, w.token(resource, testissuer.Claim("sub", "user_ipv4"))},
		} {
			if got := sendFrom(t, handler, user.from, user.token); got.status != 200 {
				t.Errorf("%s is answered with %+v, want 200", name, got)
			}
		}
		if got := sendFrom(t, handler, inSite(2, 1), "junk"); got.status != 401 {
			t.Errorf("another site is answered with %+v, want 401", got)
		}
		time.Sleep(time.Second)
		if got := sendFrom(t, handler, inSite(1, 0xfff1), "junk"); got.status != 401 {
			t.Errorf("after Retry-After: %+v, want 401", got)
		}
	})
}

// TestSiteBudgetIsGivenBack checks that neither signed tokens nor tokens over the limit of their own
// network use up the budget of the site.
func TestSiteBudgetIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		handler := w.guard(t, func(cfg *gatehouse.Config) {
			cfg.RateLimits.FailedSignInsPerMinute, cfg.RateLimits.FailedSignInsBurst = 1, 1
		})
		const jwtsOfSite = 16 * 20
		for i := range jwtsOfSite + 20 {
			token := w.token(resource, testissuer.Claim("sub", fmt.Sprint("user_", i)))
			if got := sendFrom(t, handler, inSite(1, i), token); got.status != 200 {
				t.Fatalf("valid token %d: %+v, want 200", i, got)
			}
		}
		for i := range 40 {
			sendFrom(t, handler, inSite(1, 1), fmt.Sprint("junk-", i))
		}
		if got := sendFrom(t, handler, inSite(1, 2), "junk"); got.status != 401 {
			t.Errorf("after a flood of one network, another network of the site is answered with %+v, want 401", got)
		}
	})
}

// TestIssuersDoNotShareABudget checks that the same subject of two issuers is two callers.
func TestIssuersDoNotShareABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both, handler := newTwoIssuers(t, func(cfg *gatehouse.Config) {
			cfg.RateLimits = gatehouse.RateLimits{RequestsPerMinute: 1, RequestsBurst: 2, FailedSignInsPerMinute: 1, FailedSignInsBurst: 1}
		})
		expired := testissuer.Claim("exp", time.Now().Add(-time.Hour).Unix())
		for _, steps := range []struct {
			name   string
			change testissuer.Change
			want   []int
		}{
			{"requests", testissuer.Claim("jti", "valid"), []int{200, 200, 429}},
			{"expired tokens", expired, []int{401, 429}},
		} {
			for _, w := range both {
				var got []int
				for range steps.want {
					got = append(got, sendFrom(t, handler, neighbor, w.token(resource, steps.change)).status)
				}
				if fmt.Sprint(got) != fmt.Sprint(steps.want) {
					t.Errorf("%s of the user of %s get %v, want %v", steps.name, w.URL(), got, steps.want)
				}
			}
		}
	})
}

// TestSendersAreNamedInTheLog checks that the line about a limit has a hint if many clients may have the
// address, and which one.
func TestSendersAreNamedInTheLog(t *testing.T) {
	const proxy, cdn, client = "10.0.0.1:80", "198.51.100.1", "192.0.2.7"
	trust := func(cfg *gatehouse.Config) { cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")} }
	trustOther := func(cfg *gatehouse.Config) { trust(cfg); cfg.ClientAddressHeader = "X-Real-IP" }
	none := func(*gatehouse.Config) {}
	for _, test := range []struct {
		name          string
		configure     func(*gatehouse.Config)
		from          string
		header        []string
		address, hint string
	}{
		{"control", trust, proxy, []string{"X-Forwarded-For", client}, client, ""},
		{"no proxy", none, attacker, nil, "203.0.113.7", ""},
		{"a proxy that is not trusted", none, proxy, []string{"X-Forwarded-For", client}, "10.0.0.1", "add its address to TrustedProxies"},
		{"a second proxy that is not trusted", trust, proxy, []string{"X-Forwarded-For", client + ", " + cdn}, cdn, "add its address to TrustedProxies"},
		{"a trusted proxy that names no client", trust, proxy, nil, "10.0.0.1", "write the address of the client into X-Forwarded-For"},
		{"a trusted proxy that names none in the header", trustOther, proxy, []string{"X-Forwarded-For", client}, "10.0.0.1", "into X-Real-Ip"},
		{"the header", trustOther, proxy, []string{"X-Real-IP", client}, client, ""},
	} {
		for kind, send := range map[string]func(http.Handler){
			"too many invalid tokens": func(h http.Handler) { sendFrom(t, h, test.from, "junk", test.header...) },
			"callers without a token": func(h http.Handler) {
				r := request{body: toolCall("open")}.make()
				r.RemoteAddr = test.from
				for i := 0; i < len(test.header); i += 2 {
					r.Header.Add(test.header[i], test.header[i+1])
				}
				sendRaw(h, r)
			},
		} {
			synctest.Test(t, func(t *testing.T) {
				var log testlog.Buffer
				handler := newWire().guard(t, fewSignIns, callsPerMinute, test.configure, func(cfg *gatehouse.Config) {
					cfg.Logger = log.Logger()
					cfg.Requirements = []gatehouse.Requirement{{Tool: "open", Require: gatehouse.Require{Public: true}}}
				})
				for range 2 * signInBurst {
					send(handler)
				}
				var line string
				for text := range strings.Lines(log.String()) {
					if strings.Contains(text, kind) {
						line += text
					}
				}
				hinted := strings.Contains(line, `"hint"`)
				if !strings.Contains(line, `"address":"`+test.address+`/32"`) || hinted != (test.hint != "") || !strings.Contains(line, test.hint) {
					t.Errorf("%s: got the line %s\nwant the address %s and the hint %q", test.name, line, test.address, test.hint)
				}
			})
		}
	}
}

// slowLimiter is about as slow as a guard waits: its answers arrive in turn just before that, and
// after it.
type slowLimiter struct {
	mu    sync.Mutex
	calls int
}

func (l *slowLimiter) Take(ctx context.Context, _ string, _ int, _ gatehouse.Rate) (time.Duration, error) {
	l.mu.Lock()
	l.calls++
	took := 40 * time.Millisecond
	if l.calls%2 == 0 {
		took = 60 * time.Millisecond
	}
	l.mu.Unlock()
	select {
	case <-time.After(took):
		return 0, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// TestSlowSharedLimiter checks that a shared limiter whose answers succeed and fail in turn delays few
// requests, and does not fill the log.
func TestSlowSharedLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients, duration = 10, 5 * time.Second
		var log testlog.Buffer
		var limiter slowLimiter
		w := newWire()
		guard := newGuard(t, w.issuer, sharing(&limiter), func(cfg *gatehouse.Config) {
			cfg.RateLimits.RequestsPerMinute = 1_000_000
			cfg.Logger, cfg.HTTPClient = log.Logger(), &http.Client{Transport: w}
		})
		handler := guard.Wrap(behind)
		begin := time.Now()
		var wg sync.WaitGroup
		for i := range clients {
			token := w.token(resource, testissuer.Claim("sub", fmt.Sprint("user_", i)))
			wg.Go(func() {
				for time.Since(begin) < duration {
					if got := sendFrom(t, handler, neighbor, token); got.status != 200 {
						t.Errorf("got %+v, want 200", got)
					}
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		wg.Wait()
		// In each second, one call may succeed, and each client then call once more.
		if most := 3 * clients * int(duration/time.Second); limiter.calls > most {
			t.Errorf("the limiter was called %d times in %s, want at most %d", limiter.calls, duration, most)
		}
		text := log.String()
		begun, ended := strings.Count(text, "limiter is unavailable"), strings.Count(text, "limiter is available again")
		if begun != 1 || ended > 1 {
			t.Errorf("the log has %d lines about a begin and %d about an end, want 1 and at most 1:\n%s", begun, ended, text)
		}
	})
}

// TestOutageIsLogged checks that an outage that begins soon after another one is logged too, a little
// later.
func TestOutageIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log testlog.Buffer
		var limiter sharedLimiter
		w := newWire()
		handler := newGuard(t, w.issuer, callsPerMinute, sharing(&limiter), func(cfg *gatehouse.Config) {
			cfg.Logger, cfg.HTTPClient = log.Logger(), &http.Client{Transport: w}
		}).Wrap(behind)
		token := w.token(resource, testissuer.Claim("exp", time.Now().Add(time.Hour).Unix()))
		send := func(fail func(context.Context) error, times int) {
			limiter.set(fail)
			for range times {
				time.Sleep(2 * time.Second)
				sendFrom(t, handler, neighbor, token)
			}
		}
		down := func(context.Context) error { return errors.New("connection refused") }
		for i, step := range []struct {
			fail         func(context.Context) error
			times        int
			begun, ended int
		}{{down, 1, 1, 0}, {nil, 1, 1, 1}, {down, 3, 1, 1}, {down, 60, 2, 1}, {nil, 1, 2, 2}} {
			send(step.fail, step.times)
			text := log.String()
			begun, ended := strings.Count(text, "limiter is unavailable"), strings.Count(text, "limiter is available again")
			if begun != step.begun || ended != step.ended {
				t.Errorf("step %d: the log has %d lines about a begin and %d about an end, want %d and %d", i, begun, ended, step.begun, step.ended)
			}
		}
	})
}

// TestFallbacksAreDecisions checks that each decision that is made without the shared limiter counts
// once, also that about a valid token, which is counted and given back.
func TestFallbacksAreDecisions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var limiter sharedLimiter
		limiter.set(func(context.Context) error { return errors.New("connection refused") })
		w := newWire()
		guard := newGuard(t, w.issuer, sharing(&limiter), func(cfg *gatehouse.Config) { cfg.HTTPClient = &http.Client{Transport: w} })
		handler := guard.Wrap(behind)
		if got := guard.Stats().RateLimits; !got.Shared || got.SharedAvailable || got.Fallbacks != 0 {
			t.Errorf("before the first call: %+v", got)
		}
		for i := range 3 {
			token := w.token(resource, testissuer.Claim("sub", fmt.Sprint("user_", i)))
			if got := sendFrom(t, handler, neighbor, token); got.status != 200 {
				t.Fatalf("token %d: %+v, want 200", i, got)
			}
		}
		if got := guard.Stats().RateLimits; got.Fallbacks != 3 || got.SharedFailures != 1 {
			t.Errorf("after three new tokens: %+v, want 3 fallbacks and 1 failure", got)
		}
	})
}

// TestBatchOverASharedLimit checks that a batch for which too little is left does not use up what is
// left.
func TestBatchOverASharedLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var limiter sharedLimiter
		w := newWire()
		few := func(cfg *gatehouse.Config) { cfg.RateLimits.RequestsPerMinute, cfg.RateLimits.RequestsBurst = 1, 5 }
		one, two := w.guard(t, few, sharing(&limiter)), w.guard(t, few, sharing(&limiter))
		token := w.token(resource)
		batch := func(n int) string { return "[" + strings.Repeat(pingBody+",", n-1) + pingBody + "]" }
		for i, step := range []struct {
			handler http.Handler
			body    string
			want    int
		}{{one, batch(2), 200}, {two, batch(4), 429}, {two, pingBody, 200}, {two, batch(2), 200}, {two, pingBody, 429}, {one, pingBody, 429}} {
			if got := send(step.handler, request{header: bearer(token), body: step.body}).StatusCode; got != step.want {
				t.Errorf("step %d: status %d, want %d", i, got, step.want)
			}
		}
	})
}

// TestLimitedIsCounted checks the counters of what was over a limit.
func TestLimitedIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		var o observed
		guard := newGuard(t, w.issuer, fewSignIns, callsPerMinute, o.configure, func(cfg *gatehouse.Config) {
			cfg.HTTPClient = &http.Client{Transport: w}
			cfg.Requirements = []gatehouse.Requirement{{Tool: "open", Require: gatehouse.Require{Public: true}}}
		})
		handler := guard.Wrap(behind)
		token := w.token(resource)
		for i := range signInBurst + 3 {
			sendFrom(t, handler, attacker, fmt.Sprint("junk-", i))
		}
		for range 2 + 2 {
			sendFrom(t, handler, neighbor, token)
		}
		for range 2 + 1 {
			send(handler, request{body: toolCall("open")})
		}
		got := guard.Stats().RateLimits
		if got.LimitedSignIns != 3 || got.LimitedRequests != 2 || got.LimitedAnonymous != 1 || got.Shared {
			t.Errorf("got %+v, want 3 tokens, 2 requests and 1 without a token", got)
		}
		results := map[string]int{}
		for _, v := range o.verifications {
			results[v.Result()]++
		}
		if want := map[string]int{"invalid": signInBurst, "limited": 3, "valid": 4}; fmt.Sprint(results) != fmt.Sprint(want) {
			t.Errorf("got the results %v, want %v", results, want)
		}
	})
}

// TestAnonymousFloodOfAnIPv6Site checks that callers without a token in one IPv6 site are limited together.
func TestAnonymousFloodOfAnIPv6Site(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := newWire().guard(t, callsPerMinute, func(cfg *gatehouse.Config) {
			cfg.Requirements = []gatehouse.Requirement{{Tool: "open", Require: gatehouse.Require{Public: true}}}
		})
		call := func(from string) int {
			r := request{body: toolCall("open")}.make()
			r.RemoteAddr = from
			return sendRaw(handler, r).StatusCode
		}
		const burst = 16 * 2
		count := map[int]int{}
		for i := range 2 * burst {
			count[call(inSite(1, i))]++
		}
		if count[200] != burst || count[401] != burst {
			t.Errorf("calls from %d networks of one site are answered with %v, want %d times 200", 2*burst, count, burst)
		}
		if got := call(inSite(2, 1)); got != 200 {
			t.Errorf("another site is answered with status %d, want 200", got)
		}
	})
}
