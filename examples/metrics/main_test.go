package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// example is the running example.
type example struct {
	clerk    *gatehousetest.ClerkServer
	url      string // of the MCP endpoint
	operator string // address of the operator port
	stop     func() // and waits
}

// start runs the example.
func start(t *testing.T, change func(*serve.Config)) *example {
	t.Helper()
	e := &example{clerk: gatehousetest.Clerk(t)}
	public, operator := freePort(t), freePort(t)
	e.url, e.operator = "http://localhost:"+strconv.Itoa(public)+"/mcp", "127.0.0.1:"+strconv.Itoa(operator)
	cfg := serve.Config{
		Provider: e.clerk.Provider(), Host: "localhost", Port: public, Operator: serve.Operator{Addr: e.operator},
		Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx, cfg) }()
	e.stop = func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("run = %v", err)
		}
		done <- nil
	}
	t.Cleanup(e.stop)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("tcp", e.operator); err == nil {
			conn.Close()
			return e
		}
		if time.Now().After(deadline) {
			t.Fatal("the operator port did not open")
		}
	}
}

// freePort returns a port that no one listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// get returns the body of a page.
func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: status %d, %v: %s", url, resp.StatusCode, err, text)
	}
	return string(text)
}

func TestMetricsOnTheOperatorPort(t *testing.T) {
	e := start(t, nil)
	session := e.clerk.Connect(t, e.url, gatehousetest.Person{})
	if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "hello"}); err != nil {
		t.Fatal(err)
	}
	session.Close()
	text := get(t, "http://"+e.operator+"/metrics")
	for _, want := range []string{
		`gatehouse_keys{issuer="` + e.clerk.Issuer() + `",resource="` + e.url + `"} 1`,
		`mcp_method_name="tools/call"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}
