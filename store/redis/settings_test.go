//go:build stores

package redis_test

import (
	"context"
	"crypto/tls"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	gatehouseredis "github.com/gatehouse-mcp/gatehouse/store/redis"
	"github.com/gatehouse-mcp/gatehouse/internal/teststore"
	"github.com/redis/go-redis/v9"
)

func TestExplore(t *testing.T) {
	s := start(t)
	folder := t.TempDir()
	ca := teststore.NewAuthority(t, folder)
	other := teststore.NewAuthority(t, t.TempDir())
	addr, port := teststore.FreeAddr(t)
	_, tlsPort := teststore.FreeAddr(t)
	tlsAddr := "127.0.0.1:" + tlsPort
	prog := "redis-server"
	teststore.NewProcess(t, tlsAddr, folder, nil, "/usr/bin/"+prog, "--bind", "127.0.0.1", "--port", port, "--tls-port", tlsPort, "--dir", folder,
		"--tls-cert-file", ca.CertFile, "--tls-key-file", ca.KeyFile, "--tls-ca-cert-file", ca.CAFile, "--tls-auth-clients", "no", "--save", "").Start(t)
	_ = addr
	admin := s.client(t, s.addr)
	for _, args := range [][]any{
		{"ACL", "SETUSER", "narrow", "on", ">secret", "~{gatehouse}:*", "+multi", "+exec", "+xrevrange", "+hello", "+ping"},
		{"ACL", "SETUSER", "elsewhere", "on", ">secret", "~other:*", "+@all"},
	} {
		if err := admin.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	admin.Set(t.Context(), "{taken}:log", "x", 0)
	p := s
	try := func(name string, o *redis.UniversalOptions, prefix string) {
		o.ContextTimeoutEnabled = true
		client := redis.NewUniversalClient(o)
		defer client.Close()
		store, err := gatehouseredis.New(gatehouseredis.Config{Client: client, Prefix: prefix})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, _, err = store.Snapshot(ctx)
		t.Logf("%s: Snapshot: %v", name, err)
		err = store.Append(ctx, []gatehouse.Denial{{Subject: "u", Until: time.Now().Add(time.Hour)}})
		t.Logf("%s: Append: %v", name, err)
		ctx2, cancel2 := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel2()
		err = store.Watch(ctx2, "0-0", func([]gatehouse.Denial, string) {})
		t.Logf("%s: Watch: %v", name, err)
	}
	a := []string{p.addr}
	try("wrong password", &redis.UniversalOptions{Addrs: a, Username: "narrow", Password: "wrong"}, "")
	try("password without need", &redis.UniversalOptions{Addrs: a, Password: "wrong"}, "")
	try("narrow", &redis.UniversalOptions{Addrs: a, Username: "narrow", Password: "secret"}, "")
	try("elsewhere", &redis.UniversalOptions{Addrs: a, Username: "elsewhere", Password: "secret"}, "")
	try("db", &redis.UniversalOptions{Addrs: a, DB: 99}, "")
	try("taken", &redis.UniversalOptions{Addrs: a}, "taken")
	try("refused", &redis.UniversalOptions{Addrs: []string{"127.0.0.1:1"}}, "")
	try("no host", &redis.UniversalOptions{Addrs: []string{"redis.invalid:6379"}}, "")
	try("tls to plain", &redis.UniversalOptions{Addrs: a, TLSConfig: &tls.Config{RootCAs: ca.Pool}}, "")
	try("plain to tls", &redis.UniversalOptions{Addrs: []string{tlsAddr}}, "")
	try("tls", &redis.UniversalOptions{Addrs: []string{tlsAddr}, TLSConfig: &tls.Config{RootCAs: ca.Pool}}, "")
	try("tls no ca", &redis.UniversalOptions{Addrs: []string{tlsAddr}, TLSConfig: &tls.Config{}}, "")
	try("tls other ca", &redis.UniversalOptions{Addrs: []string{tlsAddr}, TLSConfig: &tls.Config{RootCAs: other.Pool}}, "")
	try("tls other name", &redis.UniversalOptions{Addrs: []string{tlsAddr}, TLSConfig: &tls.Config{RootCAs: ca.Pool, ServerName: "redis.example.com"}}, "")
	admin.ConfigSet(t.Context(), "requirepass", "secret")
	try("no password", &redis.UniversalOptions{Addrs: a}, "")
	authed := s.client(t, s.addr, func(o *redis.UniversalOptions) { o.Password = "secret" })
	authed.ConfigSet(t.Context(), "requirepass", "")
	admin.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1")
	try("replica", &redis.UniversalOptions{Addrs: a}, "")
	admin.Do(t.Context(), "REPLICAOF", "NO", "ONE")
	admin.ConfigSet(t.Context(), "maxmemory", "1")
	try("oom", &redis.UniversalOptions{Addrs: a}, "")
	admin.ConfigSet(t.Context(), "maxmemory", "0")
	try("sentinel not", &redis.UniversalOptions{Addrs: a, MasterName: "main"}, "")
}
