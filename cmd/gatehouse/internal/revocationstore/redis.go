package revocationstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"

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
	}
	if err := checkRedisParameters(u); err != nil {
		return nil, err
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
	isRemote := func(addr string) bool { return !wellknown.IsLoopback(addr) }
	if !hasTLS && u.Scheme != "unix" && (isRemote(u.Host) || slices.ContainsFunc(u.Query()["addr"], isRemote)) {
		s.unencrypted("use rediss://")
	}
	return s, nil
}

// checkRedisParameters returns the fault of each parameter of the URL that does not fit to the store. go-redis
// panics at some of them.
func checkRedisParameters(u *url.URL) error {
	query := u.Query()
	var faults []error
	fault := func(problem, fix string) {
		faults = append(faults, &gatehouse.ConfigError{Field: "RedisURL", Problem: problem, Fix: fix})
	}
	if query.Has("skip_verify") {
		fault("has the parameter skip_verify, with which anyone in the network can pose as Redis",
			"remove it, and set RedisCA to the certificates of your authority")
	}
	for _, name := range []string{"replica_only", "read_only", "route_by_latency", "route_randomly"} {
		if on, err := strconv.ParseBool(query.Get(name)); on || err != nil && query.Get(name) != "" {
			fault("has the parameter "+name+", with which replicas are read, which lag behind", "remove it")
		}
	}
	if query.Has("master_name") && query.Get("master_name") == "" {
		fault("has an empty parameter master_name", `set it to the name that the Sentinel has for the servers, like "mymaster", or remove it`)
	}
	if database := strings.Trim(u.Path, "/"); database != "" && database != "0" && query.Has("addr") && !query.Has("master_name") {
		fault("has a database, which a cluster does not have", "remove it from the path of the URL, or the parameter addr if the server is not part of a cluster")
	}
	return errors.Join(faults...)
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
			err = set(anyServer(o.TLSConfig), &o.ContextTimeoutEnabled, &o.PoolSize)
			client = goredis.NewFailoverClient(o)
		}
	case query.Has("addr"):
		o, parseErr := goredis.ParseClusterURL(text)
		if err = parseErr; err == nil {
			err = set(anyServer(o.TLSConfig), &o.ContextTimeoutEnabled, &o.PoolSize)
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

// anyServer makes config verify the certificate of each server by the name with which it is connected, and
// not by that of the URL: a Sentinel and the nodes of a cluster name other servers. It returns config,
// which may be nil.
func anyServer(config *tls.Config) *tls.Config {
	if config != nil {
		config.ServerName = ""
	}
	return config
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
