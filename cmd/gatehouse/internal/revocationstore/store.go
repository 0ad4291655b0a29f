// Package revocationstore opens the store of the revocations that gateways share: Redis, Valkey
// or PostgreSQL, by URL.
package revocationstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

// spareConnections are the connections of a pool in addition to those that watches hold.
const spareConnections = 8

// Config says which store. One of RedisURL and PostgresURL is required.
type Config struct {
	// RedisURL is the URL of Redis or Valkey, like "rediss://user:password@redis:6379/0". With the
	// parameter master_name, it is that of a Sentinel, and with addr, that of a node of a cluster,
	// as go-redis reads them. The user and the password before the host are those of the Sentinel
	// then; the parameters username and password are those of Redis.
	RedisURL gatehouse.Secret
	// RedisCA are the certificates in PEM by which the certificate of Redis is verified, in place
	// of those of the system. Empty means those of the system.
	RedisCA []byte
	// Prefix begins the names of the keys in Redis. Empty means "gatehouse".
	Prefix string

	// PostgresURL is the URL of PostgreSQL, like
	// "postgres://user:password@db:5432/app?sslmode=verify-full".
	PostgresURL gatehouse.Secret
	// Table is the name of the table in PostgreSQL. Empty means "gatehouse_revocations".
	Table string

	// Watchers is how many guards watch the store at the same time. Each holds a connection.
	Watchers int
}

// Store is a [gatehouse.RevocationStore] with its connections, which are opened when they are
// needed.
type Store struct {
	gatehouse.RevocationStore

	name     string
	inMemory bool
	warnings []string
	limiter  func(gatehouse.Secret) (gatehouse.RateLimiter, error) // nil if the store has none
	create   func(context.Context) error                           // creates what the store needs; nil if it needs nothing
	close    func()
}

// Open returns the store of cfg. It opens no connection. The error joins the faults, each a
// *[gatehouse.ConfigError], without the secrets in the URLs.
func Open(cfg Config) (*Store, error) {
	var faults []error
	fault := func(field, value, problem, fix string) {
		faults = append(faults, &gatehouse.ConfigError{Field: field, Value: value, Problem: problem, Fix: fix})
	}
	switch {
	case cfg.RedisURL == "" && cfg.PostgresURL == "":
		fault("RedisURL", "", "is missing, and so is PostgresURL", "set one of them to the URL of the store")
	case cfg.RedisURL != "" && cfg.PostgresURL != "":
		fault("PostgresURL", "", "is set in addition to RedisURL", "remove one of them")
	}
	if cfg.RedisURL == "" && cfg.Prefix != "" {
		fault("Prefix", cfg.Prefix, "has no effect without RedisURL", "remove it; the name of a table is Table")
	}
	if cfg.RedisURL == "" && len(cfg.RedisCA) > 0 {
		fault("RedisCA", "", "has no effect without RedisURL", `remove it; for PostgreSQL, add "sslrootcert=FILE" to its URL`)
	}
	if cfg.PostgresURL == "" && cfg.Table != "" {
		fault("Table", cfg.Table, "has no effect without PostgresURL", "remove it; the prefix of keys is Prefix")
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	if cfg.RedisURL != "" {
		return openRedis(cfg)
	}
	return openPostgres(cfg)
}

// String returns the kind of the store and its address, without user and password.
func (s *Store) String() string { return s.name }

// InMemory reports whether the store is that of [OpenMemory].
func (s *Store) InMemory() bool { return s.inMemory }

// Warnings returns one sentence for each setting that is risky.
func (s *Store) Warnings() []string { return s.warnings }

// Limiter returns the rate limiter that is shared through the store, which must be Redis. key hashes
// what it counts by. s may be nil.
func (s *Store) Limiter(key gatehouse.Secret) (gatehouse.RateLimiter, error) {
	if s == nil || s.limiter == nil {
		return nil, &gatehouse.ConfigError{Field: "Key", Problem: "has no effect without Redis", Fix: "add redis_url to the section revocations, or remove it"}
	}
	return s.limiter(key)
}

// Close closes the connections.
func (s *Store) Close() { s.close() }

// Create creates the tables in PostgreSQL, unless they exist. The role of the URL must be allowed
// to. The other stores need nothing of the kind.
func (s *Store) Create(ctx context.Context) error {
	if s.create == nil {
		return fmt.Errorf("%s needs no tables", s.name)
	}
	return s.create(ctx)
}

// urlFault returns the fault of a URL that a driver rejects. The error of the driver may contain the URL.
func urlFault(field string, secret gatehouse.Secret, err error, example string) error {
	text := err.Error()
	if i := strings.LastIndex(text, "`: "); i >= 0 { // pgx quotes the URL, whose password it does not always recognize
		text = text[i+len("`: "):]
	}
	if strings.Contains(text, string(secret)) || strings.Contains(text, "parse \"") {
		text = "it cannot be read"
	}
	return &gatehouse.ConfigError{
		Field:   field,
		Problem: "is not a URL of the store: " + quote.Clip(text, 2*quote.MaxBytes),
		Fix:     "write it like " + example,
	}
}

// unencrypted is the warning about a connection that others can change.
func (s *Store) unencrypted(fix string) {
	s.warnings = append(s.warnings, fmt.Sprintf("the connection to %s is not encrypted or its certificate is not verified: "+
		"who can change that traffic can shut users out, and hide revocations; %s", s.name, fix))
}
