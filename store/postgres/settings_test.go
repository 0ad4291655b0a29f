//go:build stores

package postgres_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/internal/teststore"
	"github.com/gatehouse-mcp/gatehouse/store/postgres"
	"github.com/jackc/pgx/v5/pgxpool"
)

// connect returns a pool for a connection string.
func connect(t testing.TB, text string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(context.Background(), text)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// TestWrongSettings checks that each wrong setting, or state of the server, has an error that says
// what to do. Each is one change of the control.
func TestWrongSettings(t *testing.T) {
	s := start(t, "host all narrow 127.0.0.1/32 scram-sha-256", "host all barred 127.0.0.1/32 reject")
	admin := s.pool(t, s.addr, superuser)
	for _, statement := range []string{
		"CREATE DATABASE empty",
		"CREATE ROLE servers LOGIN; CREATE ROLE narrow LOGIN PASSWORD 'secret'; CREATE ROLE barred LOGIN; CREATE ROLE limited LOGIN CONNECTION LIMIT 0",
		"CREATE ROLE reading LOGIN; ALTER ROLE reading SET default_transaction_read_only = on",
		"CREATE SCHEMA closed; CREATE TABLE notes_position (position bigint, id uuid); CREATE TABLE notes (text text)",
		"INSERT INTO notes_position VALUES (0, gen_random_uuid()); GRANT ALL ON notes, notes_position TO servers",
	} {
		execute(t, admin, statement)
	}
	for _, role := range []string{"servers", "reading", "limited", "barred"} {
		grants, err := postgres.Grants("", role)
		if err != nil {
			t.Fatal(err)
		}
		execute(t, admin, grants)
	}
	host, port, _ := net.SplitHostPort(s.addr)
	control := fmt.Sprintf("host=%s port=%s user=servers password=secret dbname=postgres sslmode=disable", host, port)
	for name, test := range map[string]struct {
		old, new, table   string
		during, after     string // statements of the owner of the tables
		snapshot, append_ string // what the errors say; empty for none
	}{
		"control":          {},
		"wrong password":   {old: "user=servers password=secret", new: "user=narrow password=other", snapshot: `password authentication failed for user "narrow" (SQLSTATE 28P01); correct the user and the password`},
		"unknown user":     {old: "user=servers", new: "user=unknown", snapshot: `role "unknown" does not exist (SQLSTATE 28000); correct the user`},
		"not in pg_hba":    {old: "user=servers", new: "user=barred", snapshot: "no encryption (SQLSTATE 28000); correct the user and sslmode in the connection string, or allow"},
		"unknown database": {old: "dbname=postgres", new: "dbname=unknown", snapshot: `database "unknown" does not exist (SQLSTATE 3D000); correct the database`},
		"another database": {old: "dbname=postgres", new: "dbname=empty", snapshot: `relation "gatehouse_revocations_position" does not exist (SQLSTATE 42P01); create the tables: run the statements of postgres.SQL`},
		"another table":    {table: "other", snapshot: `relation "other_position" does not exist (SQLSTATE 42P01); create the tables`},
		"unknown schema":   {table: "unknown.revocations", snapshot: `relation "unknown.revocations_position" does not exist (SQLSTATE 42P01); create the tables`},
		"closed schema":    {table: "closed.revocations", snapshot: "permission denied for schema closed (SQLSTATE 42501); run the statements of postgres.Grants"},
		"foreign table":    {table: "notes", snapshot: `column "issuer" does not exist (SQLSTATE 42703); a table of this name is not one of Gatehouse`},
		"no rights":        {old: "user=servers", new: "user=narrow", snapshot: "permission denied for table gatehouse_revocations_position (SQLSTATE 42501); run the statements of postgres.Grants"},
		"read-only role":   {old: "user=servers", new: "user=reading", append_: "cannot execute INSERT in a read-only transaction (SQLSTATE 25006); connect to the primary server"},
		"connection limit": {old: "user=servers", new: "user=limited", snapshot: `too many connections for role "limited" (SQLSTATE 53300); raise the limit`},
		"TLS":              {old: "sslmode=disable", new: "sslmode=require", snapshot: "server refused TLS connection; turn on ssl in postgresql.conf"},
		"does not run":     {old: "port=" + port, new: "port=1", snapshot: "dial tcp 127.0.0.1:1: connect: connection refused"},
		"trigger removed": {
			during: "ALTER TABLE gatehouse_revocations DISABLE TRIGGER gatehouse_revocations_append", after: "ALTER TABLE gatehouse_revocations ENABLE TRIGGER gatehouse_revocations_append",
			append_: "(SQLSTATE 23502); the trigger or the row of the position is missing; run the statements of postgres.SQL",
		},
		"position removed": {
			during: "DELETE FROM gatehouse_revocations_position", after: "INSERT INTO gatehouse_revocations_position VALUES (true, 1000, gen_random_uuid())",
			snapshot: "no rows in result set; the row of the position is missing; run the statements of postgres.SQL",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if test.during != "" {
				execute(t, admin, test.during)
				defer execute(t, admin, test.after)
			}
			store := open(t, connect(t, strings.Replace(control, test.old, test.new, 1)), test.table)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, _, err := store.Snapshot(ctx)
			wantError(t, "Snapshot", err, test.snapshot)
			if test.snapshot == "" {
				err := store.Append(ctx, []gatehouse.Denial{{Subject: name, Until: time.Now().Add(time.Hour)}})
				wantError(t, "Append", err, test.append_)
			} else if name != "position removed" && name != "foreign table" { // a watch reads other tables, or later
				err := store.Watch(ctx, "0/x", func([]gatehouse.Denial, string) { t.Error("a watch calls back") })
				wantError(t, "Watch", err, test.snapshot[strings.LastIndex(test.snapshot, ";")+1:])
			}
		})
	}
}

// wantError checks that an error has a text and no password, or that there is none.
func wantError(t *testing.T, what string, err error, text string) {
	t.Helper()
	switch {
	case text == "" && err == nil:
	case err == nil || text == "" || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "secret"):
		t.Errorf("%s = %v, want %q", what, err, text)
	}
}

// TestCreateTablesFails checks the errors of CreateTables.
func TestCreateTablesFails(t *testing.T) {
	s := start(t)
	admin := s.pool(t, s.addr, superuser)
	execute(t, admin, "CREATE ROLE servers LOGIN")
	err := postgres.CreateTables(t.Context(), s.pool(t, s.addr, "servers"), "")
	wantError(t, "without the right to create tables", err, "(SQLSTATE 42501); connect as a role that may create tables")
	err = postgres.CreateTables(t.Context(), admin, "unknown.revocations")
	wantError(t, "schema that does not exist", err, `schema "unknown" does not exist (SQLSTATE 3F000); create the schema first`)
	wantError(t, "control", postgres.CreateTables(t.Context(), admin, "revocations"), "")
}

// TestTLS runs the checks with a server whose certificate is from a private authority. Without that
// authority, or with another name, there is no connection.
func TestTLS(t *testing.T) {
	folder, _ := teststore.Folder(t, superuser)
	authority := teststore.NewAuthority(t, folder)
	s := startWith(t, []string{"ssl=on", "ssl_cert_file=" + authority.CertFile, "ssl_key_file=" + authority.KeyFile},
		"hostnossl all servers 127.0.0.1/32 reject")
	admin := s.pool(t, s.addr, superuser)
	execute(t, admin, "CREATE ROLE servers LOGIN")
	host, port, _ := net.SplitHostPort(s.addr)
	connection := fmt.Sprintf("host=%s port=%s user=servers dbname=postgres sslmode=verify-full sslrootcert=%s", host, port, authority.CAFile)
	pool := connect(t, connection)
	var encrypted bool
	if err := pool.QueryRow(t.Context(), "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&encrypted); err != nil || !encrypted {
		t.Fatalf("encrypted: %v, %v", encrypted, err)
	}
	gatehousetest.CheckRevocationStore(t, func(t *testing.T) gatehouse.RevocationStore {
		table := s.newTable(t)
		grants, err := postgres.Grants(table, "servers")
		if err != nil {
			t.Fatal(err)
		}
		execute(t, admin, grants)
		return open(t, pool, table)
	})
	other := teststore.NewAuthority(t, t.TempDir())
	for name, test := range map[string]struct{ old, new, want string }{
		"another authority": {authority.CAFile, other.CAFile, "certificate signed by unknown authority"},
		"no authority":      {" sslrootcert=" + authority.CAFile, "", "certificate signed by unknown authority; set sslrootcert in the connection string"},
		"another name":      {"host=127.0.0.1", "host=localhost", "wanted to match localhost"},
		"not encrypted":     {"sslmode=verify-full", "sslmode=disable", "no encryption (SQLSTATE 28000); correct the user and sslmode"},
	} {
		text := strings.Replace(connection, test.old, test.new, 1)
		if text == connection {
			t.Fatalf("%s: nothing is changed", name)
		}
		_, _, err := open(t, connect(t, text), "").Snapshot(t.Context())
		wantError(t, name, err, test.want)
	}
}
