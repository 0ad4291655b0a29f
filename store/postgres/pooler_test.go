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
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/internal/teststore"
)

// startPgBouncer starts Debian's PgBouncer in front of a server, with transaction pooling: each
// transaction may get another connection to the server.
func startPgBouncer(t testing.TB, s *server) (addr string) {
	t.Helper()
	program := teststore.Program(t, "pgbouncer", "pgbouncer", "/usr/sbin/pgbouncer")
	addr, port := teststore.FreeAddr(t)
	folder, as := teststore.Folder(t, superuser)
	host, serverPort, _ := net.SplitHostPort(s.addr)
	config := filepath.Join(folder, "pgbouncer.ini")
	text := fmt.Sprintf("[databases]\npostgres = host=%s port=%s dbname=postgres user=%s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %s\n"+
		"auth_type = any\npool_mode = transaction\nunix_socket_dir =\n", host, serverPort, superuser, port)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	teststore.NewProcess(t, addr, folder, as, program, config).Start(t)
	return addr
}

// TestPgBouncer runs the checks behind PgBouncer with transaction pooling. It is slower, because no
// notification arrives there, and needs a setting of the connection string.
func TestPgBouncer(t *testing.T) {
	s := start(t)
	host, port, _ := net.SplitHostPort(startPgBouncer(t, s))
	connection := fmt.Sprintf("host=%s port=%s user=%s dbname=postgres sslmode=disable", host, port, superuser)
	pool := connect(t, connection+" default_query_exec_mode=exec")
	gatehousetest.CheckRevocationStore(t, func(t *testing.T) gatehouse.RevocationStore { return open(t, pool, s.newTable(t)) })

	// Without the setting, statements are prepared on one connection and used on another.
	without := connect(t, connection)
	var failed error
	for i := 0; i < 50 && failed == nil; i++ {
		store := open(t, without, "")
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		failed = errors.Join(
			store.Append(ctx, []gatehouse.Denial{{Subject: fmt.Sprint("user_", i), Until: time.Now().Add(time.Hour)}}), func() error {
				_, _, err := store.Snapshot(ctx)
				return err
			}())
		cancel()
		without.Reset() // another connection to PgBouncer
	}
	if failed == nil || !strings.Contains(failed.Error(), "; a pooler shares the connection; set default_query_exec_mode=exec") {
		t.Errorf("without the setting: %v, want an error that names it", failed)
	}
}
