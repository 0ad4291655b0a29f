package redis

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/redis/go-redis/v9"
)

const (
	// minLimiterKey is the length of a [LimiterKey] in bytes: that of the hash (RFC 2104 §3).
	minLimiterKey = sha256.Size
	// maxBudget bounds Every*Burst of a rate, which is how long a key lives at most.
	maxBudget = 10 * 365 * 24 * time.Hour
)

// LimiterKey is the secret key with which a [Limiter] hashes addresses and callers. It prints as a
// placeholder.
type LimiterKey []byte

const limiterKeyPlaceholder = "[limiter key]"

// Format prints a placeholder for every verb.
func (LimiterKey) Format(f fmt.State, _ rune) { io.WriteString(f, limiterKeyPlaceholder) }

// MarshalText returns the same placeholder as Format.
func (LimiterKey) MarshalText() ([]byte, error) { return []byte(limiterKeyPlaceholder), nil }

// LogValue returns the same placeholder as Format.
func (LimiterKey) LogValue() slog.Value { return slog.StringValue(limiterKeyPlaceholder) }

// LimiterConfig configures a [Limiter]. Client and Key are required.
type LimiterConfig struct {
	// Client is the connection; see [Config]. Give it few retries and short timeouts of its own, or
	// leave its options as they are: the guard ends each call after 50 milliseconds.
	Client redis.UniversalClient

	// Key hashes the addresses and callers in the names of keys, which are personal data: at least
	// 32 random bytes, kept secret, the same in all servers that share budgets. Without a secret,
	// the four billion IPv4 addresses could be tried.
	Key LimiterKey

	// Prefix begins the names of the keys; see [Config].
	Prefix string
}

// Limiter is a [gatehouse.RateLimiter] in Redis: RateLimits.Shared of a gatehouse.Config. Each call
// is one round trip, and uses the clock of Redis. It is safe for concurrent use.
//
// A budget is one key, {prefix}:limit:{hash}, whose value is the time at which the budget will be full,
// in microseconds since 1970. It expires at that time. If Redis evicts it or loses its data, the
// budget is full.
type Limiter struct {
	client  redis.UniversalClient
	prefix  string
	usesTLS bool
	hash    func(string) string // a function, so that printing a limiter prints no key
}

var _ gatehouse.RateLimiter = (*Limiter)(nil)

// NewLimiter validates cfg and returns its limiter. It opens no connection. Each fault is a
// *[gatehouse.ConfigError].
func NewLimiter(cfg LimiterConfig) (*Limiter, error) {
	var f faults
	checkClient(cfg.Client, f.add)
	prefix := f.prefix(cfg.Prefix)
	if n := len(cfg.Key); n < minLimiterKey {
		f.add("Key", "", fmt.Sprintf("has %d bytes, want at least %d", n, minLimiterKey),
			`set it to random bytes, like those of "openssl rand -base64 32", the same in all servers`)
	}
	if err := errors.Join(f...); err != nil {
		return nil, err
	}
	key := slices.Clone(cfg.Key)
	return &Limiter{client: cfg.Client, prefix: prefix + ":limit:", usesTLS: usesTLS(cfg.Client), hash: func(name string) string {
		h := hmac.New(sha256.New, key)
		io.WriteString(h, "gatehouse limit 1\x00")
		io.WriteString(h, name)
		return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
	}}, nil
}

// take is the generic cell rate algorithm, a token bucket whose state is one time. ARGV are the
// interval, the size of the whole budget and what to take, in microseconds. It returns how long it
// will be until so much is left. A budget is never emptier than one from which everything was taken
// just now, so a clock that was set back locks no one out.
var take = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local whole, need = tonumber(ARGV[1]), tonumber(ARGV[2])
local full_at = tonumber(redis.call('GET', KEYS[1])) or now
local missing = math.min(math.max(full_at - now, 0), whole)
local next = missing + need
if next > whole then
	return next - whole
end
if next <= 0 then
	redis.call('DEL', KEYS[1])
else
	redis.call('SET', KEYS[1], string.format('%.0f', now + next), 'PX', math.ceil(next / 1000))
end
return 0
`)

// Take implements [gatehouse.RateLimiter].
func (l *Limiter) Take(ctx context.Context, key string, n int, rate gatehouse.Rate) (time.Duration, error) {
	every := rate.Every.Microseconds()
	whole := every * int64(rate.Burst)
	if every <= 0 || rate.Burst <= 0 || whole > maxBudget.Microseconds() {
		return 0, fmt.Errorf("the rate %+v is out of range, want an interval of at least 1µs and a whole budget of at most %s", rate, maxBudget)
	}
	wait, err := take.Run(ctx, l.client, []string{l.prefix + l.hash(key)}, whole, every*int64(min(n, rate.Burst))).Int64()
	return time.Duration(wait) * time.Microsecond, l.hint(err)
}

// faults collects the faults of a configuration.
type faults []error

func (f *faults) add(field, value, problem, fix string) {
	*f = append(*f, &gatehouse.ConfigError{Field: field, Value: value, Problem: problem, Fix: fix})
}

// prefix returns the prefix of keys, or its default, and adds a fault if it is not valid.
func (f *faults) prefix(prefix string) string {
	if prefix == "" {
		return DefaultPrefix
	}
	if len(prefix) > maxPrefix || strings.Trim(prefix, prefixCharacters) != "" {
		f.add("Prefix", prefix, "is not a prefix of keys", `use letters, digits and ._:-/, like "gatehouse"`)
	}
	return prefix
}
