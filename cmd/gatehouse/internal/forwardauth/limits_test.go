package forwardauth

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

// Failed sign-ins are limited for each client if the proxy names it, and otherwise not at all: all
// clients come from the address of the proxy.
func TestFailedSignIns(t *testing.T) {
	for _, test := range []struct {
		name, header string
		want         []int // answers to a flood of one client, its next token, and a token of another client
	}{
		{"the proxy names the client", "X-Real-Ip", []int{401, 429, 401}},
		{"the client is not known", "", []int{401, 401, 401}},
	} {
		f := newFixture(t, Nginx, func(cfg *Config) {
			guard := &cfg.Endpoints[0].Guard
			if guard.ClientAddressHeader = test.header; test.header != "" {
				guard.RateLimits = gatehouse.RateLimits{FailedSignInsPerMinute: 1, FailedSignInsBurst: 3}
			}
		})
		send := func(address string) int {
			return f.ask(client{header: bearer("junk", "X-Real-Ip", address)}).StatusCode
		}
		first := send("192.0.2.1")
		for range 10 {
			send("192.0.2.1")
		}
		if got := []int{first, send("192.0.2.1"), send("192.0.2.2")}; fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
		warned := strings.Contains(strings.Join(f.Warnings(), "\n"), "failed sign-ins are not limited, because the address of the client is not known")
		if warned != (test.header == "") {
			t.Errorf("%s: the warning about it: %v", test.name, warned)
		}
	}
}

// A number without a header would limit all clients together.
func TestLimitWithoutAddress(t *testing.T) {
	cfg := Config{Proxy: Nginx, Endpoints: []Endpoint{{Guard: gatehouse.Config{
		Resource: resource, Provider: gatehouse.OIDC("https://issuer.example.com"), RateLimits: gatehouse.RateLimits{FailedSignInsPerMinute: 5},
	}}}}
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "RateLimits.FailedSignInsPerMinute \"5\" would limit all clients together") {
		t.Errorf("got %v", err)
	}
	cfg.Endpoints[0].Guard.ClientAddressHeader = "X-Real-IP"
	h, err := New(cfg)
	if err != nil {
		t.Fatalf("control: %v", err)
	}
	h.Close()
}

// An address in whose header an endpoint believes, and that may not ask, is a mistake.
func TestTrustedProxiesOfAnEndpoint(t *testing.T) {
	prefix := netip.MustParsePrefix
	for _, test := range []struct{ handler, endpoint, fault string }{
		{"10.0.0.0/24", "10.0.0.1/32", ""},
		{"10.0.0.0/24", "10.0.0.0/24", ""},
		{"10.0.0.0/24", "10.0.1.1/32", "10.0.1.1/32"},
		{"10.0.0.0/24", "10.0.0.0/16", "10.0.0.0/16"},
	} {
		cfg := Config{Proxy: Nginx, TrustedProxies: []netip.Prefix{prefix(test.handler)}, Endpoints: []Endpoint{{Guard: gatehouse.Config{
			Resource: resource, Provider: gatehouse.OIDC("https://issuer.example.com"), ClientAddressHeader: "X-Real-IP",
			TrustedProxies: []netip.Prefix{prefix(test.endpoint)},
		}}}}
		h, err := New(cfg)
		if err == nil {
			h.Close()
		}
		want := `Endpoints[0].Guard.TrustedProxies "` + test.fault + `" has no effect, because it may not ask`
		if (err == nil) != (test.fault == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s may ask, and the endpoint trusts %s: got %v, want %q", test.handler, test.endpoint, err, test.fault)
		}
	}
}

// Callers without a token share one limit if the proxy does not name them, and a warning says so.
func TestPublicLimitWithoutAddress(t *testing.T) {
	for _, test := range []struct {
		name     string
		change   func(*gatehouse.Config)
		wantWarn bool
	}{
		{"control", func(*gatehouse.Config) {}, true},
		{"the proxy names the client", func(cfg *gatehouse.Config) { cfg.ClientAddressHeader = "X-Real-Ip" }, false},
		{"no limit", func(cfg *gatehouse.Config) { cfg.RateLimits = gatehouse.RateLimits{} }, false},
		{"nothing is public", func(cfg *gatehouse.Config) { cfg.Requirements = nil }, false},
	} {
		f := newFixture(t, Envoy, func(cfg *Config) {
			guard := &cfg.Endpoints[0].Guard
			guard.RateLimits = gatehouse.RateLimits{RequestsPerMinute: 10}
			guard.Requirements = []gatehouse.Requirement{{Tool: "open", Require: gatehouse.Require{Public: true}}}
			test.change(guard)
		})
		if got := strings.Contains(strings.Join(f.Warnings(), "\n"), "share one limit of requests"); got != test.wantWarn {
			t.Errorf("%s: the warning: %v, want %v", test.name, got, test.wantWarn)
		}
	}
}

// A request of a caller counts once, although the guard is asked about every operation that has a
// requirement.
func TestRequestsPerMinute(t *testing.T) {
	f := newFixture(t, Nginx, func(cfg *Config) {
		guard := &cfg.Endpoints[0].Guard
		guard.RateLimits = gatehouse.RateLimits{RequestsPerMinute: 1, RequestsBurst: 3}
		for i := range 10 {
			guard.Requirements = append(guard.Requirements, gatehouse.Requirement{
				Tool: fmt.Sprint("tool_", i), Require: gatehouse.Require{Scopes: []string{"notes:write"}},
			})
		}
	})
	token := f.issuer.Token(resource, testissuer.Claim("scope", "notes:write"))
	var got []int
	for range 4 {
		got = append(got, f.ask(client{header: bearer(token)}).StatusCode)
	}
	if want := []int{http.StatusOK, http.StatusOK, http.StatusOK, http.StatusTooManyRequests}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
