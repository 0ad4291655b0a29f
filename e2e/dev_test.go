//go:build e2e && unix

package e2e

import (
	"strings"
	"testing"
	"time"
)

// maxStop is the longest time that "gatehouse dev" may take to stop after Ctrl-C. It is shorter
// than the 10 seconds after which "gatehouse dev" no longer waits for what does not end by itself.
const maxStop = 9 * time.Second

const devName = "gatehouse dev"

func TestDev(t *testing.T) {
	t.Parallel()
	dev := startDev(t)
	sc := scenario{t, devName}
	sc.step("port in use", func(t *testing.T) {
		for _, test := range []struct {
			port, clerkPort int
			wantHint        string
		}{
			{dev.port, freePort(t), "--port"},
			{freePort(t), dev.clerkPort, "--clerk-port"},
		} {
			second := &devServer{t: t, port: test.port, clerkPort: test.clerkPort}
			p := second.launch()
			status, err := p.status(within(t, stepTime))
			if err != nil {
				t.Fatal(err)
			}
			got := p.stderr.String()
			if status != 1 {
				t.Errorf("got status %d, want 1", status)
			}
			for _, want := range []string{"is in use", "hint: ", "pass " + test.wantHint + " "} {
				if !strings.Contains(got, want) {
					t.Errorf("got %q, want %q in it", got, want)
				}
			}
		}
	})
	sc.step("ctrl-c", func(t *testing.T) {
		// The session has an open stream, which would not end by itself.
		s := newGoSession(t, dev.url(), "2025-11-25")
		if _, err := s.connect(within(t, stepTime), ada); err != nil {
			t.Fatal(err)
		}
		dev.program.interrupt()
		checkStops(t, dev, maxStop)
		if got := dev.program.stderr.String(); !strings.HasSuffix(got, "gatehouse: stopped\n") {
			t.Errorf("gatehouse dev ended its output with %q, want that it stopped", got[max(0, len(got)-200):])
		}
	})
}

// checkStops waits for the program to end and checks that its ports are free.
func checkStops(t *testing.T, dev *devServer, d time.Duration) {
	t.Helper()
	if _, err := dev.program.status(within(t, d)); err != nil {
		t.Fatalf("gatehouse dev has not stopped %s after Ctrl-C", d)
	}
	for name, port := range map[string]int{"--port": dev.port, "--clerk-port": dev.clerkPort} {
		if !portIsFree(port, "127.0.0.1", "::1") {
			t.Errorf("%s %d is still in use after the stop", name, port)
		}
	}
}

// TestDevWithCommand runs the examples with the commands in their comments. Ctrl-C must end
// them and everything that "go run" started.
func TestDevWithCommand(t *testing.T) {
	for _, example := range []struct{ name, tool, want string }{
		{"clerk", "whoami", `"Ada Lovelace"`},
		{"organization", "get-organization-info", `"org_id": "org_`},
		{"middleware", "hello", "hello, user_"},
	} {
		t.Run(example.name, func(t *testing.T) {
			t.Parallel()
			sc := scenario{t, "dev -- go run ./examples/" + example.name}
			command := []string{"go", "run", "./examples/" + example.name}
			dev := &devServer{t: t, port: freePort(t), clerkPort: freePort(t), command: command}
			sc.step("sign-in", func(t *testing.T) {
				dev.start()
				r := callRunner{t.TempDir()}
				o := r.wantSuccess(t, dev.url(), example.tool, "--user", "ada")
				if !strings.Contains(o.stdout, example.want) {
					t.Errorf("got %q, want %q in it", o.stdout, example.want)
				}
			})
			sc.step("ctrl-c", func(t *testing.T) {
				dev.program.interrupt()
				checkStops(t, dev, maxStop)
			})
		})
	}
}
