package revocationstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/url"
	"runtime"

	goredis "github.com/redis/go-redis/v9"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
	"github.com/gatehouse-mcp/gatehouse/store/redis"
)

const redisExample = `"rediss://user:password@redis:6379/0", or redis:// without TLS`

// silentLogger discards what go-redis writes to standard error: the guard logs when the store is
// unavailable, once.
type silentLogger struct{}

func (silentLogger) Printf(context.Context, string, ...any) {}

func init() { goredis.SetLogger(silentLogger{}) }

func openRedis(cfg Config) (*Store, error) {
	u, err := url.Parse(string(cfg.RedisURL))
	switch {
	case err != nil || u.Host == "" && u.Scheme != "unix":
		return nil, urlFault("RedisURL", cfg.RedisURL, errors.New("it cannot be read"), redisExample)
	case u.Query().Has("skip_verify"):
		return nil, &gatehouse.ConfigError{Field: "RedisURL", Problem: "has the parameter skip_verify, with which anyone in the network can pose as Redis",
			Fix: "remove it, and set RedisCA to the certificates of your authority"}
	}
	client, hasTLS, err := newRedisClient(cfg, u)
	if err != nil {
		return nil, err
	}
	shared, err := redis.New(redis.Config{Client: client, Prefix: cfg.Prefix})
	if err != nil {
		client.Close()
		return nil, err
	}
	s := &Store{RevocationStore: shared, name: "Redis at " + u.Host + u.Path, close: func() { client.Close() }}
	s.limiter = func(key gatehouse.Secret) (gatehouse.RateLimiter, error) {
		return redis.NewLimiter(redis.LimiterConfig{Client: client, Prefix: cfg.Prefix, Key: redis.LimiterKey(key)})
	}
	if !hasTLS && u.Scheme != "unix" && !wellknown.IsLoopback(u.Host) {
		s.unencrypted("use rediss://")
	}
	return s, nil
}

// newRedisClient returns the client of a server, a Sentinel or a cluster.
func newRedisClient(cfg Config, u *url.URL) (client goredis.UniversalClient, hasTLS bool, err error) {
	var settings *tls.Config
	set := func(config *tls.Config, withTimeout *bool, poolSize *int) error {
		settings = config
		*withTimeout = true
		*poolSize = max(*poolSize, 10*runtime.GOMAXPROCS(0), cfg.Watchers+spareConnections)
		return setCA(config, cfg.RedisCA)
	}
	text := string(cfg.RedisURL)
	switch query := u.Query(); {
	case query.Has("master_name"):
		o, parseErr := goredis.ParseFailoverURL(text)
		if err = parseErr; err == nil {
			err = set(o.TLSConfig, &o.ContextTimeoutEnabled, &o.PoolSize)
			client = goredis.NewFailoverClient(o)
		}
	case query.Has("addr"):
		o, parseErr := goredis.ParseClusterURL(text)
		if err = parseErr; err == nil {
			err = set(o.TLSConfig, &o.ContextTimeoutEnabled, &o.PoolSize)
			client = goredis.NewClusterClient(o)
		}
	default:
		o, parseErr := goredis.ParseURL(text)
		if err = parseErr; err == nil {
			err = set(o.TLSConfig, &o.ContextTimeoutEnabled, &o.PoolSize)
			client = goredis.NewClient(o)
		}
	}
	var fault *gatehouse.ConfigError
	switch {
	case errors.As(err, &fault):
		client.Close()
		return nil, false, err
	case err != nil:
		return nil, false, urlFault("RedisURL", cfg.RedisURL, err, redisExample)
	}
	return client, settings != nil, nil
}

// setCA makes config trust the certificates in PEM alone, if there are any.
func setCA(config *tls.Config, pem []byte) error {
	switch {
	case len(pem) == 0:
		return nil
	case config == nil:
		return &gatehouse.ConfigError{Field: "RedisCA", Problem: "has no effect without TLS", Fix: "write the URL with rediss://, or remove it"}
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return &gatehouse.ConfigError{Field: "RedisCA", Problem: "has no certificate", Fix: "use a file that begins with -----BEGIN CERTIFICATE-----"}
	}
	return nil
}
