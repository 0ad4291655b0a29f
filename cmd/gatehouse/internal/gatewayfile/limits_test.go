package gatewayfile

import (
	"net/netip"
	"strings"
	"testing"
)

const limited = `provider: {name: oidc, issuer: "https://issuer.example.com"}
limits:
  failed_sign_ins_per_minute: 100
  failed_sign_ins_burst: 50
  requests_per_minute: 300
  requests_burst: 60
  trusted_proxies: [10.0.0.7, 10.1.0.0/16]
  client_address_header: X-Real-IP
endpoints:
  - url: https://mcp.example.com/mcp
    upstream: http://localhost:8000
`

func TestLimits(t *testing.T) {
	guard := load(t, limited, nil).Gateway.Endpoints[0].Guard
	l := guard.RateLimits
	if l.FailedSignInsPerMinute != 100 || l.FailedSignInsBurst != 50 || l.RequestsPerMinute != 300 || l.RequestsBurst != 60 || l.Shared != nil {
		t.Errorf("got %+v", l)
	}
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.7/32"), netip.MustParsePrefix("10.1.0.0/16")}
	if len(guard.TrustedProxies) != 2 || guard.TrustedProxies[0] != want[0] || guard.TrustedProxies[1] != want[1] || guard.ClientAddressHeader != "X-Real-IP" {
		t.Errorf("got the proxies %v and the header %q", guard.TrustedProxies, guard.ClientAddressHeader)
	}
}

// Each change of the limits is a mistake that is reported with its line.
func TestLimitFaults(t *testing.T) {
	if got := faultsOf(t, limited); got != nil {
		t.Fatalf("the control has the mistakes %q", got)
	}
	for name, test := range map[string]struct{ old, new, want string }{
		"negative":       {"per_minute: 100", "per_minute: -1", `3: limits.failed_sign_ins_per_minute "-1" is out of range; remove it for the default, or write at most 1000000`},
		"zero":           {"failed_sign_ins_per_minute: 100", "failed_sign_ins_per_minute: 0", `3: limits.failed_sign_ins_per_minute "0" is not a limit; remove it for the default of 600, or set insecure_unlimited_failed_sign_ins`},
		"no requests":    {"requests_per_minute: 300\n  requests_burst: 60", "requests_per_minute: 0", `5: limits.requests_per_minute "0" is not a limit; remove it for no limit`},
		"zero at once":   {"requests_burst: 60", "requests_burst: 0", `6: limits.requests_burst "0" is not a limit; remove it for the default, requests_per_minute`},
		"burst alone":    {"  requests_per_minute: 300\n", "", `5: limits.requests_burst "60" has no effect without requests_per_minute; set both, or remove it`},
		"not an address": {"10.0.0.7", "proxy", `7: trusted_proxies "proxy" is not an address; write it like 10.0.0.7, or 10.0.0.0/24 for a network`},
		"every address":  {"10.1.0.0/16", "0.0.0.0/0", `7: limits.trusted_proxies "0.0.0.0/0" is every address`},
		"header alone":   {"  trusted_proxies: [10.0.0.7, 10.1.0.0/16]\n", "", `7: limits.client_address_header "X-Real-IP" has no effect without trusted_proxies; add`},
		"no header":      {"X-Real-IP", "X Real IP", `8: limits.client_address_header "X Real IP" is not the name of a header`},
		"key alone":      {"  requests_burst: 60\n", "  requests_burst: 60\n  shared_key: " + strings.Repeat("k", 32) + "\n", "7: shared_key has no effect without Redis; add redis_url to the section revocations, or remove it"},
	} {
		text := strings.Replace(limited, test.old, test.new, 1)
		if text == limited {
			t.Fatalf("%s: nothing was replaced", name)
		}
		if got := faultsOf(t, text); len(got) != 1 || !strings.HasPrefix(got[0], test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

// Limits are shared through the Redis of the revocations.
func TestSharedLimits(t *testing.T) {
	text := strings.Replace(limited, "  requests_burst: 60\n", "  requests_burst: 60\n  shared_key: \"${LIMITER_KEY}\"\n", 1) +
		"revocations: {redis_url: \"redis://localhost:6379\"}\n"
	variables := map[string]string{"LIMITER_KEY": strings.Repeat("k", 32)}
	if guard := load(t, text, variables).Gateway.Endpoints[0].Guard; guard.RateLimits.Shared == nil {
		t.Error("the limits are not shared")
	}
	_, err := newTestLoader(t, text, map[string]string{"LIMITER_KEY": "hunter2"}).Load()
	if err == nil || !strings.Contains(err.Error(), "shared_key has 7 bytes, want at least 32") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a short key: got %v", err)
	}
}
