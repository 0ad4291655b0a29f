package gatehouse

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/clientaddr"
)

// DefaultFailedSignInsPerMinute is the limit of failed sign-ins for each address if
// [RateLimits.FailedSignInsPerMinute] is zero.
const DefaultFailedSignInsPerMinute = 600

const (
	// maxPerMinute and maxBurst bound the numbers in [RateLimits].
	maxPerMinute = 1_000_000
	maxBurst     = 1_000_000
)

// RateLimits are limits of how often callers may do something. A caller over a limit gets status
// 429 with Retry-After. The zero value limits failed sign-ins to
// [DefaultFailedSignInsPerMinute] and has no limit for requests. See docs/reliability.md.
//
// Each limit is a number per minute, and a burst: how many are possible at once after a pause. The
// limits hold for each process, unless Shared is set, and for each guard.
type RateLimits struct {
	_ [0]func()

	// FailedSignInsPerMinute is how many invalid tokens one client address may send: an IPv4
	// address, or an IPv6 network of 64 bits. Further tokens from there are answered with 429 before
	// they are verified or introspected, so that the work for callers who have no valid token is
	// bounded. All IPv6 networks that have their first 48 bits in common may send 16 times the
	// number in each process, because anyone can have that many networks. Zero means
	// [DefaultFailedSignInsPerMinute].
	//
	// Users who share the address with such a caller are affected as little as possible. A token
	// that was accepted before, and is still in a cache, is never counted and never rejected by
	// this limit. Neither does one count that the provider has signed, but that has expired, for
	// example. A user who has sent such a token before has a budget of their own at each address.
	// And JWTs whose form, header and issuer are right have 20 times the number, because their
	// signature can be checked in microseconds.
	FailedSignInsPerMinute int

	// FailedSignInsBurst is how many may follow each other at once. Zero means
	// FailedSignInsPerMinute.
	FailedSignInsBurst int

	// InsecureUnlimitedFailedSignIns turns that limit off. Anyone can then make the server verify
	// signatures, ask the provider about made-up opaque tokens, and write a line to the log, as
	// often as the network allows. Set it only if something in front of the server limits requests.
	InsecureUnlimitedFailedSignIns bool

	// RequestsPerMinute is how many requests each caller with a valid token may send, identified by
	// issuer and subject. Each message of a batch counts. Zero means no limit. If something is
	// [Require.Public], all callers without a token at one address count as one caller, and one over
	// the limit is asked to sign in. An address is the same as for failed sign-ins.
	RequestsPerMinute int

	// RequestsBurst is how many may follow each other at once. Zero means RequestsPerMinute.
	RequestsBurst int

	// Shared, if not nil, counts for several processes together; see the module store/redis. It is
	// asked about each token that is not in a cache, and about each request if RequestsPerMinute is
	// set. A call that takes longer than 50 milliseconds has failed. While it fails, each process
	// counts alone, [Stats] counts that, and the log has one line when it begins and one when it
	// ends.
	Shared RateLimiter
}

// Rate is what a budget allows; see [RateLimiter].
type Rate struct {
	Every time.Duration // one more is possible in each such interval; positive
	Burst int           // as much as is possible at once; positive
}

// RateLimiter counts for several processes together; see [RateLimits.Shared]. The module store/redis
// implements it. It must be safe for concurrent use.
type RateLimiter interface {
	// Take takes n from the budget with the name key, which is full if it is not known. It returns 0
	// if so much was left. Otherwise it takes nothing and returns how long it will be until n is
	// left. A negative n gives back what was taken. n is at most rate.Burst.
	//
	// The key has an address of a client, or the issuer and subject of a caller: do not store it in
	// clear. It has at most some hundred bytes unless the subject is longer. All processes pass the
	// same rate for a key if they are configured alike. Take must return soon after ctx ends.
	Take(ctx context.Context, key string, n int, rate Rate) (wait time.Duration, err error)
}

// RateLimitStats is the state of [RateLimits].
type RateLimitStats struct {
	// LimitedSignIns counts the tokens that were not verified, because too many invalid ones came
	// from their address.
	LimitedSignIns uint64
	// LimitedRequests counts the requests that were rejected because their caller sent too many.
	LimitedRequests uint64
	// LimitedAnonymous counts the requests without a token that were rejected because too many came
	// from their address. [Stats.Rejected] has them under no_credentials, because that is what such
	// a caller gets.
	LimitedAnonymous uint64
	// Budgets is the number of budgets in memory: of addresses and of callers that sent something
	// recently. It is bounded.
	Budgets int
	// Shared reports whether [RateLimits.Shared] is set.
	Shared bool
	// SharedAvailable reports whether the last call of [RateLimits.Shared] succeeded. It is false
	// without one, and before the first call.
	SharedAvailable bool
	// SharedFailures counts the calls that failed.
	SharedFailures uint64
	// Fallbacks counts the decisions that this process made alone because [RateLimits.Shared]
	// failed or had just failed.
	Fallbacks uint64
}

// validateRateLimits checks [Config.RateLimits], [Config.TrustedProxies] and
// [Config.ClientAddressHeader], and sets their defaults.
func (s *settings) validateRateLimits(f *faults) {
	l := &s.RateLimits
	checkNumber := func(field string, n, most int) {
		if n < 0 || n > most {
			f.add("RateLimits."+field, strconv.Itoa(n), "is out of range", fmt.Sprintf("use 0 for the default, or at most %d", most))
		}
	}
	checkNumber("FailedSignInsPerMinute", l.FailedSignInsPerMinute, maxPerMinute)
	checkNumber("FailedSignInsBurst", l.FailedSignInsBurst, maxBurst)
	checkNumber("RequestsPerMinute", l.RequestsPerMinute, maxPerMinute)
	checkNumber("RequestsBurst", l.RequestsBurst, maxBurst)
	if l.RequestsBurst != 0 && l.RequestsPerMinute == 0 {
		f.add("RateLimits.RequestsBurst", strconv.Itoa(l.RequestsBurst), "has no effect without RequestsPerMinute", "set both, or remove it")
	}
	if l.InsecureUnlimitedFailedSignIns {
		for _, set := range []struct {
			field string
			n     int
		}{{"FailedSignInsPerMinute", l.FailedSignInsPerMinute}, {"FailedSignInsBurst", l.FailedSignInsBurst}} {
			if set.n != 0 {
				f.add("RateLimits."+set.field, strconv.Itoa(set.n), "has no effect with InsecureUnlimitedFailedSignIns", "remove one of the two")
			}
		}
	}
	limitsNothing := l.InsecureUnlimitedFailedSignIns && l.RequestsPerMinute == 0
	if l.Shared != nil && limitsNothing {
		f.add("RateLimits.Shared", "", "has no effect, because nothing is limited", "remove it, or set a limit")
	}
	s.validateTrustedProxies(limitsNothing, f)
	l.FailedSignInsPerMinute = cmp.Or(l.FailedSignInsPerMinute, DefaultFailedSignInsPerMinute)
	l.FailedSignInsBurst = cmp.Or(l.FailedSignInsBurst, l.FailedSignInsPerMinute)
	l.RequestsBurst = cmp.Or(l.RequestsBurst, l.RequestsPerMinute)
}

// validateTrustedProxies checks where the address of a client comes from. limitsNothing says that no
// limit needs it.
func (s *settings) validateTrustedProxies(limitsNothing bool, f *faults) {
	for _, prefix := range s.TrustedProxies {
		switch {
		case !prefix.IsValid():
			f.add("TrustedProxies", "", "has a network that is not valid", `write it like netip.MustParsePrefix("10.0.0.7/32")`)
		case prefix.Bits() == 0:
			f.add("TrustedProxies", prefix.String(), "is every address: each client could then choose the address it is limited by",
				"name the addresses of your proxies")
		case prefix.Addr().Is4In6():
			f.add("TrustedProxies", prefix.String(), "is an IPv4 network written as IPv6, which matches no address", "write it as IPv4")
		}
	}
	if len(s.TrustedProxies) > 0 && limitsNothing {
		f.add("TrustedProxies", "", "has no effect, because nothing is limited by the address of a client", "remove it, or set a limit")
	}
	header := s.ClientAddressHeader
	switch {
	case header == "":
		return
	case !isHeaderName(header):
		f.add("ClientAddressHeader", header, "is not the name of a header", fmt.Sprintf("write it like %q", clientaddr.XForwardedFor))
	case len(s.TrustedProxies) == 0:
		f.add("ClientAddressHeader", header, "has no effect without TrustedProxies", "add the addresses of the proxies that set it, or remove it")
	}
	s.ClientAddressHeader = http.CanonicalHeaderKey(header)
}

// requestRate returns the rate of l for requests, or the zero value if they are not limited.
func (l *RateLimits) requestRate() Rate { return rateOf(l.RequestsPerMinute, l.RequestsBurst) }

// signInRate returns the rate of l for failed sign-ins, or the zero value if they are not limited.
func (l *RateLimits) signInRate() Rate {
	if l.InsecureUnlimitedFailedSignIns {
		return Rate{}
	}
	return rateOf(l.FailedSignInsPerMinute, l.FailedSignInsBurst)
}

func rateOf(perMinute, burst int) Rate {
	if perMinute == 0 {
		return Rate{}
	}
	return Rate{Every: time.Minute / time.Duration(perMinute), Burst: burst}
}

// warnings returns one sentence for each risky setting.
func (l *RateLimits) warnings() []string {
	if !l.InsecureUnlimitedFailedSignIns {
		return nil
	}
	return []string{"failed sign-ins are not limited (InsecureUnlimitedFailedSignIns): anyone can make the server verify tokens, " +
		"and ask the provider about them, as often as the network allows"}
}
