package localclerk

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFaultStatus(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	const keys, discovery = "/.well-known/jwks.json", "/.well-known/openid-configuration"
	for _, test := range []struct {
		name            string
		faults          Faults
		keys, discovery int
		retryAfter      string
	}{
		{"none", Faults{}, 200, 200, ""},
		{"outage", Faults{Status: 503}, 503, 503, "5"},
		{"error", Faults{Status: 500}, 500, 500, ""},
		{"outage of the keys", Faults{Status: 503, Paths: []string{keys}}, 503, 200, "5"},
		{"no faults again", Faults{}, 200, 200, ""},
	} {
		if err := s.SetFaults(test.faults); err != nil {
			t.Fatal(err)
		}
		got := get(t, s, keys)
		if got.status != test.keys || got.header.Get("Retry-After") != test.retryAfter {
			t.Errorf("%s: keys answer %d with Retry-After %q", test.name, got.status, got.header.Get("Retry-After"))
		}
		if got.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: a browser cannot read the answer", test.name)
		}
		if got := get(t, s, discovery); got.status != test.discovery {
			t.Errorf("%s: discovery answers %d, want %d", test.name, got.status, test.discovery)
		}
	}
}

func TestFaultLatency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		if err := s.SetFaults(Faults{Latency: 3 * time.Second, Paths: []string{"/oauth/"}}); err != nil {
			t.Fatal(err)
		}
		took := func(target string) time.Duration {
			start := time.Now()
			get(t, s, target)
			return time.Since(start)
		}
		if got := took("/oauth/userinfo"); got != 3*time.Second {
			t.Errorf("userinfo took %s, want 3s", got)
		}
		if got := took("/.well-known/jwks.json"); got != 0 {
			t.Errorf("keys took %s, want no time", got)
		}
		impatient := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), time.Second)
			defer cancel()
			s.ServeHTTP(w, r.WithContext(ctx))
		})
		start := time.Now()
		send(t, impatient, "GET", "/oauth/userinfo", "")
		if got := time.Since(start); got != time.Second {
			t.Errorf("a request that was canceled after 1s took %s", got)
		}
	})
}

func TestClockOffset(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		for _, offset := range []time.Duration{time.Hour, -time.Hour} {
			if err := s.SetFaults(Faults{ClockOffset: offset}); err != nil {
				t.Fatal(err)
			}
			token := issueToken(t, s, Token{})
			_, claims := decode(t, token)
			if got, want := claims["iat"], float64(time.Now().Add(offset).Unix()); got != want {
				t.Errorf("%s: iat %v, want %v", offset, got, want)
			}
			get(t, s, "/oauth/userinfo", "Authorization", "Bearer "+token).want(200)
		}
	})
}

func TestSetFaultsRejects(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for want, faults := range map[string]Faults{
		"Latency is -1s":           {Latency: -time.Second},
		"Latency is 1h0m0s":        {Latency: time.Hour},
		"Status is 404":            {Status: 404},
		"Status is 600":            {Status: 600},
		"ClockOffset is -876000h":  {ClockOffset: -100 * 365 * 24 * time.Hour},
		"Paths has 101 paths":      {Paths: make([]string, 101)},
		"want 500 to 599, or 0 fo": {Status: 1},
	} {
		if err := s.SetFaults(faults); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if diff := cmp.Diff(Faults{}, s.Faults()); diff != "" {
		t.Errorf("invalid faults are applied\n%s", diff)
	}
}
