package remote_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse/internal/remote"
)

func TestCopyIsWhatTheIssuerSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const body = " {\"b\": 1,\n\"a\":\"\\u00e4\"}\n"
		i := newIssuer(body)
		i.Respond(http.StatusOK, body, "Content-Type", "application/jwk-set+json")
		i.Delay(time.Second)
		startedAt := time.Now()
		got, err := i.open(t).Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := remote.Copy{
			Body:      []byte(body),
			FetchedAt: startedAt,
			Expires:   startedAt.Add(remote.DefaultHardTTL),
			Sequence:  1,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("copy (-want +got):\n%s", diff)
		}
	})
}

func TestNewDoesNoIO(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(validDoc)
		d := i.open(t)
		time.Sleep(time.Hour)
		if i.fetches() != 0 {
			t.Errorf("%d fetches before the first use, want 0", i.fetches())
		}
		if got := d.Stats(); got != (remote.Stats{}) {
			t.Errorf("Stats() = %+v before the first use, want zero", got)
		}
	})
}

func TestManyCallersShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(validDoc)
		i.Delay(200 * time.Millisecond)
		d := i.open(t)
		var served atomic.Int32
		for range 500 {
			go func() {
				if c, err := d.Get(t.Context()); err == nil && string(c.Body) == validDoc {
					served.Add(1)
				}
			}()
		}
		time.Sleep(time.Second)
		if served.Load() != 500 || i.fetches() != 1 {
			t.Errorf("%d of 500 served by %d fetches, want all by 1", served.Load(), i.fetches())
		}
	})
}

func TestWaitersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(validDoc)
		i.Delay(time.Second)
		d := i.open(t)
		var served atomic.Int32
		for range remote.MaxWaiters {
			go func() {
				if _, err := d.Get(t.Context()); err == nil {
					served.Add(1)
				}
			}()
		}
		synctest.Wait()
		_, err := d.Get(t.Context())
		wantUnavailable(t, err, "too many callers are waiting")
		time.Sleep(2 * time.Second)
		if served.Load() != remote.MaxWaiters {
			t.Errorf("%d served, want %d", served.Load(), remote.MaxWaiters)
		}
	})
}

func TestFetchContinuesWithoutItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(validDoc)
		i.Delay(2 * time.Second)
		d := i.open(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := d.Get(ctx)
		wantUnavailable(t, err, `waiting for "https://issuer.example/keys": context deadline exceeded`)
		c, err := d.Get(t.Context())
		wantBody(t, c, err, validDoc)
		if i.fetches() != 1 {
			t.Errorf("%d fetches, want 1", i.fetches())
		}
	})
}

func TestRefetchWaitsForTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(validDoc)
		d := i.open(t)
		first, err := d.Get(t.Context())
		wantBody(t, first, err, validDoc)

		time.Sleep(time.Second)
		_, err = d.Refetch(t.Context(), first.Sequence)
		if wait := wantUnavailable(t, err, "fetched a moment ago"); wait != 3*time.Second || !errors.Is(err, remote.ErrTooSoon) {
			t.Errorf("got %v, want ErrTooSoon and 3s", err)
		}
		c, err := d.Refetch(t.Context(), first.Sequence-1)
		wantBody(t, c, err, validDoc) // the current copy is newer than that

		i.serve(`{"new":1}`)
		time.Sleep(3 * time.Second)
		c, err = d.Refetch(t.Context(), first.Sequence)
		wantBody(t, c, err, `{"new":1}`)
		if c.Sequence <= first.Sequence || i.fetches() != 2 {
			t.Errorf("sequence %d after %d with %d fetches, want greater with 2", c.Sequence, first.Sequence, i.fetches())
		}
	})
}

func TestRefreshBeforeTheCopyAges(t *testing.T) {
	for _, tc := range []struct {
		name, cacheControl string
		want               time.Duration
	}{
		{"without Cache-Control", "", 10 * time.Minute},
		{"shorter max-age", "public, max-age=120", 2 * time.Minute},
		{"longer max-age is ignored", "max-age=86400", 10 * time.Minute},
		{"max-age too short", "no-cache, Max-Age=0", time.Minute},
		{"max-age malformed", "max-age=-1", 10 * time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newIssuer(validDoc)
				i.Respond(http.StatusOK, validDoc, "Cache-Control", tc.cacheControl)
				d := i.open(t)
				if _, err := d.Get(t.Context()); err != nil {
					t.Fatal(err)
				}
				for n := 2; n < 12; n++ {
					last := i.lastRequest()
					time.Sleep(time.Until(last.Add(tc.want * 89 / 100)))
					if i.fetches() != n-1 {
						t.Fatalf("refreshed after %s, want not before %s", i.lastRequest().Sub(last), tc.want*9/10)
					}
					time.Sleep(time.Until(last.Add(tc.want * 111 / 100)))
					if i.fetches() != n {
						t.Fatalf("%d fetches after %s, want %d", i.fetches(), tc.want*111/100, n)
					}
				}
			})
		})
	}
}

// A fetch that a caller requested replaces the next refresh.
func TestRefetchPostponesTheRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(validDoc)
		d := i.open(t)
		for sequence := range uint64(10) {
			if _, err := d.Refetch(t.Context(), sequence); err != nil {
				t.Fatal(err)
			}
			time.Sleep(remote.DefaultMinInterval)
		}
		time.Sleep(remote.DefaultSoftTTL * 12 / 10)
		if i.fetches() != 11 {
			t.Errorf("%d fetches, want 10 that were requested and 1 refresh", i.fetches())
		}
	})
}

func TestLastGoodCopyServesUntilHardTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(validDoc)
		d := i.open(t)
		if _, err := d.Get(t.Context()); err != nil {
			t.Fatal(err)
		}
		i.down()
		time.Sleep(23 * time.Hour)
		c, err := d.Get(t.Context())
		wantBody(t, c, err, validDoc)
		if got := d.Stats(); got.Age != 23*time.Hour || got.LastError != remote.Network || got.Failures != got.Fetches-1 {
			t.Errorf("Stats() = %+v, want age 23h, network, one successful fetch", got)
		}

		time.Sleep(2 * time.Hour)
		_, err = d.Get(t.Context())
		wantUnavailable(t, err, `GET "https://issuer.example/keys": connection refused`)
		_, err = d.Refetch(t.Context(), 0)
		wantUnavailable(t, err, "connection refused")

		i.serve(`{"back":1}`)
		time.Sleep(remote.DefaultMinInterval)
		c, err = d.Get(t.Context())
		wantBody(t, c, err, `{"back":1}`)
		if got := d.Stats(); got.LastError != "" || got.Age != 0 {
			t.Errorf("Stats() = %+v after recovery, want no error, age 0", got)
		}
	})
}

func TestRecoversWithoutCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(validDoc)
		i.down()
		d := i.open(t)
		_, err := d.Get(t.Context())
		wantUnavailable(t, err, "connection refused")
		time.Sleep(time.Hour)
		if n := i.fetches(); n < 55 || n > 75 {
			t.Errorf("%d fetches in an hour without the issuer, want about one a minute", n)
		}
		i.serve(validDoc)
		time.Sleep(remote.MaxBackoff * 12 / 10)
		if d.Stats().Sequence == 0 {
			t.Error("no copy after the issuer came back, without a request")
		}
	})
}

func TestRetryAfterOfTheIssuerIsHonored(t *testing.T) {
	for _, tc := range []struct {
		name, header string
		want         time.Duration
	}{
		{"none", "", 4 * time.Second},
		{"seconds", "30", 30 * time.Second},
		{"less than the interval", "1", 4 * time.Second},
		{"date", "Sat, 01 Jan 2000 00:00:20 GMT", 20 * time.Second},
		{"too long", "86400", time.Minute},
		{"malformed", "soon", 4 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newIssuer(validDoc)
				i.Respond(http.StatusTooManyRequests, "", "Retry-After", tc.header)
				d := i.open(t)
				_, err := d.Get(t.Context())
				if got := wantUnavailable(t, err, "status 429, want 200"); got != tc.want {
					t.Errorf("RetryAfter is %s, want %s", got, tc.want)
				}
				i.serve(validDoc)
				time.Sleep(tc.want - time.Millisecond)
				if _, err = d.Get(t.Context()); i.fetches() != 1 {
					t.Errorf("fetched again before %s", tc.want)
				}
				wantUnavailable(t, err, "status 429")
				time.Sleep(time.Millisecond)
				c, err := d.Get(t.Context())
				wantBody(t, c, err, validDoc)
			})
		})
	}
}

func TestCloseReleasesWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(validDoc)
		i.Delay(time.Hour)
		d := i.open(t)
		errs := make(chan error)
		go func() {
			_, err := d.Get(t.Context())
			errs <- err
		}()
		synctest.Wait()
		go d.Close()
		wantUnavailable(t, <-errs, "document is closed")
		_, err := d.Get(t.Context())
		wantUnavailable(t, err, "document is closed")
		time.Sleep(time.Hour)
		if i.fetches() != 1 {
			t.Errorf("%d fetches, want none after Close", i.fetches()-1)
		}
	})
}

func TestLocate(t *testing.T) {
	for _, tc := range []struct {
		name, url, located string
		locateErr          error
		wantErr            string
	}{
		{name: "control", url: docURL, located: "https://keys.example/v2"},
		{name: "loopback for loopback", url: "http://localhost:1/x", located: "http://127.0.0.1:2/keys"},
		{name: "plain http", url: docURL, located: "http://keys.example/v2", wantErr: "is not https"},
		{name: "loopback for https", url: docURL, located: "http://localhost/v2", wantErr: "is not https"},
		{name: "relative", url: docURL, located: "/v2", wantErr: `URL "/v2" is not absolute`},
		{name: "cannot locate", url: docURL, locateErr: errDown, wantErr: "locating: connection refused"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newIssuer(validDoc)
				var fetched atomic.Value
				i.Answer(func(req *http.Request) (*http.Response, error) {
					fetched.Store(req.URL.String())
					return nil, errDown
				})
				d := i.open(t, func(cfg *remote.Config) {
					cfg.URL = tc.url
					cfg.Locate = func(context.Context) (string, error) { return tc.located, tc.locateErr }
				})
				_, err := d.Get(t.Context())
				if tc.wantErr == "" {
					if fetched.Load() != tc.located {
						t.Errorf("fetched from %v, want %q", fetched.Load(), tc.located)
					}
					return
				}
				wantUnavailable(t, err, tc.wantErr)
				if got := remote.ClassOf(err); got != remote.BadURL || fetched.Load() != nil {
					t.Errorf("class %q, fetched from %v, want %q and no fetch", got, fetched.Load(), remote.BadURL)
				}
			})
		})
	}
}

func TestErrorOfLocateKeepsItsClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(validDoc)
		i.Respond(http.StatusNotFound, "")
		metadata := i.open(t)
		keys := i.open(t, func(cfg *remote.Config) {
			cfg.Locate = func(ctx context.Context) (string, error) {
				_, err := metadata.Get(ctx)
				return "", err
			}
		})
		if _, err := keys.Get(t.Context()); remote.ClassOf(err) != remote.NotFound {
			t.Errorf("got %v, want class %q", err, remote.NotFound)
		}
	})
}
