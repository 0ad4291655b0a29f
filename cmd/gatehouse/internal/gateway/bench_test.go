package gateway_test

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/forwarded"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

// BenchmarkCall measures one call over a connection that stays open. Client and backend allocate
// nothing, so the allocations are those of the gateway: they do not depend on the load of the
// machine, which the times do. The proxy without sign-in is what the gateway is made of.
func BenchmarkCall(b *testing.B) {
	const answerText = `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"ada"}]}}`
	target := serveRaw(b, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(answerText), answerText))
	b.Run("proxy", func(b *testing.B) {
		proxy := &httputil.ReverseProxy{
			Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		}
		server := httptest.NewServer(proxy)
		defer server.Close()
		repeatCall(b, server.Listener.Addr().String(), "token")
	})
	b.Run("gateway", func(b *testing.B) {
		server := httptest.NewUnstartedServer(nil)
		defer server.Close()
		issuer := testissuer.Start(b)
		resource := "http://" + server.Listener.Addr().String() + "/mcp"
		g, err := gateway.New(gateway.Config{
			Endpoints: []gateway.Endpoint{{
				Guard:     gatehouse.Config{Resource: resource, Provider: gatehouse.OIDC(issuer.URL())},
				Upstreams: []gateway.Upstream{{URL: target}},
				Headers:   forwarded.DefaultHeaders(),
			}},
			Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			b.Fatal(err)
		}
		defer g.Close()
		server.Config.Handler = g
		server.Start()
		repeatCall(b, server.Listener.Addr().String(), issuer.Token(resource))
	})
}

// serveRaw starts a backend that answers every request with text.
func serveRaw(b *testing.B, text string) *url.URL {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	answer := []byte(text)
	go func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			go func() {
				defer conn.Close()
				for in := bufio.NewReader(conn); readMessage(in) == nil; {
					conn.Write(answer)
				}
			}()
		}
	}()
	return &url.URL{Scheme: "http", Host: l.Addr().String(), Path: "/mcp"}
}

// readMessage reads a request or an answer with a length, without allocations.
func readMessage(in *bufio.Reader) error {
	length := 0
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			_, err := in.Discard(length)
			return err
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
}

// repeatCall calls a tool again and again.
func repeatCall(b *testing.B, address, token string) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	request := fmt.Appendf(nil, "POST /mcp HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"+
		"Accept: application/json, text/event-stream\r\nContent-Length: %d\r\n\r\n%s", address, token, len(call), call)
	in := bufio.NewReader(conn)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		if status, err := in.Peek(len("HTTP/1.1 200")); err != nil || string(status) != "HTTP/1.1 200" {
			b.Fatalf("got %q, %v; want status 200", status, err)
		}
		if err := readMessage(in); err != nil {
			b.Fatal(err)
		}
	}
}
