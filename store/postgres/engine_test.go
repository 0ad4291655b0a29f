//go:build stores

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/internal/teststore"
	"github.com/gatehouse-mcp/gatehouse/store/postgres"
	"github.com/jackc/pgx/v5/pgxpool"
)

// superuser is the account that Debian's package makes, and the role of the tests.
const superuser = "postgres"

// server is Debian's PostgreSQL.
type server struct {
	*teststore.Process
	addr   string
	tables atomic.Int64
}

// start starts an empty server, with the tables of the default name. The lines are put in front of
// those of pg_hba.conf, which trust every connection.
func start(t testing.TB, access ...string) *server {
	t.Helper()
	return startWith(t, nil, access...)
}

// startWith is start with further settings.
func startWith(t testing.TB, settings []string, access ...string) *server {
	t.Helper()
	bin := filepath.Dir(teststore.Initdb(t))
	addr, port := teststore.FreeAddr(t)
	folder, as := teststore.Folder(t, superuser)
	data := filepath.Join(folder, "data")
	teststore.Run(t, folder, as, filepath.Join(bin, "initdb"), "-D", data, "-U", superuser, "-A", "trust", "--no-sync")
	prepend(t, filepath.Join(data, "pg_hba.conf"), access)
	s := &server{addr: addr}
	args := []string{"-D", data, "-c", "listen_addresses=127.0.0.1", "-p", port, "-c", "unix_socket_directories=" + folder}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	s.Process = teststore.NewProcess(t, addr, folder, as, filepath.Join(bin, "postgres"), args...)
	s.Start(t)
	t.Log(s.query(t, "SHOW server_version"))
	if err := postgres.CreateTables(t.Context(), s.pool(t, s.addr, superuser), ""); err != nil {
		t.Fatal(err)
	}
	return s
}

// prepend puts lines in front of those of a file.
func prepend(t testing.TB, path string, lines []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append([]byte(strings.Join(append(lines, ""), "\n")), text...), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *server) Addr() string { return s.addr }

// Start starts the server and waits until it answers queries.
func (s *server) Start(t testing.TB) {
	t.Helper()
	s.Process.Start(t)
	pool := s.pool(t, s.addr, superuser)
	deadline := time.Now().Add(time.Minute)
	for err := pool.Ping(t.Context()); err != nil; err = pool.Ping(t.Context()) {
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// query returns the only value of a query.
func (s *server) query(t testing.TB, sql string) (value string) {
	t.Helper()
	if err := s.pool(t, s.addr, superuser).QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// Kill ends the server and the processes of its connections, as a failure of the machine does.
func (s *server) Kill(t testing.TB) {
	if pids := s.Children(); len(pids) > 0 {
		defer teststore.KillAll(pids)
	}
	s.Process.Kill(t)
}

// pool returns a pool of connections to addr as the role.
func (s *server) pool(t testing.TB, addr, role string) *pgxpool.Pool {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(context.Background(), fmt.Sprintf("host=%s port=%s user=%s dbname=postgres sslmode=disable connect_timeout=5", host, port, role))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func (s *server) Open(t testing.TB, addr string) gatehouse.RevocationStore {
	return open(t, s.pool(t, addr, superuser), "")
}

func open(t testing.TB, pool *pgxpool.Pool, table string) *postgres.Store {
	t.Helper()
	store, err := postgres.New(postgres.Config{Pool: pool, Table: table})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// newTable creates tables with a name of their own.
func (s *server) newTable(t testing.TB) string {
	t.Helper()
	table := fmt.Sprint("revocations_", s.tables.Add(1))
	if err := postgres.CreateTables(t.Context(), s.pool(t, s.addr, superuser), table); err != nil {
		t.Fatal(err)
	}
	return table
}

func execute(t testing.TB, pool *pgxpool.Pool, sql string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func TestStore(t *testing.T) {
	s := start(t)
	pool := s.pool(t, s.addr, superuser)
	gatehousetest.CheckRevocationStore(t, func(t *testing.T) gatehouse.RevocationStore { return open(t, pool, s.newTable(t)) })
}

func TestReplicas(t *testing.T) { teststore.RunReplicas(t, start(t)) }

// TestLeastPrivileges runs the checks as a role with the rights of Grants alone.
func TestLeastPrivileges(t *testing.T) {
	s := start(t)
	admin := s.pool(t, s.addr, superuser)
	execute(t, admin, "CREATE ROLE servers LOGIN; CREATE ROLE reader LOGIN; CREATE SCHEMA auth")
	pool := s.pool(t, s.addr, "servers")
	gatehousetest.CheckRevocationStore(t, func(t *testing.T) gatehouse.RevocationStore {
		table := "auth." + s.newTable(t)
		if err := postgres.CreateTables(t.Context(), admin, table); err != nil {
			t.Fatal(err)
		}
		grants, err := postgres.Grants(table, "servers")
		if err != nil {
			t.Fatal(err)
		}
		execute(t, admin, grants)
		return open(t, pool, table)
	})
	table := s.newTable(t)
	store := open(t, pool, table)
	if _, _, err := store.Snapshot(t.Context()); err == nil || !strings.Contains(err.Error(), "postgres.Grants") {
		t.Errorf("Snapshot without rights = %v, want an error that names postgres.Grants", err)
	}
	grants, _ := postgres.Grants(table, "servers")
	execute(t, admin, grants)
	for _, statement := range []string{
		"UPDATE " + table + "_position SET position = 0",
		"UPDATE " + table + " SET until = now()",
		"TRUNCATE " + table,
		"DROP TABLE " + table,
	} {
		if _, err := pool.Exec(t.Context(), statement); err == nil {
			t.Errorf("the role of the servers may run %s", statement)
		}
	}
	execute(t, admin, "GRANT SELECT ON "+table+", "+table+"_position TO reader")
	if _, _, err := open(t, s.pool(t, s.addr, "reader"), table).Snapshot(t.Context()); err != nil {
		t.Errorf("Snapshot of a role that may only read = %v", err)
	}
}

func TestTablesAreMissing(t *testing.T) {
	s := start(t)
	_, _, err := open(t, s.pool(t, s.addr, superuser), "elsewhere").Snapshot(t.Context())
	if err == nil || !strings.Contains(err.Error(), "postgres.CreateTables") {
		t.Errorf("Snapshot = %v, want an error that names postgres.CreateTables", err)
	}
}

// TestEndedDenialsVanish checks that the table keeps nothing of a denial that has ended.
func TestEndedDenialsVanish(t *testing.T) {
	s := start(t)
	pool := s.pool(t, s.addr, superuser)
	execute(t, pool, `INSERT INTO gatehouse_revocations (subject, until) VALUES
		('ended', now() - interval '2 minutes'), ('just ended', now() - interval '10 seconds'), ('user_1', now() + interval '1 day')`)
	denials, _, err := open(t, pool, "").Snapshot(t.Context())
	if err != nil || len(denials) != 1 || denials[0].Subject != "user_1" {
		t.Errorf("Snapshot = %+v, %v, want user_1", denials, err)
	}
	var left int
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM gatehouse_revocations").Scan(&left); err != nil || left != 2 {
		t.Errorf("%d rows are left, %v; want 2", left, err)
	}
}

// TestPositionsOfOtherTables checks that a position is not taken for that of another denial, as
// after the data was restored from an older copy.
func TestPositionsOfOtherTables(t *testing.T) {
	s := start(t)
	pool := s.pool(t, s.addr, superuser)
	store := open(t, pool, "")
	until := time.Now().Add(time.Hour)
	positions := make([]string, 2)
	for i := range positions {
		if err := store.Append(t.Context(), []gatehouse.Denial{{Subject: fmt.Sprint("user_", i), Until: until}}); err != nil {
			t.Fatal(err)
		}
		_, positions[i], _ = store.Snapshot(t.Context())
	}
	known := func(position string) bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return !errors.Is(store.Watch(ctx, position, func([]gatehouse.Denial, string) { cancel() }), gatehouse.ErrPositionLost)
	}
	if !known(positions[0]) || !known(positions[1]) {
		t.Error("a position of this table is lost")
	}
	execute(t, pool, "DROP TABLE gatehouse_revocations, gatehouse_revocations_position")
	if err := postgres.CreateTables(t.Context(), pool, ""); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := store.Append(t.Context(), []gatehouse.Denial{{Subject: fmt.Sprint("new_", i), Until: until}}); err != nil {
			t.Fatal(err)
		}
	}
	if known(positions[0]) || known(positions[1]) {
		t.Error("a position of the earlier table is known")
	}
}

// TestMissedNotification checks that a denial arrives without a notification, as behind PgBouncer.
func TestMissedNotification(t *testing.T) {
	s := start(t)
	pool := s.pool(t, s.addr, superuser)
	execute(t, pool, `CREATE OR REPLACE FUNCTION gatehouse_revocations_append() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		SELECT id FROM gatehouse_revocations_position FOR UPDATE INTO NEW.after_id;
		UPDATE gatehouse_revocations_position SET position = position + 1, id = gen_random_uuid() RETURNING position, id INTO NEW.position, NEW.id;
		RETURN NEW;
	END $$`)
	store := open(t, pool, "")
	_, position, err := store.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	appended := make(chan time.Time, 1)
	err = store.Watch(ctx, position, func(denials []gatehouse.Denial, _ string) {
		if len(denials) > 0 {
			t.Logf("the denial arrived after %s", time.Since(<-appended).Round(time.Millisecond))
			cancel()
		} else if len(appended) == 0 {
			appended <- time.Now()
			execute(t, pool, "INSERT INTO gatehouse_revocations (subject, until) VALUES ('user_1', now() + interval '1 day')")
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Watch = %v, want the denial", err)
	}
}

// TestTransactionThatStaysOpen checks that nothing is lost to a transaction that inserts first and
// commits last.
func TestTransactionThatStaysOpen(t *testing.T) {
	s := start(t)
	pool := s.pool(t, s.addr, superuser)
	store := open(t, pool, "")
	_, position, err := store.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "INSERT INTO gatehouse_revocations (subject, until) VALUES ('first', now() + interval '1 day')"); err != nil {
		t.Fatal(err)
	}
	second := make(chan error, 1)
	go func() {
		second <- store.Append(t.Context(), []gatehouse.Denial{{Subject: "second", Until: time.Now().Add(time.Hour)}})
	}()
	time.AfterFunc(time.Second, func() { tx.Commit(context.Background()) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var got []string
	store.Watch(ctx, position, func(denials []gatehouse.Denial, _ string) {
		for _, d := range denials {
			if got = append(got, d.Subject); len(got) == 2 {
				cancel()
			}
		}
	})
	if err := <-second; err != nil || strings.Join(got, " ") != "first second" {
		t.Errorf("%q arrived, Append = %v; want first and second", got, err)
	}
}

// TestTablesAreCreatedAgain checks that a watch notices that the tables are other ones, while its connection stays open:
// their positions begin again, and it would miss denials.
func TestTablesAreCreatedAgain(t *testing.T) {
	s := start(t)
	pool := s.pool(t, s.addr, superuser)
	store := open(t, pool, "")
	for i := range 3 {
		if err := store.Append(t.Context(), []gatehouse.Denial{{Subject: fmt.Sprint("user_", i), Until: time.Now().Add(time.Hour)}}); err != nil {
			t.Fatal(err)
		}
	}
	_, position, err := store.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, again := range []bool{false, true} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		calls := 0
		err := store.Watch(ctx, position, func([]gatehouse.Denial, string) {
			if calls++; calls == 1 && again {
				execute(t, pool, "DROP TABLE gatehouse_revocations, gatehouse_revocations_position")
				if err := postgres.CreateTables(t.Context(), pool, ""); err != nil {
					t.Error(err)
				}
			} else if calls == 3 {
				cancel()
			}
		})
		cancel()
		if got := errors.Is(err, gatehouse.ErrPositionLost); got != again {
			t.Errorf("Watch = %v after %d calls, want ErrPositionLost: %v", err, calls, again)
		}
	}
}

// TestEncodingOfTheDatabase checks that a denial with a character that the database cannot keep is reported with its fix.
// Without client_encoding in the connection string, the bytes are kept as they are.
func TestEncodingOfTheDatabase(t *testing.T) {
	s := start(t)
	execute(t, s.pool(t, s.addr, superuser), "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
	connection := fmt.Sprintf("postgres://%s@%s/latin?sslmode=disable", superuser, s.addr)
	pool := connect(t, connection)
	if err := postgres.CreateTables(t.Context(), pool, ""); err != nil {
		t.Fatal(err)
	}
	denials := []gatehouse.Denial{{Subject: "user_日", Until: time.Now().Add(time.Hour)}}
	err := open(t, connect(t, connection+"&client_encoding=UTF8"), "").Append(t.Context(), denials)
	if err == nil || !strings.Contains(err.Error(), "use a database with the encoding UTF8") {
		t.Errorf("Append with client_encoding = %v, want what to do", err)
	}
	store := open(t, pool, "")
	if err := store.Append(t.Context(), denials); err != nil {
		t.Fatal(err)
	}
	if got, _, err := store.Snapshot(t.Context()); err != nil || len(got) != 1 || got[0].Subject != denials[0].Subject {
		t.Errorf("Snapshot = %v, %v, want the denial", got, err)
	}
}
