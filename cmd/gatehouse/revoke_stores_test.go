//go:build stores

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/gatehouse-mcp/gatehouse/internal/teststore"
)

// engineOfTest is an engine with a password, as the file of a gateway names it.
type engineOfTest struct {
	urlFile string // for the member
	member  string // redis_url_file or postgres_url_file
	flag    string // of "gatehouse revoke"
	name    string // a regular expression of how it is logged
	fail    func() // kills the primary server, if another one takes its place; otherwise nil
}

// urlFileOfTest writes a URL into a file.
func urlFileOfTest(t *testing.T, url string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(path, []byte(url+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// startRedis starts an empty redis-server with the password hunter2 and further settings.
func startRedis(t *testing.T, settings ...string) (p *teststore.Process, addr string) {
	t.Helper()
	addr, port := teststore.FreeAddr(t)
	folder := t.TempDir()
	p = teststore.NewProcess(t, addr, folder, nil, teststore.RedisServer(t), append([]string{"--bind", "127.0.0.1", "--port", port, "--dir", folder,
		"--appendonly", "no", "--save", "", "--requirepass", "hunter2", "--masterauth", "hunter2"}, settings...)...)
	p.Start(t)
	return p, addr
}

func redisOfTest(t *testing.T) *engineOfTest {
	_, addr := startRedis(t)
	return &engineOfTest{urlFile: urlFileOfTest(t, "redis://:hunter2@"+addr+"/0"), member: "redis_url_file", flag: "--redis-url-file", name: `Redis at 127\.0\.0\.1`}
}

// sentinelOfTest starts a primary server, a replica and a Sentinel. The URL has the password of Redis as a parameter:
// the part before the host is for the Sentinel.
func sentinelOfTest(t *testing.T) *engineOfTest {
	primary, primaryAddr := startRedis(t)
	_, primaryPort, _ := net.SplitHostPort(primaryAddr)
	startRedis(t, "--replicaof", "127.0.0.1 "+primaryPort)
	addr, port := teststore.FreeAddr(t)
	folder := t.TempDir()
	config := filepath.Join(folder, "sentinel.conf")
	text := fmt.Sprintf("bind 127.0.0.1\nport %s\ndir %s\nsentinel monitor main 127.0.0.1 %s 1\nsentinel auth-pass main hunter2\n"+
		"sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 10000\n", port, folder, primaryPort)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	teststore.NewProcess(t, addr, folder, nil, teststore.RedisServer(t), config, "--sentinel").Start(t)
	admin := goredis.NewSentinelClient(&goredis.Options{Addr: addr})
	defer admin.Close()
	awaitOfTest(t, "the Sentinel knows the replica", func() bool {
		replicas, err := admin.Replicas(t.Context(), "main").Result()
		return err == nil && len(replicas) == 1 && replicas[0]["master-link-status"] == "ok"
	})
	return &engineOfTest{urlFile: urlFileOfTest(t, "redis://"+addr+"/0?master_name=main&password=hunter2"), member: "redis_url_file",
		flag: "--redis-url-file", name: `Redis at 127\.0\.0\.1`, fail: func() { primary.Kill(t) }}
}

// clusterOfTest starts a cluster of three servers.
func clusterOfTest(t *testing.T) *engineOfTest {
	var nodes []string
	for i := range 3 {
		_, busPort := teststore.FreeAddr(t)
		_, addr := startRedis(t, "--cluster-enabled", "yes", "--cluster-port", busPort)
		node := goredis.NewClient(&goredis.Options{Addr: addr, Password: "hunter2"})
		defer node.Close()
		if err := node.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", i*5461, min((i+1)*5461-1+i/2, 16383)).Err(); err != nil {
			t.Fatal(err)
		}
		if nodes = append(nodes, addr); i > 0 {
			host, port, _ := net.SplitHostPort(nodes[0])
			if err := node.Do(t.Context(), "CLUSTER", "MEET", host, port, busPortOf(t, nodes[0])).Err(); err != nil {
				t.Fatal(err)
			}
		}
		awaitCluster(t, node, i+1)
	}
	return &engineOfTest{urlFile: urlFileOfTest(t, "redis://:hunter2@"+nodes[0]+"?addr="+nodes[1]+"&addr="+nodes[2]), member: "redis_url_file",
		flag: "--redis-url-file", name: `Redis at 127\.0\.0\.1`}
}

// busPortOf returns the port at which the server at addr talks to the others.
func busPortOf(t *testing.T, addr string) string {
	t.Helper()
	node := goredis.NewClient(&goredis.Options{Addr: addr, Password: "hunter2"})
	defer node.Close()
	return node.ConfigGet(t.Context(), "cluster-port").Val()["cluster-port"]
}

// awaitCluster waits until the node knows n nodes, and that all slots have a server if there are three.
func awaitCluster(t *testing.T, node *goredis.Client, n int) {
	t.Helper()
	awaitOfTest(t, "the cluster is formed", func() bool {
		info := node.ClusterInfo(t.Context()).Val()
		return strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r\n", n)) && (n < 3 || strings.Contains(info, "cluster_state:ok"))
	})
}

// postgresOfTest starts an empty PostgreSQL, whose tables "gatehouse revoke" creates.
func postgresOfTest(t *testing.T) *engineOfTest {
	bin := filepath.Dir(teststore.Initdb(t))
	addr, port := teststore.FreeAddr(t)
	folder, as := teststore.Folder(t, "postgres")
	data := filepath.Join(folder, "data")
	teststore.Run(t, folder, as, filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "--no-sync")
	teststore.NewProcess(t, addr, folder, as, filepath.Join(bin, "postgres"),
		"-D", data, "-c", "listen_addresses=127.0.0.1", "-p", port, "-c", "unix_socket_directories="+folder).Start(t)
	urlFile := urlFileOfTest(t, "postgres://postgres:hunter2@"+addr+"/postgres?sslmode=disable")
	awaitOfTest(t, "the tables are created", func() bool { return revokeCode(t, "--postgres-url-file", urlFile, "--create-tables") == exitOK })
	return &engineOfTest{urlFile: urlFile, member: "postgres_url_file", flag: "--postgres-url-file", name: `PostgreSQL at 127\.0\.0\.1`}
}

// revokeCode runs "gatehouse revoke" and returns its status.
func revokeCode(t *testing.T, args ...string) int {
	t.Helper()
	var out strings.Builder
	con := &console{stdout: &out, stderr: &out, getenv: func(string) string { return "" }}
	return run(t.Context(), con, append([]string{"revoke"}, args...))
}

func awaitOfTest(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waiting until %s: it takes more than two minutes", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// A user who is revoked on the command line is shut out of two gateways that share an engine, and others are not.
func TestRevokeShutsAUserOut(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *engineOfTest{
		"Redis": redisOfTest, "Sentinel": sentinelOfTest, "Cluster": clusterOfTest, "PostgreSQL": postgresOfTest,
	} {
		t.Run(name, func(t *testing.T) { testShutOut(t, start(t)) })
	}
}

func testShutOut(t *testing.T, e *engineOfTest) {
	f := newFixture(t)
	var urls, files []string
	for range 2 {
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "gateway.yaml")
		text := fmt.Sprintf("listen: localhost:%s\noperator: {listen: \"localhost:0\"}\nrevocations: {%s: %q}\n"+
			"provider: {name: clerk, frontend_api_url: %q}\nendpoints: [{url: \"http://localhost:%s/mcp\", upstream: %q}]\n",
			port, e.member, e.urlFile, f.clerkURL, port, newOpenServer(t))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		g := startGatewayFile(t, file, "sharing revocations through "+e.name+":")
		if strings.Contains(g.stderr.String(), "hunter2") {
			t.Errorf("the log has the password:\n%s", g.stderr.String())
		}
		urls, files = append(urls, "http://localhost:"+port+"/mcp"), append(files, file)
	}
	subjectOf := func(user string) (subject string) {
		for _, url := range urls {
			got := f.call(t, url, "whoami", "--user", user)
			got.want(t, exitOK)
			subject = regexp.MustCompile(`user_\w+`).FindString(got.stdout)
		}
		return subject
	}
	ada, grace := subjectOf("ada"), subjectOf("grace")
	out := runRevoke(t, exitOK, "--config", files[0], "--subject", ada, "--for", "1h")
	if want := "revoked: subject=" + ada + " issuer=" + f.clerkURL + " until="; !strings.HasPrefix(out, want) {
		t.Errorf("got %q, want %q", out, want)
	}
	for _, url := range urls {
		f.awaitRejected(t, url, "ada")
		f.call(t, url, "whoami", "--user", "grace").want(t, exitOK)
	}
	if out := runRevoke(t, exitOK, e.flag, e.urlFile, "--list"); !strings.Contains(out, "subject="+ada+" ") {
		t.Errorf("got the list %q, want the user", out)
	}
	if e.member == "redis_url_file" {
		if out := runRevoke(t, exitFailure, e.flag, e.urlFile, "--create-tables"); !strings.Contains(out, "needs no tables") {
			t.Errorf("got %q, want that Redis needs no tables", out)
		}
	}
	if e.fail == nil {
		return
	}
	e.fail()
	awaitOfTest(t, "a revocation is taken after the failover", func() bool { return revokeCode(t, "--config", files[1], "--subject", grace) == exitOK })
	for _, url := range urls {
		f.awaitRejected(t, url, "grace")
		f.awaitRejected(t, url, "ada")
	}
}
