package revocationstore

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
	"github.com/gatehouse-mcp/gatehouse/store/postgres"
)

func openPostgres(cfg Config) (*Store, error) {
	const example = `"postgres://user:password@db:5432/app?sslmode=verify-full"`
	o, err := pgxpool.ParseConfig(string(cfg.PostgresURL))
	if err != nil {
		return nil, urlFault("PostgresURL", cfg.PostgresURL, err, example)
	}
	o.MaxConns = max(o.MaxConns, int32(cfg.Watchers+spareConnections))
	pool, err := pgxpool.NewWithConfig(context.Background(), o)
	if err != nil {
		return nil, urlFault("PostgresURL", cfg.PostgresURL, err, example)
	}
	shared, err := postgres.New(postgres.Config{Pool: pool, Table: cfg.Table})
	if err != nil {
		pool.Close()
		return nil, err
	}
	c := &o.ConnConfig.Config
	s := &Store{RevocationStore: shared, close: pool.Close, name: fmt.Sprintf("PostgreSQL at %s:%d/%s", c.Host, c.Port, c.Database)}
	s.create = func(ctx context.Context) error { return postgres.CreateTables(ctx, pool, cfg.Table) }
	unverified := func(host string, t *tls.Config) bool {
		local := wellknown.IsLoopback(host) || strings.HasPrefix(host, "/")
		return !local && (t == nil || t.InsecureSkipVerify && t.VerifyPeerCertificate == nil && t.VerifyConnection == nil)
	}
	if unverified(c.Host, c.TLSConfig) ||
		slices.ContainsFunc(c.Fallbacks, func(f *pgconn.FallbackConfig) bool { return unverified(f.Host, f.TLSConfig) }) {
		s.unencrypted("add sslmode=verify-full to the URL")
	}
	return s, nil
}
