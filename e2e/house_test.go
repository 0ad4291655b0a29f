//go:build e2e && unix

package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// house is a running "gatehouse dev".
type house struct {
	t               testing.TB
	program         *program
	port, clerkPort int
	command         []string
	config          string // file of the local Clerk's settings, empty for none
	marks           int
}

// devReady is the word of a server, or of one of the examples, that it serves.
var devReady = regexp.MustCompile(`msg="serving MCP"|INFO serving MCP|serving http://`)

// openHouse starts "gatehouse dev" on free ports, with a command if one is given.
func openHouse(t testing.TB, command ...string) *house {
	t.Helper()
	h := &house{t: t, port: freePort(t), clerkPort: freePort(t), command: command}
	h.open()
	return h
}

// open starts the program and waits until both parts answer.
func (h *house) open() {
	h.t.Helper()
	h.program = h.dev()
	ctx := within(h.t, stepTime)
	if _, err := h.program.await(ctx, devReady); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) dev() *program {
	argv := []string{gatehouse, "dev", "--port", strconv.Itoa(h.port), "--clerk-port", strconv.Itoa(h.clerkPort)}
	if h.config != "" {
		argv = append(argv, "--config", h.config)
	}
	if len(h.command) > 0 {
		argv = append(append(argv, "--"), h.command...)
	}
	return launch(h.t, "gatehouse dev", nil, nil, nil, argv...)
}

// restart is Ctrl-C and the same command again: keys, clients and sessions are
// gone.
func (h *house) restart() {
	h.t.Helper()
	h.program.interrupt()
	if _, err := h.program.status(within(h.t, stopTime)); err != nil {
		h.t.Fatalf("waiting for gatehouse dev to stop: %v", err)
	}
	h.open()
}

func (h *house) url() string   { return fmt.Sprintf("http://localhost:%d/mcp", h.port) }
func (h *house) clerk() string { return fmt.Sprintf("http://localhost:%d", h.clerkPort) }

// requests returns everything that was asked until now. The log comes through a
// pipe: a request of this test's own, once it is there, says that all before it is.
func (h *house) requests() []exchange {
	h.t.Helper()
	h.marks++
	mark := fmt.Sprintf("/e2e-mark-%d", h.marks)
	ctx := within(h.t, stepTime)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.clerk()+mark, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	resp.Body.Close()
	if _, err := h.program.await(ctx, regexp.MustCompile("path="+mark+" ")); err != nil {
		h.t.Fatal(err)
	}
	return slices.DeleteFunc(readLog(h.program.stderr.String()), func(e exchange) bool {
		return strings.HasPrefix(e.path, "/e2e-mark-")
	})
}

// freePort returns a port that is free on both loopback addresses.
func freePort(t testing.TB) int {
	t.Helper()
	const tries = 50
	for range tries {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		free := isFree(port, "::1")
		l.Close()
		if free {
			return port
		}
	}
	t.Fatalf("no port was free on both loopback addresses in %d tries", tries)
	return 0
}

// isFree reports whether port can be listened on at each of the hosts. A machine
// without an address has it free.
func isFree(port int, hosts ...string) bool {
	for _, host := range hosts {
		var config net.ListenConfig
		l, err := config.Listen(context.Background(), "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err == nil {
			l.Close()
		} else if inUse(err) {
			return false
		}
	}
	return true
}
