//go:build stores

package redis_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/internal/teststore"
	gatehouseredis "github.com/gatehouse-mcp/gatehouse/store/redis"
	"github.com/redis/go-redis/v9"
)

// settings are what a user writes: the options of the client and the prefix.
type settings struct {
	redis.UniversalOptions
	prefix string
}

// TestWrongSettings checks that each wrong setting, or state of the server, has an error that says
// what to do. Each is one change of the control.
func TestWrongSettings(t *testing.T) {
	s := start(t)
	secured := startTLS(t)
	admin := s.client(t, s.addr)
	do := func(args ...any) {
		t.Helper()
		if err := admin.Do(t.Context(), args...).Err(); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
	}
	do("ACL", "SETUSER", "user", "on", ">secret", "~{gatehouse}:*", "+@all")
	do("ACL", "SETUSER", "narrow", "on", ">secret", "~{gatehouse}:*", "+multi", "+exec", "+hello", "+xrevrange", "+zrangebyscore")
	do("SET", "{taken}:log", "x")
	for name, test := range map[string]struct {
		change            func(*settings)
		during, after     []any  // commands of an administrator
		snapshot, append_ string // what the errors say; empty for none
	}{
		"control": {},
		"no password": {
			change:   func(o *settings) { o.Username, o.Password = "", "" },
			during:   []any{"CONFIG", "SET", "requirepass", "other"}, // the administrator is connected already
			after:    []any{"CONFIG", "SET", "requirepass", ""},
			snapshot: "NOAUTH Authentication required.; the server wants a user and a password; set them",
		},
		"wrong password": {change: func(o *settings) { o.Password = "wrong" }, snapshot: "WRONGPASS invalid username-password pair or user is disabled.; correct the user"},
		"missing rights": {
			change:  func(o *settings) { o.Username = "narrow" },
			append_: "NOPERM this user has no permissions to run the 'zadd' command; give the user the rights",
		},
		"another prefix than the user's": {
			change:   func(o *settings) { o.prefix = "other" },
			snapshot: "NOPERM this user has no permissions to access one of the keys used as arguments; give the user the rights for this prefix",
		},
		"unknown database": {change: func(o *settings) { o.DB = 99 }, snapshot: "ERR DB index is out of range; set DB in the options"},
		"prefix of something else": {
			change:   func(o *settings) { o.prefix, o.Username, o.Password = "taken", "", "" },
			snapshot: "WRONGTYPE Operation against a key holding the wrong kind of value; something else than Gatehouse uses a key",
		},
		"server does not run": {change: func(o *settings) { o.Addrs = []string{"127.0.0.1:1"} }, snapshot: "dial tcp 127.0.0.1:1: connect: connection refused"},
		"port for TLS":        {change: func(o *settings) { o.Addrs = []string{secured.addr} }, snapshot: "the server closed the connection: EOF; if its port is for TLS, use rediss://"},
		"port not for TLS": {
			change:   func(o *settings) { o.TLSConfig = &tls.Config{RootCAs: secured.authority.Pool} },
			snapshot: "the server did not answer: context deadline exceeded; if its port is not for TLS, use redis://",
		},
		"not a Sentinel": {change: func(o *settings) { o.MasterName = "main" }, snapshot: "ERR unknown command 'sentinel'"},
		"replica": {
			during: []any{"REPLICAOF", "127.0.0.1", "1"}, after: []any{"REPLICAOF", "NO", "ONE"},
			append_: "READONLY You can't write against a read only replica.; the server is a replica; connect to the primary",
		},
		"no memory left": {
			during: []any{"CONFIG", "SET", "maxmemory", "1"}, after: []any{"CONFIG", "SET", "maxmemory", "0"},
			append_: "OOM command not allowed when used memory > 'maxmemory'.; the server has no memory left",
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := settings{UniversalOptions: redis.UniversalOptions{
				Addrs: []string{s.addr}, Username: "user", Password: "secret", ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1,
			}}
			if test.change != nil {
				test.change(&o)
			}
			if test.during != nil {
				do(test.during...)
			}
			client := redis.NewUniversalClient(&o.UniversalOptions)
			defer client.Close()
			store := open(t, client, o.prefix)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, _, err := store.Snapshot(ctx)
			wantError(t, "Snapshot", err, test.snapshot)
			if test.snapshot == "" {
				err := store.Append(ctx, []gatehouse.Denial{{Subject: "user_1", Until: time.Now().Add(time.Hour)}})
				wantError(t, "Append", err, test.append_)
			} else {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				err := store.Watch(ctx, "0-0", func([]gatehouse.Denial, string) { t.Error("a watch calls back") })
				wantError(t, "Watch", err, test.snapshot)
			}
			if test.after != nil {
				do(test.after...)
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

// The guard says what the store says, and not a second fix.
func TestWrongPasswordAtTheGuard(t *testing.T) {
	s := start(t)
	client := s.client(t, s.addr, func(o *redis.UniversalOptions) { o.Username, o.Password = "unknown", "secret" })
	is := testissuer.Start(t)
	provider := gatehouse.OIDC(is.URL())
	provider.JWKSURL = is.JWKSURL()
	guard, err := gatehouse.New(gatehouse.Config{
		Resource:    "https://mcp.example.com/mcp",
		Provider:    provider,
		Revocations: open(t, client, ""),
		Logger:      slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	err = guard.Ready(t.Context())
	guard.Close()
	const want = "loading the snapshot: WRONGPASS invalid username-password pair or user is disabled.; correct the user and the password in the options of the client"
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("Ready = %v, want %q at the end", err, want)
	}
}

// secured is a server that speaks TLS, with a certificate of a private authority.
type secured struct {
	*teststore.Process
	addr      string
	authority *teststore.Authority
}

func startTLS(t testing.TB) *secured {
	t.Helper()
	return startTLSWith(t, redisServer(t))
}

func startTLSWith(t testing.TB, program string) *secured {
	t.Helper()
	addr, port := teststore.FreeAddr(t)
	folder := t.TempDir()
	s := &secured{addr: addr, authority: teststore.NewAuthority(t, folder)}
	s.Process = teststore.NewProcess(t, addr, folder, nil, program, "--bind", "127.0.0.1", "--port", "0", "--tls-port", port,
		"--dir", folder, "--tls-cert-file", s.authority.CertFile, "--tls-key-file", s.authority.KeyFile, "--tls-ca-cert-file", s.authority.CAFile,
		"--tls-auth-clients", "no", "--save", "")
	s.Start(t)
	return s
}

// TestTLS runs the checks with a server whose certificate is from a private authority. Without that
// authority, or with another name, there is no connection.
func TestTLS(t *testing.T) {
	s := startTLS(t)
	connect := func(t *testing.T, config *tls.Config, prefix string) *gatehouseredis.Store {
		client := redis.NewClient(&redis.Options{Addr: s.addr, TLSConfig: config, ContextTimeoutEnabled: true, DialerRetries: 1})
		t.Cleanup(func() { client.Close() })
		return open(t, client, prefix)
	}
	prefixes := 0
	gatehousetest.CheckRevocationStore(t, func(t *testing.T) gatehouse.RevocationStore {
		prefixes++
		return connect(t, &tls.Config{RootCAs: s.authority.Pool}, fmt.Sprint("tls:", prefixes))
	})
	other := teststore.NewAuthority(t, t.TempDir())
	for name, test := range map[string]struct {
		config *tls.Config
		want   string
	}{
		"without the authority": {&tls.Config{}, "certificate signed by unknown authority; set RootCAs in the TLSConfig"},
		"another authority":     {&tls.Config{RootCAs: other.Pool}, "; set RootCAs in the TLSConfig"},
		"another name":          {&tls.Config{RootCAs: s.authority.Pool, ServerName: "redis.example.com"}, "wanted to match redis.example.com"},
	} {
		_, _, err := connect(t, test.config, "").Snapshot(t.Context())
		wantError(t, name, err, test.want)
	}
}
