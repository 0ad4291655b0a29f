package main

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// newLightClient returns a client that sends calls without a session.
func newLightClient(conn net.Conn) *client {
	return &client{version: gatewayVersion, conn: conn, in: bufio.NewReader(conn)}
}

// gatewayTurn is one contestant with one kind of token.
type gatewayTurn struct {
	*contestant
	what    string
	fresh   bool
	users   bool         // whether each new token is of another user
	base    *gatewayTurn // nil for the first
	limit   float64
	cpu     []float64 // ns of one call, of each round
	maximum float64   // of the latency that is added, as a ratio to that of base

	timed bool      // whether calls are made one at a time, too
	times []float64 // ns of each of these
}

// startContestants starts everything whose CPU is measured. nginx takes part if it is installed.
func (b *gatewayBench) startContestants() (turns []*gatewayTurn, direct *contestant, err error) {
	backend := b.backend.address
	direct = &contestant{name: "the MCP server itself", address: backend, stop: func() {}}
	var started []*contestant
	defer func() {
		if err != nil {
			for _, c := range started {
				c.stop()
			}
		}
	}()
	start := func(c *contestant, startErr error) *contestant {
		if startErr == nil {
			started = append(started, c)
		} else if err == nil {
			err = startErr
		}
		return c
	}
	const seen, fresh = "CPU for 1,000 tools/call, seen token", "CPU for 1,000 tools/call, new token each time"
	proxy := start(b.startProxy(backend))
	first := &gatewayTurn{contestant: proxy, what: seen, timed: true}
	plain := &gatewayTurn{contestant: start(b.startGateway(gatewayName, backend)), what: seen, base: first, limit: 1.10, maximum: 1.05, timed: true}
	rules := &gatewayTurn{contestant: start(b.startGateway(rulesName, backend,
		"requirements:", "  - {tool: whoami, scopes: [profile]}", "  - {tool: other, scopes: [other]}", "show_locked: true")), what: seen, base: plain, limit: 1.15}
	turns = []*gatewayTurn{first, plain, rules}
	if c, nginxErr := b.startNginx(backend); nginxErr == nil {
		turns = append(turns, &gatewayTurn{contestant: start(c, nil), what: seen, base: first, limit: 1.05})
	} else {
		fmt.Fprintln(os.Stderr, "bench: nginx does not take part:", nginxErr)
	}
	// New tokens go to a process of their own: the tokens that it keeps change how often its
	// collector runs.
	freshFirst := &gatewayTurn{contestant: start(b.startProxy(backend)), what: fresh, fresh: true, timed: true}
	turns = append(turns, freshFirst,
		&gatewayTurn{contestant: start(b.startGateway(gatewayName, backend)), what: fresh, fresh: true, base: freshFirst, limit: 1.70, maximum: 1.30, timed: true},
		&gatewayTurn{contestant: start(b.startGateway(usersName, backend)), what: fresh, fresh: true, users: true, base: freshFirst},
		&gatewayTurn{contestant: start(b.startGateway(unsignedName, backend, `headers: {assertion: ""}`)), what: fresh, fresh: true, base: freshFirst})
	return turns, direct, err
}

// startNginx starts nginx with the configuration of examples/forwardauth, and Gatehouse for it.
func (b *gatewayBench) startNginx(backend string) (*contestant, error) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		return nil, err
	}
	gatehouse, err := freeAddress()
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile("../examples/forwardauth/nginx.conf")
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(address)
	configured := strings.NewReplacer("127.0.0.1:3000", gatehouse, "127.0.0.1:8000", backend, "listen 8080", "access_log off; listen "+port,
		"worker_processes auto", "worker_processes 1").Replace(string(text))
	file := filepath.Join(b.folder, "nginx.conf")
	if err := os.WriteFile(file, []byte(configured), 0o644); err != nil {
		return nil, err
	}
	auth, err := b.start("forward auth", gatehouse, b.program, "gateway", "--forward-auth", "nginx", "--provider", "oidc", "--issuer", b.issuer.url,
		"--url", resource, "--listen", gatehouse)
	if err != nil {
		return nil, err
	}
	nginx, err := b.start(nginxName, address, program, "-e", "stderr", "-p", b.folder, "-c", file,
		"-g", "daemon off; master_process off; pid "+filepath.Join(b.folder, "nginx.pid")+";")
	if err != nil {
		auth.stop()
		return nil, err
	}
	return &contestant{nginxName, address, append(nginx.processes, auth.processes...), func() {
		nginx.stop()
		auth.stop()
	}, nginx.log}, nil
}

// roundTokens are the tokens of one round.
type roundTokens struct{ known, fresh, users []string }

// of returns the tokens for u.
func (t *roundTokens) of(u *gatewayTurn) []string {
	switch {
	case u.users:
		return t.users
	case u.fresh:
		return t.fresh
	}
	return t.known
}

// measureCPU measures the CPU time for a call, and the latency that is added to it. All contestants
// take turns.
func (b *gatewayBench) measureCPU(ctx context.Context, t *table, rounds int) error {
	turns, direct, err := b.startContestants()
	if err != nil {
		return err
	}
	defer func() {
		for _, u := range turns {
			u.stop()
		}
	}()
	timed := []*gatewayTurn{{contestant: direct, what: "the MCP server itself"}}
	for _, u := range turns {
		if u.timed {
			timed = append(timed, u)
		}
	}
	var tokens roundTokens
	if tokens.known, err = b.issuer.mint("RS256", 0, gatewayConnections); err != nil {
		return err
	}
	number := gatewayConnections
	for round := range rounds + 1 { // the first is a warm-up and does not count
		if tokens.fresh, err = b.issuer.mint("RS256", number, gatewayTurnCalls+latencyBatches*latencyBatch); err != nil {
			return err
		}
		if tokens.users, err = b.issuer.mintUsers("RS256", number, gatewayTurnCalls); err != nil {
			return err
		}
		number += len(tokens.fresh)
		// In another order each time, so that what goes before slows all of them alike.
		for _, k := range rand.Perm(len(turns)) {
			u := turns[k]
			if err := u.take(tokens.of(u), round > 0); err != nil {
				u.stop() // so that its log is complete
				return fmt.Errorf("%s, %s: %w\n%s", u.name, u.what, err, u.log)
			}
		}
		if err := takeLatency(timed, &tokens, round > 0); err != nil {
			return err
		}
	}
	addGatewayCPU(t, turns)
	addGatewayLatency(t, turns, timed[0])
	return nil
}

// The calls that are made one at a time, in each round.
const (
	latencyBatches = 8
	latencyBatch   = 25
)

// takeLatency makes calls one at a time. The contestants take turns after a few calls, in another
// order each time, so that other load on the machine slows all of them alike. The first call of a
// turn does not count.
func takeLatency(timed []*gatewayTurn, tokens *roundTokens, counts bool) error {
	var clients []*client
	for _, u := range timed {
		connected, err := connectGateway(u.address, 1)
		if err != nil {
			return err
		}
		defer connected[0].close()
		clients = append(clients, connected[0])
	}
	fresh := tokens.fresh[gatewayTurnCalls:]
	for batch := range latencyBatches {
		for _, k := range rand.Perm(len(timed)) {
			u, batchTokens := timed[k], tokens.known[:1]
			if u.fresh {
				batchTokens = fresh[batch*latencyBatch:][:latencyBatch]
			}
			times, err := oneAtATime(clients[k], tokens.known[0], batchTokens)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", u.name, u.what, err)
			}
			if counts {
				u.times = append(u.times, times...)
			}
		}
	}
	return nil
}

// oneAtATime returns the times of calls, one at a time, after one with first.
func oneAtATime(c *client, first string, tokens []string) ([]float64, error) {
	if err := c.call(first, anonymous(nil)); err != nil {
		return nil, err
	}
	var times []float64
	for n := range latencyBatch {
		began := time.Now()
		if err := c.call(tokens[n%len(tokens)], anonymous(nil)); err != nil {
			return nil, err
		}
		times = append(times, float64(time.Since(began)))
	}
	return times, nil
}

// take makes the calls of one round.
func (u *gatewayTurn) take(tokens []string, counts bool) error {
	clients, err := connectGateway(u.address, gatewayConnections) // servers close connections that are idle or old
	if err != nil {
		return err
	}
	defer func() {
		for _, c := range clients {
			c.close()
		}
	}()
	before, err := u.contestant.cpu()
	if err != nil {
		return err
	}
	if err := callAll(clients, tokens, gatewayTurnCalls); err != nil {
		return err
	}
	after, err := u.contestant.cpu()
	if err != nil || !counts {
		return err
	}
	u.cpu = append(u.cpu, float64(after-before)/gatewayTurnCalls)
	return nil
}

// ratios returns the ratio of each round.
func ratios(values, base []float64) []float64 {
	out := slices.Clone(values)
	for n := range out {
		out[n] /= base[n]
	}
	return out
}

func addGatewayCPU(t *table, turns []*gatewayTurn) {
	for _, u := range turns {
		r := row{what: u.what, who: u.name, figure: perThousand(median(slices.Clone(u.cpu))), ratio: 1}
		if u.base != nil {
			r.ratio, r.limit = median(ratios(u.cpu, u.base.cpu)), u.limit
			if u.limit > 0 {
				r.goal = fmt.Sprintf("≤ %.2f", u.limit)
			}
			if u.base.base != nil {
				r.base = u.base.name
			}
		}
		t.add(r)
		if u.base == nil || u.fresh || u.base.base != nil || u.name != gatewayName {
			continue
		}
		for _, other := range publishedRatios {
			t.add(row{what: u.what, who: other.name + ", by its published ratio", figure: fmt.Sprintf("%.2f of the proxy", other.ratio),
				ratio: r.ratio / other.ratio, base: "it, for the gateway", limit: other.limit, goal: fmt.Sprintf("≤ %.2f", other.limit)})
		}
	}
}

// addGatewayLatency adds the latency that each contestant adds to that of the backend.
func addGatewayLatency(t *table, turns []*gatewayTurn, direct *gatewayTurn) {
	what := map[bool]string{false: "added latency, one call at a time, p50, seen token", true: "the same, new token each time"}
	added := func(u *gatewayTurn) float64 {
		return median(slices.Clone(u.times)) - median(slices.Clone(direct.times))
	}
	for _, fresh := range []bool{false, true} {
		for _, u := range turns {
			if u.fresh != fresh || !u.timed {
				continue
			}
			r := row{what: what[fresh], who: u.name, figure: micros(added(u)), ratio: 1}
			if u.base != nil {
				r.ratio, r.limit, r.goal = added(u)/added(u.base), u.maximum, fmt.Sprintf("≤ %.2f", u.maximum)
			}
			t.add(r)
		}
	}
}
