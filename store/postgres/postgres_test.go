package postgres_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/store/postgres"
	"github.com/jackc/pgx/v5/pgxpool"
)

// lazyPool returns a pool that has not connected yet.
func lazyPool(t *testing.T, parameters string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(context.Background(), "host=127.0.0.1 port=1 "+parameters)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func TestConfig(t *testing.T) {
	pool := lazyPool(t, "pool_max_conns=2")
	for _, test := range []struct {
		name    string
		config  postgres.Config
		wantErr string
	}{
		{"control", postgres.Config{Pool: pool}, ""},
		{"control: schema", postgres.Config{Pool: pool, Table: "auth.revocations"}, ""},
		{"no pool", postgres.Config{}, "gatehouse: Pool is missing"},
		{"one connection", postgres.Config{Pool: lazyPool(t, "pool_max_conns=1")}, "set pool_max_conns"},
		{"upper case", postgres.Config{Pool: pool, Table: "Revocations"}, `Table "Revocations" is not the name of a table`},
		{"three parts", postgres.Config{Pool: pool, Table: "a.b.c"}, "is not the name of a table"},
		{"no table", postgres.Config{Pool: pool, Table: "auth."}, "is not the name of a table"},
		{"no schema", postgres.Config{Pool: pool, Table: ".revocations"}, "is not the name of a table"},
		{"quote", postgres.Config{Pool: pool, Table: `x"; DROP TABLE y`}, "is not the name of a table"},
		{"digit first", postgres.Config{Pool: pool, Table: "1x"}, "is not the name of a table"},
		{"long", postgres.Config{Pool: pool, Table: strings.Repeat("x", 51)}, "is not the name of a table"},
	} {
		_, err := postgres.New(test.config)
		if test.wantErr == "" {
			if err != nil {
				t.Errorf("%s: New = %v", test.name, err)
			}
			continue
		}
		var fault *gatehouse.ConfigError
		if !errors.As(err, &fault) || !strings.Contains(err.Error(), test.wantErr) {
			t.Errorf("%s: New = %v, want %s", test.name, err, test.wantErr)
		}
	}
}

func TestPositionsThatAreNotOfThisStore(t *testing.T) {
	store, err := postgres.New(postgres.Config{Pool: lazyPool(t, "pool_max_conns=2")})
	if err != nil {
		t.Fatal(err)
	}
	for _, position := range []string{"", "1", "x/y", "1-0"} {
		if err := store.Watch(t.Context(), position, nil); !errors.Is(err, gatehouse.ErrPositionLost) {
			t.Errorf("Watch from %q = %v, want ErrPositionLost", position, err)
		}
	}
}

// The documentation has the statements, for those who create the tables with a tool.
func TestStatementsInTheDocumentation(t *testing.T) {
	statements, err := postgres.SQL("")
	if err != nil {
		t.Fatal(err)
	}
	grants, err := postgres.Grants("", "servers")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/replicas.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{statements, grants} {
		if !strings.Contains(string(page), "```sql\n"+want+"```") {
			t.Errorf("docs/replicas.md lacks these statements:\n%s", want)
		}
	}
}
