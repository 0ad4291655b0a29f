//go:build stores && linux

package replicas

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// stepTime bounds one exchange.
const stepTime = 20 * time.Second

// revision is a revision of MCP, as a server with or without sessions speaks it.
type revision struct {
	name      string
	version   string
	stateless bool // the setting of the server
}

var revisions = []revision{
	{"2025-11-25, with sessions", "2025-11-25", false},
	{"2025-11-25, `Stateless`", "2025-11-25", true},
	{"2026-07-28", "2026-07-28", false},
}

// client is a client of MCP that sends what a test says, through the router.
type client struct {
	url      string
	revision revision
	token    string
	session  string
	http     *http.Client
	addr     net.IP // from which it connects
	moves    bool   // whether it connects from another address each time
}

var lastAddr atomic.Uint32

// newClient returns a client with an address of its own, and a token of the subject.
func (c *cluster) newClient(r revision, subject string, moves bool) *client {
	out := &client{url: c.resource(), revision: r, token: c.token(subject), moves: moves}
	out.move()
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: out.addr}}
		return dialer.DialContext(ctx, network, addr)
	}
	out.http = &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	return out
}

// move gives the client another loopback address.
func (c *client) move() {
	n := lastAddr.Add(0x010305) // differs in each part, because nginx may use the first ones only
	c.addr = net.IPv4(127, byte(1+n>>16%200), byte(n>>8), byte(1+n%250))
}

// send sends a message, or a request without one. method is that of the message.
func (c *client) send(ctx context.Context, httpMethod, method, name, body string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, httpMethod, c.url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if c.moves {
		c.move()
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if method != "initialize" {
		req.Header.Set("Mcp-Protocol-Version", c.revision.version)
	}
	if c.session != "" {
		req.Header.Set("Mcp-Session-Id", c.session)
	}
	if c.revision.version >= "2026-07-28" {
		req.Header.Set("Mcp-Method", method)
		if name != "" {
			req.Header.Set("Mcp-Name", name)
		}
	}
	return c.http.Do(req)
}

// message returns a request, or a notification if id is 0.
func (c *client) message(id int, method, params string) string {
	if c.revision.version >= "2026-07-28" {
		params = strings.TrimPrefix(params+`,"_meta":{"io.modelcontextprotocol/protocolVersion":"`+c.revision.version+
			`","io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/clientCapabilities":{"elicitation":{"form":{}}}`+
			`,"progressToken":1}`, ",")
	} else if method == "tools/call" {
		params += `,"_meta":{"progressToken":1}`
	}
	if id == 0 {
		return fmt.Sprintf(`{"jsonrpc":"2.0","method":%q,"params":{%s}}`, method, params)
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":{%s}}`, id, method, params)
}

// failure is the status of an answer, if it is not what is wanted, or what else is wrong.
type failure struct{ status, detail string }

func (f *failure) Error() string { return f.status + " " + f.detail }

func fail(resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
	return &failure{fmt.Sprint(resp.StatusCode), string(text)}
}

// text returns the whole answer to a request, whose status must be 2xx.
func (c *client) text(httpMethod, method, name, body string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), stepTime)
	defer cancel()
	resp, err := c.send(ctx, httpMethod, method, name, body)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return "", fail(resp)
	}
	if id := resp.Header.Get("Mcp-Session-Id"); method == "initialize" {
		c.session = id
	}
	text, err := io.ReadAll(resp.Body)
	if err == nil && strings.Contains(string(text), `"error":{`) {
		err = &failure{"error", string(text)}
	}
	return string(text), err
}

// open begins a session, or in revision 2026-07-28 asks what the server can do.
func (c *client) open() error {
	if c.revision.version >= "2026-07-28" {
		_, err := c.text(http.MethodPost, "server/discover", "", c.message(1, "server/discover", ""))
		return err
	}
	_, err := c.text(http.MethodPost, "initialize", "", c.message(1, "initialize",
		`"protocolVersion":"`+c.revision.version+`","capabilities":{"elicitation":{}},"clientInfo":{"name":"c","version":"1"}`))
	if err == nil {
		c.text(http.MethodPost, "notifications/initialized", "", c.message(0, "notifications/initialized", ""))
	}
	return err
}

// call calls a tool and returns the whole answer.
func (c *client) call(tool string) (string, error) {
	text, err := c.text(http.MethodPost, "tools/call", tool, c.message(2, "tools/call", callParams(tool)))
	if err == nil && strings.Contains(text, `"isError":true`) {
		err = &failure{"error", text}
	}
	return text, err
}

func callParams(tool string) string { return `"name":"` + tool + `","arguments":{}` }

// want returns an error unless text contains each of the parts.
func want(text string, err error, parts ...string) error {
	for _, part := range parts {
		if err == nil && !strings.Contains(text, part) {
			err = &failure{"error", fmt.Sprintf("the answer %q has no %q", text, part)}
		}
	}
	return err
}

// stream is an answer that is read while it arrives.
type stream struct {
	resp   *http.Response
	lines  chan string
	cancel context.CancelFunc
}

// stream sends a request and returns its answer, whose status must be 200, after the header.
func (c *client) stream(t testing.TB, httpMethod, method, name, body string) (*stream, error) {
	ctx, cancel := context.WithTimeout(context.Background(), giveUp)
	t.Cleanup(cancel)
	resp, err := c.send(ctx, httpMethod, method, name, body)
	if err != nil {
		cancel()
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer cancel()
		defer resp.Body.Close()
		return nil, fail(resp)
	}
	s := &stream{resp, make(chan string, 100), cancel}
	go func() {
		defer close(s.lines)
		defer resp.Body.Close()
		for scanner := bufio.NewScanner(resp.Body); scanner.Scan(); {
			select {
			case s.lines <- scanner.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return s, nil
}

// next returns the next line that contains text. ended is whether the stream has ended before.
func (s *stream) next(text string) (line string, ended bool, err error) {
	late := time.After(stepTime)
	for {
		select {
		case line, open := <-s.lines:
			if !open || strings.Contains(line, text) {
				return line, !open, nil
			}
		case <-late:
			return "", false, fmt.Errorf("the stream has neither %q nor an end after %s", text, stepTime)
		}
	}
}

// member returns the value at a path of members in the JSON of an event.
func member(line string, path ...string) string {
	var value any
	if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &value); err != nil {
		return ""
	}
	for _, name := range path {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	text, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(text)
}
