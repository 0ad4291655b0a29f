//go:build stores

package redis_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/internal/teststore"
	gatehouseredis "github.com/gatehouse-mcp/gatehouse/store/redis"
	"github.com/redis/go-redis/v9"
)

// server is a server of Redis or Valkey.
type server struct {
	*teststore.Process
	addr string
}

// start starts an empty Redis.
func start(t testing.TB) *server {
	t.Helper()
	return startProgram(t, redisServer(t))
}

// startProgram starts an empty server that saves each change, with further settings.
func startProgram(t testing.TB, program string, settings ...string) *server {
	t.Helper()
	addr, port := teststore.FreeAddr(t)
	folder := t.TempDir()
	s := &server{addr: addr}
	s.Process = teststore.NewProcess(t, addr, folder, nil, program, append([]string{
		"--bind", "127.0.0.1", "--port", port, "--dir", folder, "--appendonly", "yes", "--appendfsync", "always", "--save", "",
	}, settings...)...)
	s.Start(t)
	return s
}

// programs are the servers with which most of the tests run.
var programs = map[string]func(testing.TB) string{"Redis": redisServer, "Valkey": valkeyServer}

// withEach runs a test with each of the servers.
func withEach(t *testing.T, test func(t *testing.T, program string)) {
	for name, program := range programs {
		t.Run(name, func(t *testing.T) { test(t, program(t)) })
	}
}

func (s *server) Addr() string { return s.addr }

func (s *server) client(t testing.TB, addr string, configure ...func(*redis.UniversalOptions)) redis.UniversalClient {
	options := &redis.UniversalOptions{Addrs: []string{addr}, ContextTimeoutEnabled: true}
	for _, c := range configure {
		c(options)
	}
	client := redis.NewUniversalClient(options)
	t.Cleanup(func() { client.Close() })
	return client
}

func (s *server) Open(t testing.TB, addr string) gatehouse.RevocationStore {
	return open(t, s.client(t, addr), "")
}

func open(t testing.TB, client redis.UniversalClient, prefix string) *gatehouseredis.Store {
	t.Helper()
	store, err := gatehouseredis.New(gatehouseredis.Config{Client: client, Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestStore(t *testing.T) {
	withEach(t, func(t *testing.T, program string) {
		s := startProgram(t, program)
		info := s.client(t, s.addr).InfoMap(t.Context(), "server")
		t.Log(info.Item("Server", "redis_version"), info.Item("Server", "valkey_version"))
		var prefixes atomic.Int64
		gatehousetest.CheckRevocationStore(t, func(t *testing.T) gatehouse.RevocationStore {
			return open(t, s.client(t, s.addr), fmt.Sprint("test:", prefixes.Add(1)))
		})
	})
}

func TestReplicas(t *testing.T) {
	withEach(t, func(t *testing.T, program string) { teststore.RunReplicas(t, startProgram(t, program)) })
}

// TestLeastPrivileges runs the checks as the user whose rights the documentation names.
func TestLeastPrivileges(t *testing.T) { withEach(t, testLeastPrivileges) }

func testLeastPrivileges(t *testing.T, program string) {
	s := startProgram(t, program)
	source, err := os.ReadFile("redis.go")
	if err != nil {
		t.Fatal(err)
	}
	_, line, found := strings.Cut(string(source), "//\tACL SETUSER ")
	line, _, _ = strings.Cut(line, "\n")
	if !found {
		t.Fatal("the documentation has no line with ACL SETUSER")
	}
	args := []any{"ACL", "SETUSER"}
	for _, arg := range strings.Fields(line) {
		args = append(args, strings.Replace(arg, ">PASSWORD", ">secret", 1))
	}
	admin := s.client(t, s.addr)
	if err := admin.Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
	asUser := func(o *redis.UniversalOptions) { o.Username, o.Password = "gatehouse", "secret" }
	client := s.client(t, s.addr, asUser)
	if err := client.Set(t.Context(), "other", "x", 0).Err(); err == nil {
		t.Error("the user may write another key")
	}
	gatehousetest.CheckRevocationStore(t, func(t *testing.T) gatehouse.RevocationStore {
		if err := admin.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return open(t, client, "")
	})
}

// TestEndedDenialsVanish checks that the server keeps nothing of a denial that has ended.
func TestEndedDenialsVanish(t *testing.T) {
	s := start(t)
	client := s.client(t, s.addr)
	store := open(t, client, "")
	old := time.Now().Add(-2 * time.Minute).UnixMilli()
	if err := client.ZAdd(t.Context(), "{gatehouse}:denials", redis.Z{Score: float64(old), Member: `{"sub":"ended"}`}).Err(); err != nil {
		t.Fatal(err)
	}
	// Entries of two hours ago.
	for i := range 3 {
		id := fmt.Sprintf("%d-%d", time.Now().Add(-2*time.Hour).UnixMilli(), i)
		if err := client.XAdd(t.Context(), &redis.XAddArgs{Stream: "{gatehouse}:log", ID: id, Values: []any{"denial", `{"sub":"ended"}`}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if denials, _, err := store.Snapshot(t.Context()); err != nil || len(denials) != 0 {
		t.Errorf("Snapshot = %v, %v", denials, err)
	}
	if n := client.ZCard(t.Context(), "{gatehouse}:denials").Val(); n != 0 {
		t.Errorf("%d denials are left, want 0", n)
	}
	if n := client.XLen(t.Context(), "{gatehouse}:log").Val(); n != 1 {
		t.Errorf("%d entries of the stream are left, want the last one", n)
	}
}

// TestTrimmedPosition checks that a watch notices that entries after its position were trimmed.
func TestTrimmedPosition(t *testing.T) {
	s := start(t)
	client := s.client(t, s.addr)
	store := open(t, client, "")
	until := time.Now().Add(time.Hour)
	for i := range 3 {
		if err := store.Append(t.Context(), []gatehouse.Denial{{Subject: fmt.Sprint("user_", i), Until: until}}); err != nil {
			t.Fatal(err)
		}
	}
	entries := client.XRange(t.Context(), "{gatehouse}:log", "-", "+").Val()
	if err := client.XTrimMaxLen(t.Context(), "{gatehouse}:log", 1).Err(); err != nil {
		t.Fatal(err)
	}
	for i, wantLost := range []bool{true, true, false} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		err := store.Watch(ctx, entries[i].ID, func([]gatehouse.Denial, string) { cancel() })
		cancel()
		if lost := err == gatehouse.ErrPositionLost; lost != wantLost {
			t.Errorf("Watch from entry %d = %v, want ErrPositionLost: %v", i, err, wantLost)
		}
	}
}

// sentinel is a Sentinel with a primary server, and a replica that takes its place if it fails.
type sentinel struct {
	*server // the primary
	replica *server
	addr    string
}

func startSentinel(t testing.TB, program string) *sentinel {
	t.Helper()
	s := &sentinel{server: startProgram(t, program)}
	_, primaryPort, _ := net.SplitHostPort(s.server.addr)
	s.replica = startProgram(t, program, "--replicaof", "127.0.0.1 "+primaryPort)
	addr, port := teststore.FreeAddr(t)
	s.addr = addr
	folder := t.TempDir()
	config := filepath.Join(folder, "sentinel.conf")
	text := fmt.Sprintf("bind 127.0.0.1\nport %s\ndir %s\nsentinel monitor main 127.0.0.1 %s 1\n"+
		"sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 10000\n", port, folder, primaryPort)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	teststore.NewProcess(t, addr, folder, nil, program, config, "--sentinel").Start(t)
	admin := redis.NewSentinelClient(&redis.Options{Addr: addr})
	defer admin.Close()
	deadline := time.Now().Add(time.Minute)
	for {
		replicas, err := admin.Replicas(t.Context(), "main").Result()
		if err == nil && len(replicas) == 1 && replicas[0]["master-link-status"] == "ok" {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("the Sentinel knows the replicas %v, %v", replicas, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Open ignores addr: the Sentinel says where the server is.
func (s *sentinel) Open(t testing.TB, _ string) gatehouse.RevocationStore {
	return open(t, s.client(t, s.addr, func(o *redis.UniversalOptions) { o.MasterName = "main" }), "")
}

// TestSentinelFailover kills the primary server while several guards use it through a Sentinel.
func TestSentinelFailover(t *testing.T) {
	withEach(t, func(t *testing.T, program string) {
		s := startSentinel(t, program)
		teststore.RunFailover(t, s, s.Kill)
		if err := s.client(t, s.replica.addr).ZCard(t.Context(), "{gatehouse}:denials").Err(); err != nil {
			t.Error(err)
		}
	})
}

// TestSentinel runs the checks through a Sentinel.
func TestSentinel(t *testing.T) {
	s := startSentinel(t, redisServer(t))
	client := s.client(t, s.addr, func(o *redis.UniversalOptions) { o.MasterName = "main" })
	gatehousetest.CheckRevocationStore(t, func(t *testing.T) gatehouse.RevocationStore {
		if err := client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return open(t, client, "")
	})
}

// TestCluster runs the checks with a cluster of one server, which checks that the keys of a
// transaction are in one slot.
func TestCluster(t *testing.T) {
	addr, port := teststore.FreeAddr(t)
	folder := t.TempDir()
	program := redisServer(t)
	_, busPort := teststore.FreeAddr(t)
	teststore.NewProcess(t, addr, folder, nil, program, "--bind", "127.0.0.1", "--port", port, "--dir", folder,
		"--cluster-enabled", "yes", "--cluster-port", busPort, "--save", "").Start(t)
	node := redis.NewClient(&redis.Options{Addr: addr})
	defer node.Close()
	if err := node.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(node.ClusterInfo(t.Context()).Val(), "cluster_state:ok") {
		if t.Context().Err() != nil {
			t.Fatal("the cluster does not start")
		}
		time.Sleep(50 * time.Millisecond)
	}
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{addr}, ContextTimeoutEnabled: true})
	defer client.Close()
	gatehousetest.CheckRevocationStore(t, func(t *testing.T) gatehouse.RevocationStore {
		if err := node.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return open(t, client, "")
	})
}

// TestEntriesOfOtherPrograms checks that an entry that cannot be used neither stops a watch nor is lost in silence: it
// arrives as a denial without a field, which the guard counts and logs. Entries with an end that never comes count.
func TestEntriesOfOtherPrograms(t *testing.T) {
	s := start(t)
	client := s.client(t, s.addr)
	store := open(t, client, "")
	forever := redis.Z{Score: math.Inf(1), Member: `{"sub":"forever"}`}
	if err := client.ZAdd(t.Context(), "{gatehouse}:denials", forever, redis.Z{Score: 1e300, Member: `{"sub":"far away"}`},
		redis.Z{Score: 9e15, Member: "not JSON"}).Err(); err != nil {
		t.Fatal(err)
	}
	snapshot, position, err := store.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range snapshot {
		if d.Subject != "" && d.Until.Year() != 9999 {
			t.Errorf("%q ends at %s, want the year 9999", d.Subject, d.Until)
		}
		got = append(got, d.Subject)
	}
	slices.Sort(got)
	if want := []string{"", "far away", "forever"}; !slices.Equal(got, want) {
		t.Errorf("the snapshot has %q, want %q", got, want)
	}
	until := time.Now().Add(time.Hour).UnixMilli()
	values := []string{
		"", "not JSON", "null", `[]`, `{"sub":1}`, `{"sub":"no end"}`, `{"sub":"a fraction","until":1.5}`, "{\"sub\":\"\xff\",\"until\":9e15}",
		fmt.Sprintf("{\"sub\":\"\xff\",\"until\":%d}", until), fmt.Sprintf(`{"sub":"valid","until":%d}`, until),
	}
	for _, value := range values {
		if err := client.XAdd(t.Context(), &redis.XAddArgs{Stream: "{gatehouse}:log", Values: []any{"denial", value}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.XAdd(t.Context(), &redis.XAddArgs{Stream: "{gatehouse}:log", Values: []any{"other", "x"}}).Err(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var received []gatehouse.Denial
	store.Watch(ctx, position, func(denials []gatehouse.Denial, _ string) {
		received = append(received, denials...)
		cancel()
	})
	if len(received) != len(values)+1 {
		t.Fatalf("%d entries arrived with the first call, want %d", len(received), len(values)+1)
	}
	for i, d := range received {
		if valid := i == len(values)-1; valid && d.Subject != "valid" || !valid && d != (gatehouse.Denial{}) {
			t.Errorf("entry %d arrived as %+v, want a denial only of the valid one", i, d)
		}
	}
}

// TestDataIsLostWhileConnected checks that a watch notices that the server has lost its data, while the connection stays
// open and nothing is appended.
func TestDataIsLostWhileConnected(t *testing.T) {
	s := start(t)
	client := s.client(t, s.addr)
	store := open(t, client, "")
	if err := store.Append(t.Context(), []gatehouse.Denial{{Subject: "user_1", Until: time.Now().Add(time.Hour)}}); err != nil {
		t.Fatal(err)
	}
	_, position, err := store.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, lose := range []bool{false, true} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		calls := 0
		err := store.Watch(ctx, position, func([]gatehouse.Denial, string) {
			if calls++; calls == 1 && lose {
				client.FlushAll(ctx)
			} else if calls == 3 {
				cancel()
			}
		})
		cancel()
		if got := errors.Is(err, gatehouse.ErrPositionLost); got != lose {
			t.Errorf("Watch = %v after %d calls, want ErrPositionLost: %v", err, calls, lose)
		}
	}
}
