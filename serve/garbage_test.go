package serve_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// TestGarbage sends invalid requests to a running server. Each is answered, none with
// 500, and the server still works afterwards.
func TestGarbage(t *testing.T) {
	server := start(t)
	token, err := server.clerk.IssueToken(localclerk.Token{User: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	nested := func(depth int) string {
		return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{"a":` +
			strings.Repeat("[", depth) + strings.Repeat("]", depth) + `}}}`
	}
	const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	modern := http.Header{"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {"whoami"}}
	tests := []struct {
		name   string
		body   string
		header http.Header
		want   []int
	}{
		{name: "empty", want: []int{400}},
		{name: "binary", body: "\x00\xff\xfe", want: []int{400}},
		{name: "half an object", body: `{"jsonrpc":`, want: []int{400}},
		{name: "null", body: `null`, want: []int{400}},
		{name: "a number", body: `1`, want: []int{400}},
		{name: "empty batch", body: `[]`, want: []int{400}},
		{name: "batch of nulls", body: `[null,null]`, want: []int{400}},
		{name: "a million elements", body: "[" + strings.Repeat("1,", 1<<20) + "1]", want: []int{413}},
		{name: "deep, with sessions", body: nested(1 << 20), want: []int{400, 404, 200}},
		{
			name:   "deep, stateless",
			body:   strings.Replace(nested(1<<20), `"params":{`, `"params":{`+meta+",", 1),
			header: modern,
			want:   []int{400, 200},
		},
		{
			name: "deep member names",
			body: strings.Repeat(`{"a":`, 1<<19) + "1" + strings.Repeat("}", 1<<19),
			want: []int{400},
		},
		{name: "over the limit", body: strings.Repeat(" ", 5<<20), want: []int{413}},
		{
			name: "huge id",
			body: `{"jsonrpc":"2.0","id":` + strings.Repeat("9", 1<<20) + `,"method":"ping"}`,
			want: []int{400, 200},
		},
		{
			name:   "unknown version",
			body:   `{}`,
			header: http.Header{"Mcp-Protocol-Version": {"1999-01-01"}},
			want:   []int{400},
		},
		{
			name:   "future version",
			body:   `{}`,
			header: http.Header{"Mcp-Protocol-Version": {"9999-01-01"}},
			want:   []int{400},
		},
		{
			name:   "unknown session",
			body:   `{"jsonrpc":"2.0","id":1,"method":"ping"}`,
			header: http.Header{"Mcp-Session-Id": {"unknown"}},
			want:   []int{404},
		},
		{name: "wrong content type", body: `{}`, header: http.Header{"Content-Type": {"text/plain"}}, want: []int{415}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			req, _ := http.NewRequest(http.MethodPost, server.URL(), strings.NewReader(test.body))
			req.Header = http.Header{
				"Authorization": {"Bearer " + token},
				"Content-Type":  {"application/json"},
				"Accept":        {"application/json, text/event-stream"},
			}
			for name, values := range test.header {
				req.Header[name] = values
			}
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(io.LimitReader(resp.Body, 2000))
			if !slices.Contains(test.want, resp.StatusCode) {
				t.Errorf("status %d, want one of %v: %.200s", resp.StatusCode, test.want, body)
			}
			if bytes.Contains(body, []byte("goroutine ")) {
				t.Errorf("the response contains a stack trace: %.200s", body)
			}
		})
	}
	waitFor(t, strings.TrimSuffix(server.URL(), "/mcp")+"/healthz")
}

// TestRawGarbage writes requests to the socket that net/http's client cannot send.
func TestRawGarbage(t *testing.T) {
	server := start(t)
	u, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, text string
		want       int // 0 means that the connection ends without an answer
	}{
		{
			"header of 1 MB",
			"POST /mcp HTTP/1.1\r\nHost: localhost:%s\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n",
			431,
		},
		{
			"token of 40 KB",
			"POST /mcp HTTP/1.1\r\nHost: localhost:%s\r\nAuthorization: Bearer " + strings.Repeat("x", 40<<10) + "\r\nContent-Length: 0\r\n\r\n",
			401,
		},
		{
			"two Authorization headers",
			"POST /mcp HTTP/1.1\r\nHost: localhost:%s\r\nAuthorization: Bearer a.b.c\r\nauthorization: Bearer a.b.c\r\nContent-Length: 0\r\n\r\n",
			400,
		},
		{"two Host headers", "POST /mcp HTTP/1.1\r\nHost: localhost:%s\r\nHost: evil\r\n\r\n", 400},
		{"no Host", "POST /mcp HTTP/1.1\r\n\r\n", 400},
		{"HTTP/1.0 without Host", "POST /mcp HTTP/1.0\r\n\r\n", 403},
		{"not HTTP", "\x16\x03\x01\x02\x00\x01\x00", 400},
		{"negative length", "POST /mcp HTTP/1.1\r\nHost: localhost:%s\r\nContent-Length: -1\r\n\r\n", 400},
		{
			"length and chunks",
			"POST /mcp HTTP/1.1\r\nHost: localhost:%s\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			401,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", "127.0.0.1:"+u.Port())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			text := test.text
			if strings.Contains(text, "%s") {
				text = fmt.Sprintf(text, u.Port())
			}
			go io.WriteString(conn, text+"\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != test.want {
				t.Errorf("status %d, want %d", resp.StatusCode, test.want)
			}
		})
	}
}
