//go:build e2e && unix

package e2e

import (
	"strings"
	"testing"
	"time"
)

// quick is how long Ctrl-C may take.
const quick = 5 * time.Second

const devName = "gatehouse dev"

func TestDev(t *testing.T) {
	t.Parallel()
	h := openHouse(t)
	j := journey{t, devName}
	j.step("taken", func(t *testing.T) {
		for _, taken := range []struct {
			port, clerkPort int
			wantHint        string
		}{
			{h.port, freePort(t), "--port"},
			{freePort(t), h.clerkPort, "--clerk-port"},
		} {
			second := &house{t: t, port: taken.port, clerkPort: taken.clerkPort}
			p := second.dev()
			status, err := p.status(within(t, stepTime))
			if err != nil {
				t.Fatal(err)
			}
			got := p.stderr.String()
			if status != 1 || !strings.Contains(got, "is in use") || !strings.Contains(got, "hint: ") || !strings.Contains(got, "pass "+taken.wantHint+" ") {
				t.Errorf("got status %d and %q, want 1 and a hint to pass %s", status, got, taken.wantHint)
			}
		}
	})
	j.step("ctrl-c", func(t *testing.T) {
		// A session with an open stream, which has no end of its own.
		s := newGoSession(t, h.url(), "2025-11-25")
		if _, err := s.connect(within(t, stepTime), ada); err != nil {
			t.Fatal(err)
		}
		h.program.interrupt()
		checkStops(t, h, quick)
		if got := h.program.stderr.String(); !strings.HasSuffix(got, "gatehouse: stopped\n") {
			t.Errorf("last words of gatehouse dev: %q, want that it stopped", got[max(0, len(got)-200):])
		}
	})
}

// checkStops waits for the program to end and looks whether its ports are free.
func checkStops(t *testing.T, h *house, d time.Duration) {
	t.Helper()
	if _, err := h.program.status(within(t, d)); err != nil {
		t.Fatalf("gatehouse dev has not stopped %s after Ctrl-C", d)
	}
	for name, port := range map[string]int{"--port": h.port, "--clerk-port": h.clerkPort} {
		if !isFree(port, "127.0.0.1", "::1") {
			t.Errorf("%s %d is still taken after the stop", name, port)
		}
	}
}

// TestDevWithCommand runs the examples as their comments say, and Ctrl-C ends
// them with everything that "go run" started.
func TestDevWithCommand(t *testing.T) {
	for _, example := range []struct{ name, tool, want string }{
		{"clerk", "whoami", `"Ada Lovelace"`},
		{"organization", "get-organization-info", `"org_id": "org_`},
		{"middleware", "hello", "hello, user_"},
	} {
		t.Run(example.name, func(t *testing.T) {
			t.Parallel()
			j := journey{t, "dev -- go run ./examples/" + example.name}
			h := &house{t: t, port: freePort(t), clerkPort: freePort(t), command: []string{"go", "run", "./examples/" + example.name}}
			j.step("sign-in", func(t *testing.T) {
				h.open()
				s := shell{t.TempDir()}
				o := s.succeed(t, h.url(), example.tool, "--user", "ada")
				if !strings.Contains(o.stdout, example.want) {
					t.Errorf("got %q, want %q in it", o.stdout, example.want)
				}
			})
			j.step("ctrl-c", func(t *testing.T) {
				h.program.interrupt()
				checkStops(t, h, quick)
			})
		})
	}
}
