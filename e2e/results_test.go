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

// results is the table of clients and steps that is printed at the end.
var results table

type table struct {
	mu      sync.Mutex
	clients []string
	steps   []string
	marks   map[[2]string]string
}

func (r *table) note(client, step, mark string) {
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

// journey is one client on its way through the steps.
type journey struct {
	t      *testing.T
	client string
}

// step runs one step as a subtest. A step that fails ends the journey: the next
// ones build on it.
func (j journey) step(name string, do func(t *testing.T)) {
	j.t.Helper()
	results.note(j.client, name, "FAIL")
	if !j.t.Run(name, do) {
		j.t.FailNow()
	}
	results.note(j.client, name, "ok")
}
