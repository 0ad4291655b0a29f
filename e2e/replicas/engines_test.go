//go:build stores && linux

package replicas

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/teststore"
	"github.com/gatehouse-mcp/gatehouse/store/postgres"
	gatehouseredis "github.com/gatehouse-mcp/gatehouse/store/redis"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
)

// engine is a Redis or PostgreSQL.
type engine interface {
	// address returns where it listens. url returns the setting of a replica that reaches it, or a
	// proxy before it, at the address.
	address() string
	url(addr string) string
	// Start starts it with the data that it had, and Kill ends it at once.
	Start(testing.TB)
	Kill(testing.TB)
	// store returns a store of the test itself.
	store(t testing.TB) gatehouse.RevocationStore
}

// engines are those with which the tests run.
var engines = map[string]func(testing.TB) engine{
	"Redis":      func(t testing.TB) engine { return startRedis(t) },
	"PostgreSQL": func(t testing.TB) engine { return startPostgres(t) },
}

type redisEngine struct {
	*teststore.Process
	addr string
}

// startRedis starts an empty Redis that saves each change.
func startRedis(t testing.TB) *redisEngine {
	t.Helper()
	addr, port := teststore.FreeAddr(t)
	folder := t.TempDir()
	e := &redisEngine{addr: addr, Process: teststore.NewProcess(t, addr, folder, nil, teststore.RedisServer(t),
		"--bind", "127.0.0.1", "--port", port, "--dir", folder, "--appendonly", "yes", "--appendfsync", "always", "--save", "")}
	e.Start(t)
	return e
}

func (e *redisEngine) address() string        { return e.addr }
func (e *redisEngine) url(addr string) string { return "redis://" + addr }

func (e *redisEngine) store(t testing.TB) gatehouse.RevocationStore {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: e.addr, ContextTimeoutEnabled: true})
	t.Cleanup(func() { client.Close() })
	store, err := gatehouseredis.New(gatehouseredis.Config{Client: client})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// superuser is the account that Debian's package makes, and the role of the tests.
const superuser = "postgres"

type postgresEngine struct {
	*teststore.Process
	addr string
	pool *pgxpool.Pool
}

// startPostgres starts an empty PostgreSQL with the tables.
func startPostgres(t testing.TB) *postgresEngine {
	t.Helper()
	bin := filepath.Dir(teststore.Initdb(t))
	addr, port := teststore.FreeAddr(t)
	folder, as := teststore.Folder(t, superuser)
	data := filepath.Join(folder, "data")
	teststore.Run(t, folder, as, filepath.Join(bin, "initdb"), "-D", data, "-U", superuser, "-A", "trust", "--no-sync")
	e := &postgresEngine{addr: addr, Process: teststore.NewProcess(t, addr, folder, as, filepath.Join(bin, "postgres"),
		"-D", data, "-c", "listen_addresses=127.0.0.1", "-p", port, "-c", "unix_socket_directories="+folder)}
	pool, err := pgxpool.New(context.Background(), e.url(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	e.pool = pool
	e.Start(t)
	if err := postgres.CreateTables(t.Context(), pool, ""); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *postgresEngine) address() string { return e.addr }

func (e *postgresEngine) url(addr string) string {
	return fmt.Sprintf("postgres://%s@%s/postgres?sslmode=disable&connect_timeout=5", superuser, addr)
}

// Start starts the server and waits until it answers queries.
func (e *postgresEngine) Start(t testing.TB) {
	t.Helper()
	e.Process.Start(t)
	await(t, "PostgreSQL answers", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return e.pool.Ping(ctx)
	})
}

// Kill ends the server and the processes of its connections, as a failure of the machine does.
func (e *postgresEngine) Kill(t testing.TB) {
	if pids := e.Children(); len(pids) > 0 {
		defer teststore.KillAll(pids)
	}
	e.Process.Kill(t)
}

func (e *postgresEngine) store(t testing.TB) gatehouse.RevocationStore {
	t.Helper()
	store, err := postgres.New(postgres.Config{Pool: e.pool})
	if err != nil {
		t.Fatal(err)
	}
	return store
}
