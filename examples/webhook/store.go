package main

import (
	"context"
	"fmt"
	"net/url"

	"github.com/gatehouse-mcp/gatehouse"
	gatehousepostgres "github.com/gatehouse-mcp/gatehouse/store/postgres"
	gatehouseredis "github.com/gatehouse-mcp/gatehouse/store/redis"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
)

// storeVariable has the URL of the engine that shares revocations between processes. If it is
// empty, each process has its own.
const storeVariable = "REVOCATIONS_URL"

// openStore returns the store at a URL, and a function that closes its connections. It opens no
// connection yet. The store is nil if the URL is empty. An error does not contain the URL, which
// may have a password.
func openStore(ctx context.Context, address string) (store gatehouse.RevocationStore, closeStore func(), err error) {
	if address == "" {
		return nil, func() {}, nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, nil, fmt.Errorf("%s is not a URL; set it to one like redis://localhost:6379 or postgres://localhost/mcp", storeVariable)
	}
	switch u.Scheme {
	case "redis", "rediss":
		return openRedis(address)
	case "postgres", "postgresql":
		return openPostgres(ctx, address)
	}
	return nil, nil, fmt.Errorf("%s has the scheme %q; use redis, rediss (with TLS) or postgres", storeVariable, u.Scheme)
}

func openRedis(address string) (gatehouse.RevocationStore, func(), error) {
	options, err := redis.ParseURL(address)
	if err != nil {
		return nil, nil, fmt.Errorf("%s is not a URL of Redis; use redis://user:password@host:port/0, or rediss: with TLS", storeVariable)
	}
	options.ContextTimeoutEnabled = true
	client := redis.NewClient(options)
	store, err := gatehouseredis.New(gatehouseredis.Config{Client: client})
	if err != nil {
		client.Close()
		return nil, nil, err
	}
	return store, func() { client.Close() }, nil
}

func openPostgres(ctx context.Context, address string) (gatehouse.RevocationStore, func(), error) {
	pool, err := pgxpool.New(ctx, address)
	if err != nil {
		return nil, nil, fmt.Errorf("%s is not a URL of PostgreSQL; use postgres://user:password@host:port/database", storeVariable)
	}
	store, err := gatehousepostgres.New(gatehousepostgres.Config{Pool: pool})
	if err != nil {
		pool.Close()
		return nil, nil, err
	}
	return store, pool.Close, nil
}
