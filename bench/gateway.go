package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// This file and those whose names begin with gateway_ measure the command "gatehouse gateway", which
// they run as a process, against a reverse proxy without sign-in.

const (
	gatewayConnections = 32
	gatewayTurnCalls   = 2000
	gatewayStartTime   = 20 * time.Second
	gatewayStopTime    = 5 * time.Second
	// gatewayVersion is a revision whose requests are in no session here and have no headers about
	// their body: what published figures of other gateways were measured with.
	gatewayVersion = "2025-06-18"

	proxyName   = "httputil.ReverseProxy, tuned, no sign-in"
	gatewayName = "gatehouse gateway"
	rulesName   = "with requirements on tools"
	// unsignedName does not sign an assertion for each new token. Other gateways have none.
	unsignedName = "the same without assertions"
	// usersName signs an assertion for each token.
	usersName   = "the same, a new user each time"
	exampleName = "examples/proxy, by hand"
	nginxName   = "nginx and forward auth, both processes"
)

// Ratios of other gateways to the same reverse proxy, measured on 2026-11-25 with the same kind of
// load: 0.160, 0.169 and 0.196 s of CPU for 1,000 calls, against 0.055 s.
var publishedRatios = []struct {
	name  string
	ratio float64
	limit float64 // of the gateway's CPU
}{{"mcp-gate", 2.98, 0.40}, {"mcp-auth-proxy", 3.07, 0.40}, {"ToolHive", 3.57, 0.35}}

func init() {
	roles["gateway backend"] = serveGatewayBackend
	roles["gateway proxy"] = serveGatewayProxy
}

// serveGatewayBackend is a stateless MCP server that answers with JSON.
func serveGatewayBackend(l net.Listener, _ string) error {
	s := newMCPServer(anonymous)
	return http.Serve(l, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s },
		&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true, DisableLocalhostProtection: true}))
}

// serveGatewayProxy is a reverse proxy as one writes it with care, without sign-in. backend is its
// URL.
func serveGatewayProxy(l net.Listener, backend string) error {
	target, err := url.Parse(backend)
	if err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy, transport.MaxIdleConns, transport.MaxIdleConnsPerHost = nil, 0, 256
	transport.DisableCompression = true
	return http.Serve(l, &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }})
}

// contestant is one way to the backend.
type contestant struct {
	name      string
	address   string
	processes []int // whose CPU counts
	stop      func()
	log       *bytes.Buffer // what the processes have written; nil if it is not kept
}

// cpu returns the CPU time of the contestant's processes, of all threads that run.
func (c *contestant) cpu() (total time.Duration, err error) {
	for _, pid := range c.processes {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if err != nil || len(threads) == 0 {
			return 0, fmt.Errorf("%s: /proc has no schedstat of process %d; this benchmark needs Linux", c.name, pid)
		}
		for _, thread := range threads {
			text, err := os.ReadFile(thread)
			if err != nil {
				continue // a thread that has ended
			}
			first, _, _ := strings.Cut(string(text), " ")
			ns, err := strconv.ParseInt(first, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("%s has %q, want nanoseconds", thread, text)
			}
			total += time.Duration(ns)
		}
	}
	return total, nil
}

// resident returns the memory of the contestant's processes in bytes.
func (c *contestant) resident() (int64, error) { return c.memory("VmRSS:") }

// idle returns it, and the part of it that is not the file of the program.
func (c *contestant) idle() (resident, own int64, err error) {
	if resident, err = c.resident(); err == nil {
		own, err = c.memory("RssAnon:")
	}
	return resident, own, err
}

// memory returns the sum of a field of /proc/PID/status, in bytes.
func (c *contestant) memory(field string) (total int64, err error) {
	for _, pid := range c.processes {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(text)) {
			if value, ok := strings.CutPrefix(line, field); ok {
				kilobytes, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
				total += kilobytes << 10
			}
		}
	}
	return total, nil
}

// gatewayBench is what the measurements share.
type gatewayBench struct {
	issuer  *issuer
	folder  string
	program string // gatehouse
	backend *child

	environment []string // of the programs, in addition
}

// newGatewayBench builds the program, and starts a backend.
func newGatewayBench(i *issuer) (*gatewayBench, error) {
	folder, err := os.MkdirTemp("", "gatehouse-bench-")
	if err != nil {
		return nil, err
	}
	b := &gatewayBench{issuer: i, folder: folder, program: filepath.Join(folder, "gatehouse")}
	if err := buildProgram("../cmd/gatehouse", b.program); err != nil {
		b.close()
		return nil, err
	}
	if b.backend, err = startChild(server{role: "gateway backend"}, i); err != nil {
		b.close()
		return nil, err
	}
	pin(os.Getpid(), otherProcessors())
	pin(b.backend.process.Process.Pid, otherProcessors())
	return b, nil
}

// buildProgram builds the program in a directory of the repository as the container image does.
func buildProgram(directory, file string) error {
	build := exec.Command("go", "build", "-o", file, ".")
	build.Dir, build.Env = directory, append(os.Environ(), "GOWORK=", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", directory, err, out)
	}
	return nil
}

// ownProcessor is the processor on which the contestants run. Everything else runs on the others, so
// that neither takes time from the other, and both stay where their data is cached. They are
// lists for taskset, and empty if there is one processor.
func ownProcessor() string {
	if runtime.NumCPU() == 1 {
		return ""
	}
	return strconv.Itoa(runtime.NumCPU() - 1)
}

func otherProcessors() string {
	if runtime.NumCPU() == 1 {
		return ""
	}
	return fmt.Sprintf("0-%d", runtime.NumCPU()-2)
}

// pin keeps all threads of a process on the processors, if the machine has taskset.
func pin(pid int, processors string) {
	if processors == "" {
		return
	}
	if err := exec.Command("taskset", "-acp", processors, strconv.Itoa(pid)).Run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench: a process is not kept on its processor:", err)
	}
}

func (b *gatewayBench) close() {
	if b.backend != nil {
		b.backend.stop()
	}
	os.RemoveAll(b.folder)
}

// startProxy starts the reverse proxy without sign-in in front of a backend.
func (b *gatewayBench) startProxy(backend string) (*contestant, error) {
	c, err := startChild(server{role: "gateway proxy"}, &issuer{url: "http://" + backend})
	if err != nil {
		return nil, err
	}
	pin(c.process.Process.Pid, ownProcessor())
	return &contestant{proxyName, c.address, []int{c.process.Process.Pid}, c.stop, nil}, nil
}

// freeAddress returns an address of loopback that no one listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// start starts a program and waits until its address accepts connections.
func (b *gatewayBench) start(name, address string, argv ...string) (*contestant, error) {
	var output bytes.Buffer
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = b.folder, append([]string{"GOMAXPROCS=1", "PATH=" + os.Getenv("PATH")}, b.environment...)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	pin(cmd.Process.Pid, ownProcessor())
	c := &contestant{name, address, []int{cmd.Process.Pid}, func() {
		cmd.Process.Signal(os.Interrupt)
		timer := time.AfterFunc(gatewayStopTime, func() { cmd.Process.Kill() })
		defer timer.Stop()
		cmd.Wait()
	}, &output}
	for deadline := time.Now().Add(gatewayStartTime); ; time.Sleep(time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return c, nil
		}
		if time.Now().After(deadline) {
			c.stop()
			return nil, fmt.Errorf("starting %s: %w\n%s", name, err, output.Bytes())
		}
	}
}

// startGateway starts the gateway in front of a backend. settings are lines of the endpoint in the
// configuration file.
func (b *gatewayBench) startGateway(name, backend string, settings ...string) (*contestant, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	file, err := b.writeConfig(address, backend, settings)
	if err != nil {
		return nil, err
	}
	return b.start(name, address, b.program, "gateway", "--config", file)
}

func (b *gatewayBench) writeConfig(address, backend string, settings []string) (string, error) {
	text := fmt.Sprintf("listen: %s\nprovider: {name: oidc, issuer: %q}\nendpoints:\n  - url: %s\n    upstream: http://%s/mcp\n"+
		"    max_sessions: 20000\n    max_sessions_per_user: 20000\n", address, b.issuer.url, resource, backend)
	for _, line := range settings {
		text += "    " + line + "\n"
	}
	f, err := os.CreateTemp(b.folder, "gateway-*.yaml")
	if err != nil {
		return "", err
	}
	defer f.Close()
	_, err = io.WriteString(f, text)
	return f.Name(), err
}

// connectGateway opens the connections of a contestant.
func connectGateway(address string, count int) ([]*client, error) {
	var clients []*client
	for range count {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return nil, err
		}
		clients = append(clients, newLightClient(conn))
	}
	return clients, nil
}

// callAll calls the tool with each token, on all connections at the same time.
func callAll(clients []*client, tokens []string, calls int) error {
	faults := make([]error, len(clients))
	want := anonymous(nil)
	var work sync.WaitGroup
	for k, c := range clients {
		work.Go(func() {
			for n := k; n < calls && faults[k] == nil; n += len(clients) {
				faults[k] = c.call(tokens[n%len(tokens)], want)
			}
		})
	}
	work.Wait()
	for _, err := range faults {
		if err != nil {
			return err
		}
	}
	return nil
}

// perThousand formats the CPU time of one call in nanoseconds as that of 1,000 calls.
func perThousand(ns float64) string { return fmt.Sprintf("%.4f s", ns*1000/1e9) }

// measureGateway measures everything about the gateway.
func measureGateway(i *issuer, t *table, rounds int) error {
	b, err := newGatewayBench(i)
	if err != nil {
		return err
	}
	defer b.close()
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	for _, step := range []func(context.Context, *table) error{
		func(ctx context.Context, t *table) error { return b.measureCPU(ctx, t, rounds) },
		b.measureStreams, b.measureMemory, b.measureStart,
	} {
		if err := step(ctx, t); err != nil {
			return err
		}
	}
	return nil
}
