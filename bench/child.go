package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	roleVariable   = "GATEHOUSE_BENCH_ROLE"
	issuerVariable = "GATEHOUSE_BENCH_ISSUER"
	// profileVariable is the path of the profiles, without their extensions.
	profileVariable = "GATEHOUSE_BENCH_PROFILE"

	// stopTime is how long a child may take to end once its input has ended.
	stopTime = 5 * time.Second
)

// usage is what a child reports about itself.
type usage struct {
	CPU      time.Duration // user and system, since its start
	Resident int64         // bytes of memory that it has now
	Peak     int64         // bytes of memory that it had at most
	Heap     uint64        // bytes of live and not yet collected objects
}

// child is this program in another process, in one of its roles. It shares no memory,
// collector or processor time with the process that measures it.
type child struct {
	role    string
	address string // that it listens on
	process *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

// startChild starts s. The listener is opened here, so that a connection waits for the
// child instead of being refused.
func startChild(s server, i *issuer) (*child, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	program := s.program
	if program == "" {
		if program, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	c := &child{role: s.role, address: l.Addr().String(), process: exec.Command(program)}
	c.process.Dir = os.TempDir()
	// The child inherits no environment: neither GOGC nor settings of the server. It has
	// one processor, because the collector would use an idle second one without benefit.
	c.process.Env = append([]string{roleVariable + "=" + s.role, issuerVariable + "=" + i.url, "GOMAXPROCS=1"}, s.environment...)
	c.process.ExtraFiles = []*os.File{file}
	if c.in, err = c.process.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	return c, c.process.Start()
}

// send sends one command and decodes the answer into v.
func (c *child) send(command string, v any) error {
	if _, err := fmt.Fprintln(c.in, command); err != nil {
		return fmt.Errorf("%s: sending command %q: %w", c.role, command, err)
	}
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("%s: reading the answer to %q: %w", c.role, command, err)
	}
	return json.Unmarshal(line, v)
}

func (c *child) usage() (u usage, err error) {
	err = c.send("usage", &u)
	return u, err
}

// settled returns the usage after a full collection that returned free memory to the system.
func (c *child) settled() (u usage, err error) {
	err = c.send("settle", &u)
	return u, err
}

// stop ends the child and waits for it.
func (c *child) stop() {
	c.in.Close()
	timer := time.AfterFunc(stopTime, func() { c.process.Process.Kill() })
	defer timer.Stop()
	c.process.Wait()
}

// runChild runs in the child: it serves the role on the inherited listener and answers
// commands until its input ends.
func runChild(role string) error {
	l, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return fmt.Errorf("taking over the listener: %w", err)
	}
	serve, ok := roles[role]
	if !ok {
		return fmt.Errorf("no role %q", role)
	}
	writeProfiles, err := startProfiles(os.Getenv(profileVariable))
	if err != nil {
		return err
	}
	go func() {
		answerCommands(os.Stdin, os.Stdout)
		writeProfiles()
		os.Exit(0)
	}()
	return serve(l, os.Getenv(issuerVariable))
}

// startProfiles starts a CPU profile unless path is empty. write writes it to path.cpu, and
// the allocations of the process to path.allocs.
func startProfiles(path string) (write func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	cpu, err := os.Create(path + ".cpu")
	if err != nil {
		return nil, err
	}
	allocs, err := os.Create(path + ".allocs")
	if err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		pprof.Lookup("allocs").WriteTo(allocs, 0)
	}, pprof.StartCPUProfile(cpu)
}

func answerCommands(in io.Reader, out io.Writer) {
	answers := json.NewEncoder(out)
	for commands := bufio.NewScanner(in); commands.Scan(); {
		if commands.Text() == "settle" {
			runtime.GC()
			debug.FreeOSMemory()
		}
		answers.Encode(ownUsage())
	}
}

func ownUsage() usage {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{
		CPU:      time.Duration(r.Utime.Nano() + r.Stime.Nano()),
		Resident: statusBytes("VmRSS"),
		Peak:     statusBytes("VmHWM"), // getrusage would return the parent's
		Heap:     m.HeapAlloc,
	}
}

// statusBytes returns a field of /proc/self/status, or 0 if there is no such field.
func statusBytes(field string) int64 {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			kilobytes, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kilobytes << 10
		}
	}
	return 0
}
