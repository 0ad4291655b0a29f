package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	streamEvents   = 20
	streamPause    = 20 * time.Millisecond
	streamRounds   = 5
	idleStreams    = 1000
	maxEventDelay  = 10 * time.Millisecond
	maxLeaveDelay  = 10 * time.Millisecond
	maxIdleMemory  = 15e6
	maxStreamBytes = 60e3
	maxBodyMemory  = 1 << 20
	bodySize       = 64 << 20
	maxStart       = 30 * time.Millisecond
)

// streamBackend sends events with the time of their sending, and reports when a request has ended.
type streamBackend struct {
	address string
	server  *http.Server
	ended   chan time.Time
}

func newStreamBackend() (*streamBackend, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &streamBackend{address: l.Addr().String(), ended: make(chan time.Time, idleStreams)}
	b.server = &http.Server{Handler: b}
	go b.server.Serve(l)
	return b, nil
}

// ServeHTTP sends events to a POST. Streams of GET stay idle.
func (b *streamBackend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	flush.Flush()
	for n := 0; r.Method == http.MethodPost && n < streamEvents; n++ {
		time.Sleep(streamPause)
		fmt.Fprintf(w, "data: %d\n\n", time.Now().UnixNano())
		flush.Flush()
	}
	<-r.Context().Done()
	b.ended <- time.Now()
}

// openStream sends a request and returns its answer, whose events are read from the connection.
func openStream(ctx context.Context, address, method, token string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+address+"/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}`))
	if err != nil {
		return nil, err
	}
	if method == http.MethodGet {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	r.Host = resourceHost
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Content-Type", "application/json")
	resp, err := streamClient.Do(r)
	if err == nil && resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("%s answered %s", method, resp.Status)
	}
	return resp, err
}

// streamClient opens a connection for each stream.
var streamClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// measureStreams measures how late events are, and how late the backend notices that a client has
// left.
func (b *gatewayBench) measureStreams(ctx context.Context, t *table) error {
	backend, err := newStreamBackend()
	if err != nil {
		return err
	}
	defer backend.server.Close()
	gateway, err := b.startGateway(gatewayName, backend.address)
	if err != nil {
		return err
	}
	defer gateway.stop()
	token, err := b.issuer.sign(b.issuer.draft("RS256", 0))
	if err != nil {
		return err
	}
	var delays, leaves []float64
	for range streamRounds {
		late, left, err := backend.oneStream(ctx, gateway.address, token)
		if err != nil {
			return err
		}
		delays, leaves = append(delays, late...), append(leaves, left)
	}
	t.add(delayRow("each event of a stream, late by", delays, maxEventDelay))
	t.add(delayRow("a client that leaves, noticed by the backend after", leaves, maxLeaveDelay))
	return nil
}

func delayRow(what string, delays []float64, limit time.Duration) row {
	typical := median(delays)
	longest := delays[len(delays)-1] // median has sorted them
	r := row{what: what, who: gatewayName, figure: fmt.Sprintf("%s, longest %s", micros(typical), micros(longest)), goal: fmt.Sprintf("≤ %v", limit)}
	if longest > float64(limit) {
		r.fault = "longest " + micros(longest)
	}
	return r
}

// oneStream returns how late each event of a stream was, and the end of it.
func (backend *streamBackend) oneStream(ctx context.Context, address, token string) (late []float64, left float64, err error) {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	resp, err := openStream(ctx, address, http.MethodPost, token)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); len(late) < streamEvents && lines.Scan(); {
		text, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		sent, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, 0, err
		}
		late = append(late, float64(time.Now().UnixNano()-sent))
	}
	if len(late) < streamEvents {
		return nil, 0, fmt.Errorf("got %d events, want %d", len(late), streamEvents)
	}
	began := time.Now()
	leave()
	return late, float64((<-backend.ended).Sub(began)), nil
}

// measureMemory measures the memory of an idle gateway, of idle streams, and of a large body.
func (b *gatewayBench) measureMemory(ctx context.Context, t *table) error {
	backend, err := newStreamBackend()
	if err != nil {
		return err
	}
	defer backend.server.Close()
	proxy, err := b.startProxy(backend.address)
	if err != nil {
		return err
	}
	defer proxy.stop()
	gateway, err := b.startGateway(gatewayName, backend.address)
	if err != nil {
		return err
	}
	defer gateway.stop()
	token, err := b.issuer.sign(b.issuer.draft("RS256", 0))
	if err != nil {
		return err
	}
	if err := b.measureIdle(ctx, t, gateway, token); err != nil {
		return err
	}
	if err := measureBody(t, gateway, token); err != nil {
		return err
	}
	var base float64
	for _, c := range []*contestant{proxy, gateway} {
		bytes, err := memoryOfStreams(ctx, c, token)
		if err != nil {
			return err
		}
		r := row{what: "memory of an idle stream", who: c.name, figure: fmt.Sprintf("%.1f KB", bytes/1e3), ratio: 1}
		if c == gateway {
			r.ratio, r.goal = bytes/base, "≤ 60 KB"
			if bytes > maxStreamBytes {
				r.fault = r.figure
			}
		}
		base = bytes
		t.add(r)
	}
	return nil
}

// measureIdle measures the memory after the first request.
func (b *gatewayBench) measureIdle(ctx context.Context, t *table, gateway *contestant, token string) error {
	streamCtx, leave := context.WithCancel(ctx)
	resp, err := openStream(streamCtx, gateway.address, http.MethodGet, token)
	if err != nil {
		leave()
		return err
	}
	leave()
	resp.Body.Close()
	idle, own, err := gateway.idle()
	if err != nil {
		return err
	}
	r := row{what: "memory, idle", who: gatewayName, figure: megabytes(float64(idle)), goal: "≤ 15 MB"}
	if float64(idle) > maxIdleMemory {
		r.fault = r.figure
	}
	t.add(r)
	t.add(row{what: "memory, idle", who: "of that, without the file of the program", figure: megabytes(float64(own))})
	return b.measureExample(t)
}

// measureExample measures the memory of examples/proxy, a gateway that is made of the library alone.
func (b *gatewayBench) measureExample(t *table) error {
	program := filepath.Join(b.folder, "example")
	if err := buildProgram("../examples/proxy", program); err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(address)
	b.environment = []string{"PORT=" + port, "MCP_USE_OAUTH_CLERK_FRONTEND_API_URL=" + b.issuer.url}
	defer func() { b.environment = nil }()
	example, err := b.start(exampleName, "localhost:"+port, program)
	if err != nil {
		return err
	}
	defer example.stop()
	resp, err := http.Get("http://localhost:" + port + "/mcp")
	if err != nil {
		return err
	}
	resp.Body.Close()
	idle, own, err := example.idle()
	if err != nil {
		return err
	}
	t.add(row{what: "memory, idle", who: exampleName, figure: fmt.Sprintf("%s, %s without the file", megabytes(float64(idle)), megabytes(float64(own)))})
	return nil
}

// measureBody measures what a body over the limit costs, whose length is not announced: it is read
// up to the limit. One whose length is announced is not read at all.
func measureBody(t *table, gateway *contestant, token string) error {
	before, err := gateway.resident()
	if err != nil {
		return err
	}
	conn, err := net.Dial("tcp", gateway.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n", resourceHost, token, bodySize)
	go io.Copy(conn, io.LimitReader(zeros{}, bodySize))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	resp.Body.Close()
	after, err := gateway.resident()
	if err != nil {
		return err
	}
	r := row{what: "memory for a body of 64 MB", who: gatewayName, figure: fmt.Sprintf("%+.1f MB, status %d", float64(after-before)/1e6, resp.StatusCode), goal: "≤ +1 MB, 413"}
	if after-before > maxBodyMemory || resp.StatusCode != http.StatusRequestEntityTooLarge {
		r.fault = r.figure
	}
	t.add(r)
	return nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// memoryOfStreams returns the memory of an idle stream in bytes.
func memoryOfStreams(ctx context.Context, c *contestant, token string) (float64, error) {
	before, err := c.resident()
	if err != nil {
		return 0, err
	}
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	for range idleStreams {
		resp, err := openStream(ctx, c.address, http.MethodGet, token)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
	}
	after, err := c.resident()
	return float64(after-before) / idleStreams, err
}

// gatewayStarts is how often the gateway is started.
const gatewayStarts = 15

// measureStart measures the time from the start of the process to the first successful answer.
func (b *gatewayBench) measureStart(_ context.Context, t *table) error {
	token, err := b.issuer.sign(b.issuer.draft("RS256", 0))
	if err != nil {
		return err
	}
	var times []float64
	for range gatewayStarts {
		began := time.Now()
		gateway, err := b.startGateway(gatewayName, b.backend.address)
		if err != nil {
			return err
		}
		clients, err := connectGateway(gateway.address, 1)
		if err == nil {
			err = clients[0].call(token, anonymous(nil))
			clients[0].close()
		}
		times = append(times, float64(time.Since(began)))
		gateway.stop()
		if err != nil {
			return err
		}
	}
	took := median(times)
	r := row{what: "start to first successful answer", who: gatewayName, figure: micros(took), goal: fmt.Sprintf("≤ %v", maxStart)}
	if took > float64(maxStart) {
		r.fault = r.figure
	}
	t.add(r)
	return nil
}
