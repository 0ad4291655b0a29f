package gatehouse_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

// leastInterval is the least time between two fetches of the keys. keyTimeout bounds one
// fetch.
const (
	leastInterval = 4 * time.Second
	keyTimeout    = 5 * time.Second
)

// Keys of the issuer. It signs with currentKey, unless a test says otherwise.
var (
	currentKey = testissuer.NewKey(keyID)
	nextKey    = testissuer.NewKey("key-2")                          // the key that it rotates to
	reusedID   = testissuer.Key{ID: keyID, Private: nextKey.Private} // nextKey under the ID of currentKey
)

// wire is an issuer without a socket, so that it works with testing/synctest. Its tokens
// are signed with currentKey, whatever it publishes.
type wire struct {
	*issuer
	*testissuer.Transport
}

func newWire() *wire {
	w := &wire{&issuer{testissuer.New("https://issuer.example")}, testissuer.NewTransport()}
	w.publish(currentKey)
	return w
}

// publish makes w answer with these keys from now on.
func (w *wire) publish(keys ...testissuer.Key) {
	published := testissuer.New(w.URL())
	published.Publish(keys...)
	w.Serve(published)
}

func (w *wire) down() { w.Fail(errors.New("connection refused")) }

// fetches returns the times of the fetches of the keys.
func (w *wire) fetches() []time.Time { return w.Transport.Requests(testissuer.KeysPath) }

// signed returns a valid token with changes, signed by any key.
func (w *wire) signed(key testissuer.Key, changes ...testissuer.Change) string {
	by := &issuer{testissuer.New(w.URL())}
	by.Publish(key)
	return by.token(resource, changes...)
}

// lasting lets a token expire after the end of every test.
func lasting() testissuer.Change { return testissuer.Claim("exp", time.Now().Add(72*time.Hour).Unix()) }

func (w *wire) guard(t *testing.T, configure ...func(*gatehouse.Config)) http.Handler {
	t.Helper()
	overWire := func(cfg *gatehouse.Config) { cfg.HTTPClient = &http.Client{Transport: w} }
	return newGuard(t, w.issuer, append(configure, overWire)...).Wrap(behind)
}

// status returns the status of a request with the token. retryAfter is 0 if the answer has
// no such header.
func status(handler http.Handler, token string) (code int, retryAfter time.Duration) {
	resp := send(handler, request{header: bearer(token)})
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	return resp.StatusCode, time.Duration(seconds) * time.Second
}

func wantStatus(t *testing.T, handler http.Handler, token string, want int) (retryAfter time.Duration) {
	t.Helper()
	got, retryAfter := status(handler, token)
	if got != want {
		t.Fatalf("status %d, want %d", got, want)
	}
	if (retryAfter > 0) != (want == http.StatusServiceUnavailable) {
		t.Fatalf("status %d with Retry-After %s", got, retryAfter)
	}
	return retryAfter
}

// TestStampede sends the first requests of 500 users at the same time, over sockets.
func TestStampede(t *testing.T) {
	t.Parallel()
	const users = 500
	var fetches atomic.Int32
	inside := make(chan struct{}) // closed when all users wait for the keys
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fetches.Add(1)
		select {
		case <-inside:
			io.WriteString(w, testissuer.JWKS(currentKey))
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(keys.Close)
	is := &issuer{testissuer.New(keys.URL)}
	guarded := newGuard(t, is).Wrap(behind)

	var arrived, entered atomic.Int32
	together := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		closeAt(&arrived, users, together)
		select {
		case <-together:
		case <-r.Context().Done():
			return
		}
		closeAt(&entered, users, inside)
		guarded.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)

	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	var wrong atomic.Int32
	var wg sync.WaitGroup
	for i := range users {
		subject := fmt.Sprint("user_", i)
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/mcp", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = bearer(is.token(resource, testissuer.Claim("sub", subject)))
		wg.Go(func() {
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				wrong.Add(1)
				giveUp() // the others wait for this one
				return
			}
			defer resp.Body.Close()
			if got, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || string(got) != subject {
				wrong.Add(1)
			}
		})
	}
	wg.Wait()
	if wrong.Load() != 0 || fetches.Load() != 1 {
		t.Errorf("%d of %d users were rejected, with %d fetches; want none, with 1 fetch", wrong.Load(), users, fetches.Load())
	}
}

func closeAt(count *atomic.Int32, n int32, c chan struct{}) {
	if count.Add(1) == n {
		close(c)
	}
}

// flood sends n tokens over the time d, from 100 concurrent callers, and returns the group
// of the callers. Each token is from another address, so that no limit of an address applies.
func flood(t *testing.T, handler http.Handler, n int, d time.Duration, junk func(k int) string) *sync.WaitGroup {
	const callers = 100
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			r := request{}.make() // once: making a request costs more than rejecting it
			for k := range n / callers {
				i := c*n/callers + k
				r.Header, r.RemoteAddr = bearer(junk(i)), fmt.Sprintf("10.%d.%d.%d:4711", byte(i>>16), byte(i>>8), byte(i))
				if got := sendRaw(handler, r).StatusCode; got == http.StatusOK {
					t.Error("an invalid token is accepted")
					return
				}
				time.Sleep(d / time.Duration(n/callers))
			}
		})
	}
	return &wg
}

// TestFlood checks that, during a flood of invalid tokens, tokens of known keys are
// accepted, a new key is accepted within five seconds, and the keys are fetched only a
// few times a minute.
func TestFlood(t *testing.T) {
	for _, test := range []struct {
		name   string
		tokens int
		kid    func(k int) string
	}{
		{"control: few tokens", 100, func(int) string { return "junk" }},
		{"unknown kids", 100_000, func(k int) string { return fmt.Sprint("junk-", k) }},
		{"bad signatures", 5_000, func(int) string { return keyID }},
		{"bad signatures without kid", 5_000, func(int) string { return "" }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire()
				handler := w.guard(t)
				known := w.token(resource)
				wantStatus(t, handler, known, 200)
				rest := known[strings.Index(known, "."):strings.LastIndex(known, ".")+1] + strings.Repeat("A", 342)
				over := flood(t, handler, test.tokens, 2*time.Minute, func(k int) string {
					header := fmt.Sprintf(`{"typ":"at+jwt","alg":"RS256","kid":%q}`, test.kid(k))
					return base64.RawURLEncoding.EncodeToString([]byte(header)) + rest
				})

				for i := range 60 { // 30 s
					time.Sleep(500 * time.Millisecond)
					wantStatus(t, handler, known, 200)
					wantStatus(t, handler, w.token(resource, testissuer.Claim("sub", fmt.Sprint("user_", i))), 200)
				}
				w.publish(currentKey, nextKey)
				published, fresh := time.Now(), w.signed(nextKey)
				for got := 0; got != 200; time.Sleep(100 * time.Millisecond) {
					if got, _ = status(handler, fresh); got != 200 && got != 503 {
						t.Fatalf("token of a new key: status %d, want 200, or 503 at first", got)
					}
				}
				if late := time.Since(published); late > 5*time.Second {
					t.Errorf("new key is accepted after %s, want within 5s", late)
				}
				wantStatus(t, handler, known, 200)
				over.Wait()
				if n := testissuer.MostWithin(time.Minute, w.fetches()); n > 15 {
					t.Errorf("%d fetches within a minute, want at most 15", n)
				}
			})
		})
	}
}

// TestRotationReachesCachedTokens checks that a cached token is rejected once its key was
// removed.
func TestRotationReachesCachedTokens(t *testing.T) {
	overlap := []testissuer.Key{nextKey, currentKey}
	for _, test := range []struct {
		name    string
		keys    []testissuer.Key
		fresh   testissuer.Key // signs the new token
		wait    time.Duration
		first   bool // whether a token of the new key arrives before the old one
		wantOld int
		wantNew int
	}{
		{"control: none", []testissuer.Key{currentKey}, nextKey, leastInterval, true, 200, 401},
		{"with overlap", overlap, nextKey, leastInterval, true, 200, 200},
		{"without overlap", overlap[:1], nextKey, leastInterval, true, 401, 200},
		{"without overlap, noticed without a request", overlap[:1], nextKey, 11 * time.Minute, false, 401, 200},
		{"under the same kid", []testissuer.Key{reusedID}, reusedID, leastInterval, true, 401, 200},
		{"under the same kid, noticed without a request", []testissuer.Key{reusedID}, reusedID, 11 * time.Minute, false, 401, 200},
		{"two keys under one kid", []testissuer.Key{reusedID, currentKey}, reusedID, leastInterval, true, 200, 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire()
				handler := w.guard(t)
				old := w.token(resource)
				wantStatus(t, handler, old, 200)
				wantStatus(t, handler, old, 200)
				w.publish(test.keys...)
				wantStatus(t, handler, old, 200) // the new keys are not fetched yet
				time.Sleep(test.wait)
				fresh := w.signed(test.fresh)
				if test.first {
					wantStatus(t, handler, fresh, test.wantNew)
				}
				wantStatus(t, handler, old, test.wantOld)
				wantStatus(t, handler, fresh, test.wantNew)
			})
		})
	}
}

// byMetadata lets the guard find the keys by the issuer's metadata, which can then be
// unavailable too.
func byMetadata(cfg *gatehouse.Config) { cfg.Provider.JWKSURL = "" }

func atKnownURL(*gatehouse.Config) {}

// TestOutage checks that the last keys are used for a day, that tokens are answered with
// 503 after that, and that they are accepted soon after the issuer is back.
func TestOutage(t *testing.T) {
	for name, configure := range map[string]func(*gatehouse.Config){"keys at a known URL": atKnownURL, "keys found by metadata": byMetadata} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire()
				handler := w.guard(t, configure)
				seen, unseen := w.token(resource, lasting()), w.token(resource, lasting(), testissuer.Claim("jti", "token-2"))
				unknown := w.signed(nextKey, lasting())
				wantStatus(t, handler, seen, 200)
				w.down()

				time.Sleep(23 * time.Hour)
				wantStatus(t, handler, seen, 200)
				wantStatus(t, handler, unseen, 200)
				wantStatus(t, handler, unknown, 503)
				wantStatus(t, handler, w.signed(reusedID), 401)

				time.Sleep(2 * time.Hour)
				wantStatus(t, handler, seen, 503)
				wantStatus(t, handler, unseen, 503)
				wantStatus(t, handler, "garbage", 401)
				if n := testissuer.MostWithin(time.Minute, w.fetches()); n > 15 {
					t.Errorf("%d fetches within a minute of the outage, want at most 15", n)
				}

				w.publish(currentKey)
				recovered := time.Now()
				for got := 503; got != 200; {
					var after time.Duration
					if got, after = status(handler, seen); got != 200 && got != 503 {
						t.Fatalf("status %d, want 503 until there are keys", got)
					}
					time.Sleep(after)
				}
				if late := time.Since(recovered); late > time.Minute {
					t.Errorf("accepted %s after the issuer came back, want within a minute for a client that follows Retry-After", late)
				}
				wantStatus(t, handler, unseen, 200)
			})
		})
	}
}

// loris is a body that sends one byte a second until its context ends.
type loris struct{ ctx context.Context }

func (l loris) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		p[0] = ' '
		return 1, nil
	case <-l.ctx.Done():
		return 0, l.ctx.Err()
	}
}

// TestBrokenIssuer checks wrong answers of the issuer, at the start and later.
func TestBrokenIssuer(t *testing.T) {
	answering := func(status int, body string) func(*wire) {
		return func(w *wire) { w.Respond(status, body) }
	}
	for _, test := range []struct {
		name      string
		breakIt   func(*wire)
		wantStart int // for a valid token, at the start
		wantLater int // for a token with a new kid, later
	}{
		{"control", func(*wire) {}, 200, 401},
		{"unreachable", (*wire).down, 503, 503},
		{"slow loris", func(w *wire) {
			w.Answer(func(r *http.Request) (*http.Response, error) {
				return testissuer.Response(r, 200, loris{r.Context()}), nil
			})
		}, 503, 503},
		{"never answers", func(w *wire) {
			w.Answer(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})
		}, 503, 503},
		{"HTML", answering(200, "<!doctype html><title>Maintenance</title>"), 503, 503},
		{"500", answering(500, "{}"), 503, 503},
		{"10 MB", answering(200, `{"keys":[],"x":"`+strings.Repeat("x", 10<<20)+`"}`), 503, 503},
		{"redirect elsewhere", func(w *wire) {
			w.Answer(func(r *http.Request) (*http.Response, error) {
				if r.URL.Host == "evil.example" {
					return testissuer.Response(r, 200, strings.NewReader(testissuer.JWKS(reusedID, nextKey))), nil
				}
				return testissuer.Response(r, 302, http.NoBody, "Location", "https://evil.example"+testissuer.KeysPath), nil
			})
		}, 503, 503},
		{"empty set", func(w *wire) { w.publish() }, 503, 503},
		{"unusable keys", answering(200, `{"keys":[{"kty":"oct","kid":"key-1","k":"c2VjcmV0"}]}`), 503, 503},
	} {
		t.Run(test.name+", at start", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire()
				test.breakIt(w)
				handler := w.guard(t)
				begun := time.Now()
				after := wantStatus(t, handler, w.token(resource), test.wantStart)
				if took := time.Since(begun); took > keyTimeout {
					t.Errorf("answered after %s, want within %s", took, keyTimeout)
				}
				w.publish(currentKey)
				time.Sleep(after)
				wantStatus(t, handler, w.token(resource), 200)
			})
		})
		t.Run(test.name+", later", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire()
				handler := w.guard(t)
				wantStatus(t, handler, w.token(resource), 200)
				test.breakIt(w)
				time.Sleep(leastInterval)
				fresh := w.signed(nextKey)
				wantStatus(t, handler, fresh, test.wantLater)
				wantStatus(t, handler, w.token(resource), 200)
				w.publish(nextKey)
				time.Sleep(leastInterval)
				wantStatus(t, handler, fresh, 200)
				wantStatus(t, handler, w.token(resource), 401)
			})
		})
	}
}

// TestStartWithoutIssuer checks that a server that starts during an outage fetches the keys
// later, without a request.
func TestStartWithoutIssuer(t *testing.T) {
	for name, configure := range map[string]func(*gatehouse.Config){"keys at a known URL": atKnownURL, "keys found by metadata": byMetadata} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire()
				w.down()
				handler := w.guard(t, configure)
				wantStatus(t, handler, w.token(resource), 503)
				time.Sleep(time.Hour)
				w.publish(currentKey)
				time.Sleep(3 * time.Minute) // without a request
				before := len(w.fetches())
				wantStatus(t, handler, w.token(resource), 200)
				if len(w.fetches()) != before {
					t.Error("the first request caused a fetch")
				}
			})
		})
	}
}

// TestKeyFile checks that a server with a key file accepts tokens when it starts during an
// outage.
func TestKeyFile(t *testing.T) {
	for _, test := range []struct {
		name string
		prep func(t *testing.T, file string)
		age  time.Duration
		want int
	}{
		{"control", func(*testing.T, string) {}, 0, 200},
		{"23 hours old", func(*testing.T, string) {}, 23 * time.Hour, 200},
		{"25 hours old", func(*testing.T, string) {}, 25 * time.Hour, 503},
		{"removed", func(t *testing.T, file string) { must(t, os.Remove(file)) }, 0, 503},
		{"damaged", func(t *testing.T, file string) { must(t, os.Truncate(file, 20)) }, 0, 503},
		{"writable by others", func(t *testing.T, file string) { must(t, os.Chmod(file, 0o666)) }, 0, 503},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "keys.json")
				withFile := func(cfg *gatehouse.Config) { cfg.KeyFile = file }
				w := newWire()
				wantStatus(t, w.guard(t, withFile), w.token(resource), 200)
				synctest.Wait() // the file is written after the answer
				w.down()
				test.prep(t, file)
				time.Sleep(test.age)
				wantStatus(t, w.guard(t, withFile), w.token(resource), test.want)
			})
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// introspection is a provider's introspection of opaque tokens.
type introspection struct {
	is       *issuer
	requests atomic.Int32
	err      atomic.Pointer[error]
}

func (o *introspection) introspect(ctx context.Context, raw string) (json.RawMessage, error) {
	o.requests.Add(1)
	select {
	case <-time.After(200 * time.Millisecond):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := o.err.Load(); err != nil {
		return nil, *err
	}
	if raw == "oat_bad" {
		return nil, gatehouse.ErrInactive
	}
	return json.Marshal(map[string]any{
		"active": true, "iss": o.is.URL(), "sub": "user_1", "aud": resource, "client_id": "client-1",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "jti": raw,
	})
}

func newIntrospection(t *testing.T) (*introspection, http.Handler) {
	t.Helper()
	w := newWire()
	o := &introspection{is: w.issuer}
	return o, w.guard(t, func(cfg *gatehouse.Config) { cfg.Provider.Introspect = o.introspect })
}

// rateLimited is an error with a Retry-After.
type rateLimited time.Duration

func (p rateLimited) Error() string             { return "status 429" }
func (p rateLimited) RetryAfter() time.Duration { return time.Duration(p) }

// TestOpaqueTokens checks that the provider is asked about each token once a minute, and
// not at all while it is rate limiting, and that its outage is answered with 503.
func TestOpaqueTokens(t *testing.T) {
	t.Run("500 at once cause one request", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o, handler := newIntrospection(t)
			var in atomic.Int32
			var wg sync.WaitGroup
			for range 500 {
				wg.Go(func() {
					if got, _ := status(handler, "oat_1"); got == 200 {
						in.Add(1)
					}
				})
			}
			wg.Wait()
			if in.Load() != 500 || o.requests.Load() != 1 {
				t.Errorf("%d of 500 accepted with %d requests, want all with 1", in.Load(), o.requests.Load())
			}
			time.Sleep(time.Minute)
			wantStatus(t, handler, "oat_1", 200)
			if o.requests.Load() != 2 {
				t.Errorf("%d requests after a minute, want 2", o.requests.Load())
			}
		})
	})
	t.Run("500 different ones cause 32 requests at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o, handler := newIntrospection(t)
			var in, later atomic.Int32
			var wg sync.WaitGroup
			for i := range 500 {
				wg.Go(func() {
					switch got, _ := status(handler, fmt.Sprint("oat_", i)); got {
					case 200:
						in.Add(1)
					case 503:
						later.Add(1)
					}
				})
			}
			wg.Wait()
			if in.Load() != 32 || later.Load() != 468 || o.requests.Load() != 32 {
				t.Errorf("%d accepted, %d answered with 503, %d requests; want 32, 468, 32", in.Load(), later.Load(), o.requests.Load())
			}
		})
	})
	t.Run("a flood of unknown ones does not lock out users", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o, handler := newIntrospection(t)
			wantStatus(t, handler, "oat_user", 200)
			time.Sleep(time.Minute) // the answer is no longer cached
			var wg sync.WaitGroup
			for i := range 500 {
				wg.Go(func() { status(handler, fmt.Sprint("unknown_", i)) })
			}
			synctest.Wait()
			wantStatus(t, handler, "oat_new", 503) // control: all requests about unknown tokens are in use
			wantStatus(t, handler, "oat_user", 200)
			wg.Wait()
			if got := o.requests.Load(); got != 1+32+1 {
				t.Errorf("%d requests, want 34", got)
			}
		})
	})
	t.Run("a token that is not active any more is unknown", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o, handler := newIntrospection(t)
			wantStatus(t, handler, "oat_user", 200)
			time.Sleep(time.Minute)
			inactive := fmt.Errorf("revoked: %w", gatehouse.ErrInactive)
			o.err.Store(&inactive)
			wantStatus(t, handler, "oat_user", 401)
			o.err.Store(nil)
			time.Sleep(10 * time.Second)
			var wg sync.WaitGroup
			for i := range 500 {
				wg.Go(func() { status(handler, fmt.Sprint("unknown_", i)) })
			}
			synctest.Wait()
			wantStatus(t, handler, "oat_user", 503)
			wg.Wait()
			wantStatus(t, handler, "oat_user", 200)
		})
	})
	t.Run("429", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o, handler := newIntrospection(t)
			wantStatus(t, handler, "oat_1", 200)
			throttled := error(rateLimited(30 * time.Second))
			o.err.Store(&throttled)
			wantStatus(t, handler, "oat_2", 503)
			o.err.Store(nil)
			for range 29 {
				time.Sleep(time.Second)
				wantStatus(t, handler, "oat_1", 200)
				wantStatus(t, handler, "oat_2", 503)
			}
			if o.requests.Load() != 2 {
				t.Errorf("%d requests, want 2: none while the provider is rate limiting", o.requests.Load())
			}
			time.Sleep(time.Second)
			wantStatus(t, handler, "oat_2", 200)
		})
	})
	t.Run("outage", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o, handler := newIntrospection(t)
			wantStatus(t, handler, "oat_1", 200)
			wantStatus(t, handler, "oat_bad", 401)
			unreachable := errors.New("connection refused")
			o.err.Store(&unreachable)
			wantStatus(t, handler, "oat_1", 200)
			wantStatus(t, handler, "oat_bad", 401)
			wantStatus(t, handler, "oat_2", 503)
			time.Sleep(time.Minute)
			wantStatus(t, handler, "oat_1", 503)
			wantStatus(t, handler, "oat_bad", 503)
			o.err.Store(nil)
			wantStatus(t, handler, "oat_1", 200)
			wantStatus(t, handler, "oat_bad", 401)
		})
	})
}

var namedTest = regexp.MustCompile("`([a-z/]+)\\.(Test\\w+)`")

// TestReliabilityDocument checks that each test that docs/reliability.md names exists, and
// that it names each test of this file.
func TestReliabilityDocument(t *testing.T) {
	text, err := os.ReadFile("docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]map[string]bool{}
	named := map[string]bool{}
	for _, m := range namedTest.FindAllSubmatch(text, -1) {
		pkg, name := string(m[1]), string(m[2])
		if tests[pkg] == nil {
			tests[pkg] = testsIn(t, filepath.Join(folderOf(pkg), "*_test.go"))
		}
		if !tests[pkg][name] {
			t.Errorf("%s.%s is named and does not exist", pkg, name)
		}
		named[pkg+"."+name] = true
	}
	for name := range testsIn(t, "reliability_test.go") {
		if !named["gatehouse."+name] && name != t.Name() {
			t.Errorf("gatehouse.%s is not named", name)
		}
	}
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, []byte("| ")) && !bytes.HasPrefix(line, []byte("| promise")) && !bytes.HasPrefix(line, []byte("| ---")) && !namedTest.Match(line) {
			t.Errorf("a promise without a test: %s", line)
		}
	}
}

// folderOf returns the folder of a package that the document names.
func folderOf(pkg string) string {
	if pkg == "gatehouse" {
		return "."
	}
	return pkg
}

// testsIn returns the names of the tests in the files that match a pattern.
func testsIn(t *testing.T, pattern string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in %s: %v", pattern, err)
	}
	names := map[string]bool{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				names[f.Name.Name] = true
			}
		}
	}
	return names
}
