package gatewayfile

import (
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/env"
)

// withOperations is a file with an operator port and shared revocations.
const withOperations = `listen: localhost:3000
operator:
  listen: localhost:9090
  pprof: true
revocations:
  redis_url: "${REDIS_URL}"
  prefix: notes
` + minimal

var redisVariable = map[string]string{"REDIS_URL": "rediss://app:hunter2@redis.internal:6379/0"}

func TestOperations(t *testing.T) {
	loaded := load(t, withOperations, redisVariable)
	if want := (OperatorPort{"localhost:9090", true}); loaded.Operator != want {
		t.Errorf("got the operator port %+v, want %+v", loaded.Operator, want)
	}
	if got := loaded.Revocations.String(); got != "Redis at redis.internal:6379/0" {
		t.Errorf("got the store %q, want that of the variable", got)
	}
	if loaded.Gateway.Endpoints[0].Guard.Revocations != loaded.Revocations {
		t.Error("the guard does not have the store")
	}
	without := load(t, minimal, nil)
	if without.Operator.Listen != "" || without.Revocations != nil || without.Gateway.Endpoints[0].Guard.Revocations != nil {
		t.Errorf("got %+v and %v, want neither port nor store", without.Operator, without.Revocations)
	}
}

// Each change of a valid file is a mistake that is reported with its line.
func TestOperationFaults(t *testing.T) {
	if got := faultsWith(t, withOperations, redisVariable); got != nil {
		t.Fatalf("the control has the mistakes %q", got)
	}
	for name, test := range map[string]struct{ old, new, want string }{
		"no address":           {"  listen: localhost:9090\n", "", "3: the section operator has no listen; add listen (address of the operator port"},
		"no host":              {"localhost:9090", `"9090"`, `3: listen "9090" has no host; write "localhost:9090", or ":9090"`},
		"no port":              {"localhost:9090", "localhost", `3: listen "localhost" has no port; add it, like "localhost:9090"`},
		"the public address":   {"localhost:9090", ":3000", `3: listen ":3000" is also the address of the gateway, which users reach; use another port`},
		"unknown member":       {"pprof:", "p_prof:", `4: the section operator has no member "p_prof"; did you mean pprof?`},
		"no store":             {"  redis_url: \"${REDIS_URL}\"\n  prefix: notes\n", "  {}\n", "6: redis_url is missing, and so is postgres_url; set one of them"},
		"two stores":           {"  prefix: notes", "  postgres_url: postgres://db/app", "7: postgres_url is set in addition to redis_url; remove one of them"},
		"variable":             {"${REDIS_URL}", "${NOT_SET}", "6: redis_url needs the environment variable NOT_SET, which is not set"},
		"password in the file": {"${REDIS_URL}", "rediss://app:hunter2@redis.internal", `6: redis_url has a password in the file; write redis_url: "${NAME}"`},
		"not a URL":            {"${REDIS_URL}", "redis.internal:6379", "6: redis_url is not a URL of the store: it cannot be read; write it like"},
		"no file":              {"redis_url: \"${REDIS_URL}\"", "redis_url_file: nothing", "6: redis_url_file \""},
		"prefix":               {"prefix: notes", "prefix: \"{notes}\"", `7: prefix "{notes}" is not a prefix of keys; use letters`},
		"table":                {"prefix: notes", "table: notes", `7: table "notes" has no effect without postgres_url; remove it; the prefix of keys is prefix`},
		"no certificates":      {"prefix: notes", "redis_ca_file: nothing.pem", "7: redis_ca_file \""},
	} {
		got := faultsWith(t, strings.Replace(withOperations, test.old, test.new, 1), redisVariable)
		if len(got) != 1 || !strings.HasPrefix(got[0], test.want) {
			t.Errorf("%s: got %q, want one mistake: %s", name, got, test.want)
		}
		if strings.Contains(strings.Join(got, ""), "hunter2") {
			t.Errorf("%s: the mistakes have the password: %q", name, got)
		}
	}
}

// A secret that a file has, and the certificates, are found from the folder of the configuration.
func TestFilesOfASubfolder(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("conf", 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, "conf/url", "redis://localhost:6379\n")
	write(t, "conf/gateway.yaml", "revocations: {redis_url_file: url}\n"+minimal)
	l := NewLoader(filepath.Join("conf", "gateway.yaml"), &env.Env{}, slog.New(slog.DiscardHandler))
	defer l.Close()
	loaded, err := l.Load()
	if err != nil {
		t.Fatal(err)
	}
	if got := loaded.Revocations.String(); got != "Redis at localhost:6379" {
		t.Errorf("got the store %q, want that of the file", got)
	}
	write(t, "conf/key.pem", "not a key")
	write(t, "conf/gateway.yaml", "assertion_key_file: key.pem\n"+minimal)
	if _, err := l.Load(); err == nil || !strings.Contains(err.Error(), "conf/key.pem") || strings.Contains(err.Error(), "no such file") {
		t.Errorf("got %v, want that the file was read", err)
	}
}

// The store stays open while its settings stay the same, and endpoints that change get the new one.
func TestStoreIsOpenedOnce(t *testing.T) {
	variables := map[string]string{"REDIS_URL": redisVariable["REDIS_URL"]}
	l := newTestLoader(t, withOperations, variables)
	first, err := l.Load()
	if err != nil {
		t.Fatal(err)
	}
	second, err := l.Load()
	if err != nil || second.Revocations != first.Revocations {
		t.Errorf("got another store, %v, want the same", err)
	}
	variables["REDIS_URL"] = "rediss://app:other@redis.internal:6379/0"
	third, err := l.Load()
	if err != nil || third.Revocations == first.Revocations {
		t.Errorf("got the same store after the password has changed, %v, want another", err)
	}
	if reflect.DeepEqual(third.Gateway.Endpoints[0].Identity, first.Gateway.Endpoints[0].Identity) {
		t.Error("the endpoint stays the same after the password has changed, want another guard")
	}
}

func TestNeedsRestart(t *testing.T) {
	old := load(t, withOperations, redisVariable)
	for _, tt := range []struct {
		old, new string
		want     []string
	}{
		{"notes", "notes2", nil},
		{"localhost:3000", "localhost:3001", []string{"listen"}},
		{"localhost:9090", "localhost:9091", []string{"operator"}},
		{"pprof: true", "pprof: false", []string{"operator"}},
		{"listen: localhost:3000", "drain_delay: 5s\nshutdown_timeout: 20s", []string{"listen", "drain_delay", "shutdown_timeout"}},
	} {
		if got := load(t, strings.Replace(withOperations, tt.old, tt.new, 1), redisVariable).NeedsRestart(old); !slices.Equal(got, tt.want) {
			t.Errorf("%s instead of %s: got %q, want %q", tt.new, tt.old, got, tt.want)
		}
	}
}
