package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// The two eras of MCP: with sessions, and stateless.
const (
	sessionVersion = "2025-11-25"
	modernVersion  = "2026-07-28"
)

var versions = []string{sessionVersion, modernVersion}

const (
	callTimeout = 10 * time.Second
	maxAnswer   = 1 << 20
)

// client is an MCP client on one connection. It does as little as a tool call needs, so
// that it takes little processor time from the server.
type client struct {
	version string
	session string // of sessionVersion, once opened
	conn    net.Conn
	in      *bufio.Reader
	calls   int
}

// dial connects to address and, for sessionVersion, opens a session with raw.
func dial(address, version, raw string) (*client, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := &client{version: version, conn: conn, in: bufio.NewReader(conn)}
	if version == modernVersion {
		return c, nil
	}
	return c, c.initialize(raw)
}

func (c *client) initialize(raw string) error {
	const first = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"` + sessionVersion +
		`","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`
	status, header, body, err := c.post(raw, first)
	if err != nil {
		return err
	}
	if c.session = header.Get("Mcp-Session-Id"); status != http.StatusOK || c.session == "" {
		return fmt.Errorf("initialize answered %d: %.200s", status, body)
	}
	status, _, body, err = c.post(raw, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	if err == nil && status != http.StatusAccepted {
		err = fmt.Errorf("initialized answered %d: %.200s", status, body)
	}
	return err
}

// call calls whoami with raw and checks that the answer is want.
func (c *client) call(raw, want string) error {
	c.calls++
	meta := ""
	if c.version == modernVersion {
		meta = `,"_meta":{"io.modelcontextprotocol/protocolVersion":"` + modernVersion +
			`","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`
	}
	status, _, body, err := c.post(raw, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"whoami","arguments":{}%s}}`, c.calls, meta))
	if err != nil {
		return err
	}
	id, text := fmt.Sprintf(`"id":%d,`, c.calls), strings.ReplaceAll(want, `"`, `\"`)
	if status != http.StatusOK || !bytes.Contains(body, []byte(text)) || !bytes.Contains(append(body, ','), []byte(id)) {
		return fmt.Errorf("tools/call answered %d: %.400s\nwant %s and %s", status, body, id, text)
	}
	return nil
}

func (c *client) post(raw, body string) (status int, header http.Header, answer []byte, err error) {
	var b strings.Builder
	fmt.Fprintf(&b, "POST /mcp HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"+
		"Accept: application/json, text/event-stream\r\nContent-Length: %d\r\n", resourceHost, raw, len(body))
	switch {
	case c.version == modernVersion:
		b.WriteString("Mcp-Protocol-Version: " + modernVersion + "\r\nMcp-Method: tools/call\r\nMcp-Name: whoami\r\n")
	case c.session != "":
		b.WriteString("Mcp-Protocol-Version: " + sessionVersion + "\r\nMcp-Session-Id: " + c.session + "\r\n")
	}
	b.WriteString("\r\n" + body)
	c.conn.SetDeadline(time.Now().Add(callTimeout))
	if _, err = io.WriteString(c.conn, b.String()); err != nil {
		return 0, nil, nil, err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, resp.Header, answer, err
}

func (c *client) close() { c.conn.Close() }
