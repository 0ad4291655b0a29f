package main

import (
	"bufio"
	"context"
	"fmt"
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
	base    *gatewayTurn // nil for the first
	limit   float64
	cpu     []float64 // ns of one call, of each round
	latency []float64 // ns of a call, one at a time
	maximum float64   // of the latency that is added, as a ratio to that of base
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
	first := &gatewayTurn{contestant: proxy, what: seen}
	plain := &gatewayTurn{contestant: start(b.startGateway(gatewayName, backend)), what: seen, base: first, limit: 1.10, maximum: 1.05}
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
	freshFirst := &gatewayTurn{contestant: start(b.startProxy(backend)), what: fresh, fresh: true}
	turns = append(turns, freshFirst,
		&gatewayTurn{contestant: start(b.startGateway(gatewayName, backend)), what: fresh, fresh: true, base: freshFirst, limit: 1.70, maximum: 1.30},
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
	known, err := b.issuer.mint("RS256", 0, gatewayConnections)
	if err != nil {
		return err
	}
	var baseline []float64
	number := gatewayConnections
	for round := range rounds + 1 { // the first is a warm-up and does not count
		fresh, err := b.issuer.mint("RS256", number, gatewayTurnCalls+latencyCalls)
		if err != nil {
			return err
		}
		number += len(fresh)
		straight, err := connectGateway(direct.address, 1)
		if err != nil {
			return err
		}
		times, err := oneAtATime(straight[0], known[:1])
		straight[0].close()
		if err != nil {
			return err
		}
		if round > 0 {
			baseline = append(baseline, times)
		}
		for _, u := range turns {
			if err := u.take(known, fresh, round > 0); err != nil {
				u.stop() // so that its log is complete
				return fmt.Errorf("%s, %s: %w\n%s", u.name, u.what, err, u.log)
			}
		}
	}
	addGatewayCPU(t, turns)
	addGatewayLatency(t, turns, baseline)
	return nil
}

// latencyCalls is how many calls one turn makes one at a time.
const latencyCalls = 100

// oneAtATime returns the median time of calls, one at a time.
func oneAtATime(c *client, tokens []string) (float64, error) {
	var times []float64
	for n := range latencyCalls {
		began := time.Now()
		if err := c.call(tokens[n%len(tokens)], anonymous(nil)); err != nil {
			return 0, err
		}
		times = append(times, float64(time.Since(began)))
	}
	return median(times), nil
}

// take makes the calls of one round.
func (u *gatewayTurn) take(known, fresh []string, counts bool) error {
	tokens, single := known, known[:1]
	if u.fresh {
		tokens, single = fresh[:gatewayTurnCalls], fresh[gatewayTurnCalls:]
	}
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
	if err != nil {
		return err
	}
	times, err := oneAtATime(clients[0], single)
	if err != nil || !counts {
		return err
	}
	u.cpu = append(u.cpu, float64(after-before)/gatewayTurnCalls)
	u.latency = append(u.latency, times)
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
func addGatewayLatency(t *table, turns []*gatewayTurn, baseline []float64) {
	what := map[bool]string{false: "added latency, one call at a time, p50, seen token", true: "the same, new token each time"}
	direct := median(slices.Clone(baseline))
	added := func(u *gatewayTurn) float64 { return median(slices.Clone(u.latency)) - direct }
	for _, fresh := range []bool{false, true} {
		for _, u := range turns {
			if u.fresh != fresh || u.base != nil && u.maximum == 0 { // it has no limit
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
