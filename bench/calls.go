package main

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

const (
	connections = 8
	turnCalls   = 160 // of all connections together, in one turn of one server
)

// server is one of the servers that are measured.
type server struct {
	role, name  string
	open        bool     // it has no sign-in, so whoami cannot know whose token it was
	environment []string // of its process, as NAME=value
	program     string   // the program that has the role; empty means this one

	base string // name of the server that its ratios refer to; empty means the first
	// What the CPU of a call may be at most, as a ratio to that of base: for a token
	// that was seen before, and for one that is new. Zero means that there is no limit.
	seenLimit, newLimit float64
}

const (
	openName   = "go-sdk, no guard"
	guardName  = "the same behind the guard"
	mcpgoName  = "mcp-go + golang-jwt + keyfunc"
	tunedName  = "go-sdk, no guard, GOGC=400"
	serveLimit = 1.20
)

// tuned are the collector settings that docs/performance.md recommends.
var tuned = []string{"GOGC=400"}

// measured are the servers in the order of the table. The first is the base.
var measured = []server{
	{role: "go-sdk", name: openName, open: true},
	{role: "guard", name: guardName, seenLimit: 1.15, newLimit: 1.35},
	{role: "guard+require", name: "the same with a requirement", base: guardName, seenLimit: 1.05},
	{role: "guard+audit", name: "the same with an audit", base: guardName},
	{role: "guard+metrics", name: "the same with metrics", base: guardName, seenLimit: 1.05},
	{role: "guard+sampled", name: "the same with metrics and traces of OpenTelemetry, one in ten", base: guardName},
	{role: "guard+traces", name: "the same with metrics and traces of OpenTelemetry", base: guardName, seenLimit: 1.05},
	{role: "go-sdk+traces", name: "go-sdk, no guard, with otelhttp", open: true, base: openName},
	{role: "serve", name: "serve", seenLimit: serveLimit},
	{role: "go-sdk+keyfunc", name: "go-sdk + golang-jwt + keyfunc"},
	{role: "go-sdk", name: tunedName, open: true, environment: tuned},
	{role: "serve", name: "serve, GOGC=400", environment: tuned, base: tunedName, seenLimit: serveLimit},
	{role: "mcp-go+keyfunc", name: mcpgoName},
	{role: "mcp-go", name: "mcp-go, no guard", open: true, base: mcpgoName},
	{role: "mcp-go+guard", name: "mcp-go behind the guard", base: mcpgoName, seenLimit: 0.60, newLimit: 1.15},
}

// patchedServers are those of a program that was built with a changed go-sdk.
func patchedServers(program string) []server {
	return []server{
		{role: "go-sdk", name: "go-sdk patched, no guard", open: true, program: program},
		{role: "guard", name: "go-sdk patched, behind the guard", program: program},
		{role: "serve", name: "go-sdk patched, serve", program: program},
	}
}

// baseOf returns the index of the server that the ratios of contenders[n] refer to.
func baseOf(contenders []server, n int) int {
	if contenders[n].base == "" {
		return 0
	}
	return slices.IndexFunc(contenders, func(s server) bool { return s.name == contenders[n].base })
}

// turn is one server with one kind of call: the unit that is measured.
type turn struct {
	server
	version string
	fresh   bool // every call has a token of its own
	process *child
	clients []*client
	cpu     []float64 // ns for one call, of each round
}

// callSettings are the settings of the section calls.
type callSettings struct {
	rounds   int
	roles    string // comma-separated; empty means all
	patched  string // path of another build of this program; empty means none
	profiles string // directory; empty means no profiles
}

// contenders returns the servers that take part.
func (s callSettings) contenders() ([]server, error) {
	out := slices.Clone(measured)
	if s.patched != "" {
		out = append(out, patchedServers(s.patched)...)
	}
	if s.roles == "" {
		return out, nil
	}
	roles := strings.Split(s.roles, ",")
	out = slices.DeleteFunc(out, func(m server) bool { return !slices.Contains(roles, m.role) })
	for n, m := range out {
		if baseOf(out, n) < 0 {
			return nil, fmt.Errorf("server %q needs its base %q", m.role, m.base)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no server %q; see the roles in servers.go", s.roles)
	}
	return out, nil
}

// withProfile returns m with the path of its profiles, if there are any.
func (s callSettings) withProfile(m server, kind string) (server, error) {
	if s.profiles == "" {
		return m, nil
	}
	name := strings.NewReplacer(" ", "_", ",", "").Replace(m.name + " " + kind)
	path, err := filepath.Abs(filepath.Join(s.profiles, name)) // the child works in another directory
	m.environment = append(slices.Clone(m.environment), profileVariable+"="+path)
	return m, err
}

// measureCalls measures the CPU time that the server's process takes for a call.
func measureCalls(i *issuer, t *table, settings callSettings) error {
	contenders, err := settings.contenders()
	if err != nil {
		return err
	}
	known, err := i.mint("RS256", 0, connections)
	if err != nil {
		return err
	}
	servers := map[bool][]*child{}
	// New tokens go to processes of their own: the tokens that these keep change how
	// often their collector runs.
	for _, fresh := range []bool{false, true} {
		for _, m := range contenders {
			if m, err = settings.withProfile(m, kind(fresh)); err != nil {
				return err
			}
			c, err := startChild(m, i)
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
	for round := range settings.rounds + 1 { // the first is a warm-up and does not count
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

// allTurns returns the turns, those with one kind of call next to each other.
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

// takeRound takes every turn once, in another order in each round. The new tokens of a round are the same for all
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
	for _, n := range rand.Perm(len(turns)) {
		u := turns[n]
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
				want := anonymous(nil)
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
	medians, contenders := make([]float64, len(turns)), make([]server, len(turns))
	for n, u := range turns {
		medians[n], contenders[n] = median(u.cpu), u.server
	}
	for n, u := range turns {
		r := row{
			what:   fmt.Sprintf("CPU of a tools/call, %s, %s", u.version, kind(u.fresh)),
			who:    u.name,
			figure: micros(medians[n]),
			ratio:  medians[n] / medians[baseOf(contenders, n)],
			base:   u.base,
			limit:  u.seenLimit,
		}
		if u.fresh {
			r.limit = u.newLimit
		}
		if r.limit != 0 {
			r.goal = fmt.Sprintf("≤ %.2f", r.limit)
		}
		t.add(r)
	}
}

// addMemoryOfCalls adds the most memory that each server ever held.
func addMemoryOfCalls(t *table, contenders []server, servers []*child, kind string) error {
	peaks := make([]float64, len(servers))
	for n := range servers {
		u, err := servers[n].usage()
		if err != nil {
			return err
		}
		peaks[n] = float64(u.Peak)
	}
	for n, m := range contenders {
		t.add(row{
			what:   "most memory of the process, " + kind,
			who:    m.name,
			figure: megabytes(peaks[n]),
			ratio:  peaks[n] / peaks[baseOf(contenders, n)],
			base:   m.base,
		})
	}
	return nil
}
