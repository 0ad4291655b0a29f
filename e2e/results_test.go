//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// results has the result of each step of each client. TestMain prints it at the end.
var results table

type table struct {
	mu      sync.Mutex
	clients []string
	steps   []string
	marks   map[[2]string]string
}

func (r *table) set(client, step, mark string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.clients, client) {
		r.clients = append(r.clients, client)
	}
	if !slices.Contains(r.steps, step) {
		r.steps = append(r.steps, step)
	}
	if r.marks == nil {
		r.marks = make(map[[2]string]string)
	}
	r.marks[[2]string{client, step}] = mark
}

func (r *table) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.clients) == 0 {
		return ""
	}
	slices.Sort(r.clients)
	width := 0
	for _, client := range r.clients {
		width = max(width, utf8.RuneCountInString(client))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-*s", width, "client")
	for _, step := range r.steps {
		b.WriteString("  " + step)
	}
	b.WriteByte('\n')
	for _, client := range r.clients {
		fmt.Fprintf(&b, "%-*s", width, client)
		for _, step := range r.steps {
			mark := r.marks[[2]string{client, step}]
			fmt.Fprintf(&b, "  %-*s", utf8.RuneCountInString(step), mark)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// scenario runs the steps of one client.
type scenario struct {
	t      *testing.T
	client string
}

// step runs one step as a subtest. If it fails, the scenario ends, because the next steps
// depend on it.
func (sc scenario) step(name string, do func(t *testing.T)) {
	sc.t.Helper()
	results.set(sc.client, name, "FAIL")
	if !sc.t.Run(name, do) {
		sc.t.FailNow()
	}
	results.set(sc.client, name, "ok")
}
