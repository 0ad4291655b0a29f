package main

import (
	"fmt"
	"slices"
	"sync"
)

const (
	connections = 8
	turnCalls   = 160 // of all connections together, in one turn of one server
)

// server is one of those that are measured.
type server struct {
	role, name string
	open       bool   // nobody signs in: whoami cannot tell whose token it was
	program    string // that has the role; empty means this one
}

// measured are the servers in the order of the table. The first is the base.
var measured = []server{
	{role: "go-sdk", name: "go-sdk, no gate", open: true},
	{role: "gate", name: "the same behind the guard"},
	{role: "serve", name: "serve as it ships"},
	{role: "serve, as-is", name: "serve, NoHeapFloor"},
	{role: "mcp-go+keyfunc", name: "mcp-go + golang-jwt + keyfunc"},
	{role: "go-sdk+keyfunc", name: "go-sdk + golang-jwt + keyfunc"},
}

// patchedServers are those of a program that was built with a changed go-sdk.
func patchedServers(program string) []server {
	return []server{
		{role: "go-sdk", name: "go-sdk patched, no gate", open: true, program: program},
		{role: "gate", name: "go-sdk patched, behind the guard", program: program},
		{role: "serve", name: "go-sdk patched, serve", program: program},
		{role: "serve, as-is", name: "go-sdk patched, NoHeapFloor", program: program},
	}
}

// limits say what the CPU of a call may be at most, of the base.
var limits = map[string]struct{ seen, fresh float64 }{
	"gate":  {1.03, 1.25},
	"serve": {0.75, 0.75},
}

// turn is one server with one kind of call: what is measured in a piece.
type turn struct {
	server
	version string
	fresh   bool // every call has a token of its own
	process *child
	clients []*client
	cpu     []float64 // ns for one call, of each round
}

// measureCalls measures the CPU time that the server's process takes for a call.
func measureCalls(i *issuer, t *table, rounds int, patched string) error {
	contenders := slices.Clone(measured)
	if patched != "" {
		contenders = append(contenders, patchedServers(patched)...)
	}
	known, err := i.mint("RS256", 0, connections)
	if err != nil {
		return err
	}
	servers := map[bool][]*child{}
	// New tokens go to processes of their own: what these come to remember changes
	// how often their collector runs.
	for _, fresh := range []bool{false, true} {
		for _, m := range contenders {
			c, err := startProgram(m.program, m.role, i)
			if err != nil {
				return err
			}
			defer c.stop()
			servers[fresh] = append(servers[fresh], c)
		}
	}
	turns := allTurns(contenders)
	for n, u := range turns {
		if err := u.connect(servers[u.fresh][n%len(contenders)], known[0]); err != nil {
			return fmt.Errorf("%s, %s: %w", u.name, u.version, err)
		}
		defer u.disconnect()
	}
	for round := range rounds + 1 { // the first warms up, and does not count
		if err := takeRound(i, turns, known, round); err != nil {
			return err
		}
	}
	for first := 0; first < len(turns); first += len(contenders) {
		addCalls(t, turns[first:first+len(contenders)])
	}
	for _, fresh := range []bool{false, true} {
		if err := addMemoryOfCalls(t, contenders, servers[fresh], kind(fresh)); err != nil {
			return err
		}
	}
	return nil
}

// allTurns has the servers with one kind of call next to each other.
func allTurns(contenders []server) []*turn {
	var turns []*turn
	for _, version := range versions {
		for _, fresh := range []bool{false, true} {
			for _, m := range contenders {
				turns = append(turns, &turn{server: m, version: version, fresh: fresh})
			}
		}
	}
	return turns
}

// takeRound takes every turn once. The new tokens of a round are the same for all
// servers and others for each version, which shares its server with the other.
func takeRound(i *issuer, turns []*turn, known []string, round int) error {
	first := map[string]int{}
	fresh := map[string][]string{}
	for k, version := range versions {
		var err error
		first[version] = connections + (round*len(versions)+k)*turnCalls
		if fresh[version], err = i.mint("RS256", first[version], turnCalls); err != nil {
			return err
		}
	}
	for _, u := range turns {
		tokens, number := known, 0
		if u.fresh {
			tokens, number = fresh[u.version], first[u.version]
		}
		cpu, err := u.take(tokens, number)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", u.name, u.version, err)
		}
		if round > 0 {
			u.cpu = append(u.cpu, cpu)
		}
	}
	return nil
}

func (u *turn) connect(server *child, raw string) error {
	u.process = server
	for range connections {
		c, err := dial(server.address, u.version, raw)
		if err != nil {
			return err
		}
		u.clients = append(u.clients, c)
	}
	return nil
}

func (u *turn) disconnect() {
	for _, c := range u.clients {
		c.close()
	}
}

// take makes turnCalls calls and returns the CPU time of one, in ns. first is the
// number of the first token.
func (u *turn) take(tokens []string, first int) (float64, error) {
	before, err := u.process.usage()
	if err != nil {
		return 0, err
	}
	faults := make([]error, len(u.clients))
	var work sync.WaitGroup
	for k, c := range u.clients {
		work.Go(func() {
			for n := k; n < turnCalls && faults[k] == nil; n += len(u.clients) {
				want := nobody(nil)
				if !u.open {
					want = described(userID, tokenID(first+n%len(tokens)))
				}
				faults[k] = c.call(tokens[n%len(tokens)], want)
			}
		})
	}
	work.Wait()
	for _, err := range faults {
		if err != nil {
			return 0, err
		}
	}
	after, err := u.process.usage()
	return float64(after.CPU-before.CPU) / turnCalls, err
}

func kind(fresh bool) string {
	if fresh {
		return "every token new"
	}
	return "seen tokens"
}

// addCalls adds the turns of all servers with one kind of call.
func addCalls(t *table, turns []*turn) {
	medians := make([]float64, len(turns))
	rival := 0.0
	for n, u := range turns {
		medians[n] = median(u.cpu)
		if u.role == "mcp-go+keyfunc" {
			rival = medians[n]
		}
	}
	for n, u := range turns {
		m := u.server
		r := row{
			what:   fmt.Sprintf("CPU of a tools/call, %s, %s", turns[0].version, kind(turns[0].fresh)),
			who:    m.name,
			figure: micros(medians[n]),
			ratio:  medians[n] / medians[0],
		}
		if limit, ok := limits[m.role]; ok && m.program == "" {
			r.limit = limit.seen
			if turns[0].fresh {
				r.limit = limit.fresh
			}
			r.goal = fmt.Sprintf("≤ %.2f", r.limit)
		}
		if m.role == "serve" && m.program == "" {
			r.goal += ", below mcp-go"
			if medians[n] >= rival {
				r.fault = "not below mcp-go"
			}
		}
		t.add(r)
	}
}

// addMemoryOfCalls adds the most memory that the servers ever held.
func addMemoryOfCalls(t *table, contenders []server, servers []*child, kind string) error {
	base := 0.0
	for n, m := range contenders {
		u, err := servers[n].usage()
		if err != nil {
			return err
		}
		if n == 0 {
			base = float64(u.Peak)
		}
		t.add(row{what: "most memory of the process, " + kind, who: m.name, figure: megabytes(float64(u.Peak)), ratio: float64(u.Peak) / base})
	}
	return nil
}
