package gatewayfile

import (
	"net/netip"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/revocationstore"
	"github.com/gatehouse-mcp/gatehouse/internal/clientaddr"
)

// Limits limits how often callers may do something, at each endpoint.
type Limits struct {
	At

	FailedSignInsPerMinute int `doc:"Invalid tokens that one client address may send in a minute; 600 if it is missing. Further ones get 429 unverified."`
	FailedSignInsBurst     int `doc:"How many of them may follow each other at once; failed_sign_ins_per_minute if it is missing."`
	RequestsPerMinute      int `doc:"Requests that one caller may send in a minute. No limit if it is missing."`
	RequestsBurst          int `doc:"How many of them may follow each other at once; requests_per_minute if it is missing."`

	InsecureUnlimitedFailedSignIns bool `doc:"Do not limit failed sign-ins. Anyone can then make the gateway verify tokens, and ask the provider about them, as often as the network allows."`

	TrustedProxies      []string `doc:"Addresses of the reverse proxies in front of the gateway, like 10.0.0.7 or 10.0.0.0/24, whose header says where a request came from. Without them, all clients of a proxy count as one address. With --forward-auth, --trusted-proxy names those who may ask, and so must name these too."`
	ClientAddressHeader string   `doc:"Header in which these proxies write the address of the client; X-Forwarded-For if it is missing. The proxies must set it in each request."`

	SharedKey gatehouse.Secret `doc:"Count together with the other gateways that have the same key, in the Redis of revocations: at least 32 bytes, which hash the addresses and users there."`
}

// setLimits sets the limits of an endpoint. store is that of the revocations; it may be nil.
func (b *builder) setLimits(guard *gatehouse.Config, store *revocationstore.Store) {
	l := b.file.Limits
	if l == nil {
		return
	}
	b.checkZeroLimits(l)
	guard.RateLimits = gatehouse.RateLimits{
		FailedSignInsPerMinute: l.FailedSignInsPerMinute, FailedSignInsBurst: l.FailedSignInsBurst,
		RequestsPerMinute: l.RequestsPerMinute, RequestsBurst: l.RequestsBurst,
		InsecureUnlimitedFailedSignIns: l.InsecureUnlimitedFailedSignIns,
	}
	guard.TrustedProxies, guard.ClientAddressHeader = b.trustedProxies(l), l.ClientAddressHeader
	if l.SharedKey == "" {
		return
	}
	line := max(l.lineOf("shared_key"), l.lines["shared_key_file"])
	limiter, err := store.Limiter(l.SharedKey)
	for _, fault := range configErrors(err) {
		if fault != nil && err != nil {
			b.fault(line, "shared_key", "", fault.Problem, fault.Fix)
		}
	}
	if err == nil {
		guard.RateLimits.Shared = limiter
	}
}

// checkZeroLimits reports a zero that is written in the file. It would be the default, and its author
// wants to turn the limit off, or to let nothing through.
func (b *builder) checkZeroLimits(l *Limits) {
	const fix = "remove it for the default"
	for _, limit := range []struct {
		name   string
		number int
		fix    string
	}{
		{"failed_sign_ins_per_minute", l.FailedSignInsPerMinute, fix + " of 600, or set insecure_unlimited_failed_sign_ins to turn the limit off"},
		{"failed_sign_ins_burst", l.FailedSignInsBurst, fix + ", failed_sign_ins_per_minute"},
		{"requests_per_minute", l.RequestsPerMinute, "remove it for no limit"},
		{"requests_burst", l.RequestsBurst, fix + ", requests_per_minute"},
	} {
		if line := l.lines[limit.name]; line > 0 && limit.number == 0 {
			b.fault(line, "limits."+limit.name, "0", "is not a limit", limit.fix)
		}
	}
}

// trustedProxies returns the networks of the proxies.
func (b *builder) trustedProxies(l *Limits) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range l.TrustedProxies {
		prefix, err := clientaddr.ParseNetwork(text)
		if err != nil {
			b.fault(l.lineOf("trusted_proxies"), "trusted_proxies", text, "is not an address", "write it like 10.0.0.7, or 10.0.0.0/24 for a network")
			continue
		}
		out = append(out, prefix)
	}
	return out
}

// limitsPlace returns the line of a field of the limits, and its name in the file. ok is false if the
// field is not one of them.
func (b *builder) limitsPlace(top, rest string) (line int, name string, ok bool) {
	switch top {
	case "RateLimits":
		name = memberPath(rest)
	case "TrustedProxies", "ClientAddressHeader":
		name = memberName(top)
	default:
		return 0, "", false
	}
	if b.file.Limits == nil {
		return b.file.line, "limits." + name, true
	}
	return b.file.Limits.lineOf(name), "limits." + name, true
}

// limitNames are the names of the file for those of the library in the text of a fault.
var limitNames = strings.NewReplacer(
	"InsecureUnlimitedFailedSignIns", "insecure_unlimited_failed_sign_ins", "RequestsPerMinute", "requests_per_minute",
	"use 0 for the default, or at most", "remove it for the default, or write at most",
	"TrustedProxies", "trusted_proxies", "netip.MustParsePrefix", "",
)
