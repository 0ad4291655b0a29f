//go:build e2e && unix

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// devServer is a running "gatehouse dev".
type devServer struct {
	t               testing.TB
	program         *program
	port, clerkPort int
	command         []string
	config          string // file with the settings of the local Clerk; empty for none
	marks           int    // number of marker requests that requests sent
}

// devReady matches the line by which the demo server or an example reports that it serves.
var devReady = regexp.MustCompile(`msg="serving MCP"|INFO serving MCP|serving http://`)

// startDev starts "gatehouse dev" on free ports, with a command for the MCP server if one is
// given.
func startDev(t testing.TB, command ...string) *devServer {
	t.Helper()
	dev := &devServer{t: t, port: freePort(t), clerkPort: freePort(t), command: command}
	dev.start()
	return dev
}

// start starts the program and waits until it serves.
func (dev *devServer) start() {
	dev.t.Helper()
	dev.program = dev.launch()
	ctx := within(dev.t, stepTime)
	if _, err := dev.program.await(ctx, devReady); err != nil {
		dev.t.Fatal(err)
	}
}

func (dev *devServer) launch() *program {
	argv := []string{gatehouseProgram, "dev", "--port", strconv.Itoa(dev.port), "--clerk-port", strconv.Itoa(dev.clerkPort)}
	if dev.config != "" {
		argv = append(argv, "--config", dev.config)
	}
	if len(dev.command) > 0 {
		argv = append(append(argv, "--"), dev.command...)
	}
	return launch(dev.t, devName, nil, nil, nil, argv...)
}

// restart interrupts the program and starts it again. Keys, clients and sessions of the
// first run do not exist in the second.
func (dev *devServer) restart() {
	dev.t.Helper()
	dev.program.stop(dev.t)
	dev.start()
}

func (dev *devServer) url() string   { return fmt.Sprintf("http://localhost:%d/mcp", dev.port) }
func (dev *devServer) clerk() string { return fmt.Sprintf("http://localhost:%d", dev.clerkPort) }

// requests returns all requests so far, except its own. The log comes through a pipe, so it
// sends a request of its own: once that is logged, all earlier ones are too.
func (dev *devServer) requests() []exchange {
	dev.t.Helper()
	dev.marks++
	mark := fmt.Sprintf("/e2e-mark-%d", dev.marks)
	ctx := within(dev.t, stepTime)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, dev.clerk()+mark, nil)
	if err != nil {
		dev.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		dev.t.Fatal(err)
	}
	resp.Body.Close()
	if _, err := dev.program.await(ctx, regexp.MustCompile("path="+mark+" ")); err != nil {
		dev.t.Fatal(err)
	}
	return slices.DeleteFunc(readLog(dev.program.stderr.String()), func(e exchange) bool {
		return strings.HasPrefix(e.path, "/e2e-mark-")
	})
}

const (
	// firstPort and portCount are the ports that freePort chooses from. They are below those
	// that systems give to outgoing connections and to listeners on port 0, of which there are
	// many while the tests run: one of these could take a port before the program that it is
	// for listens on it.
	firstPort = 20_000
	portCount = 10_000
)

// nextPort is the offset of the port that freePort tries next. It begins anywhere, so that two
// runs on one machine seldom meet.
var nextPort = func() *atomic.Int64 {
	var n atomic.Int64
	n.Store(rand.Int64N(portCount))
	return &n
}()

// freePort returns a port that is free on both loopback addresses. It returns each port once.
func freePort(t testing.TB) int {
	t.Helper()
	for range portCount {
		port := firstPort + int(nextPort.Add(1)%portCount)
		if portIsFree(port, "127.0.0.1", "::1") {
			return port
		}
	}
	t.Fatalf("no port from %d to %d is free on both loopback addresses", firstPort, firstPort+portCount-1)
	return 0
}

// portIsFree reports whether the port is free at each of the hosts. A port counts as free at
// an address that the machine does not have.
func portIsFree(port int, hosts ...string) bool {
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
