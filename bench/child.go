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
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	roleVariable   = "GATEHOUSE_BENCH_ROLE"
	issuerVariable = "GATEHOUSE_BENCH_ISSUER"

	// stopTime is how long a child may take to end once its input has ended.
	stopTime = 5 * time.Second
)

// usage is what a child says about itself.
type usage struct {
	CPU      time.Duration // user and system, since its start
	Resident int64         // bytes of memory that it has now
	Peak     int64         // bytes of memory that it had at most
	Heap     uint64        // bytes of live and not yet collected objects
}

// child is this program in another process, in one of its roles. It shares no
// memory, collector or processor time with whoever measures it.
type child struct {
	role    string
	address string // that it listens on
	process *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

// startChild starts the role. The listener is opened here, so that a connection
// waits for the child rather than be refused.
func startChild(role string, i *issuer, environment ...string) (*child, error) {
	return startProgram("", role, i, environment...)
}

// startProgram is startChild with another program that has the role; an empty one
// is this one.
func startProgram(program, role string, i *issuer, environment ...string) (*child, error) {
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
	if program == "" {
		if program, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	c := &child{role: role, address: l.Addr().String(), process: exec.Command(program)}
	c.process.Dir = os.TempDir()
	// Nothing of the environment: neither GOGC nor settings of the server. One
	// processor, since the collector would burn an idle second one for nothing.
	c.process.Env = append([]string{roleVariable + "=" + role, issuerVariable + "=" + i.url, "GOMAXPROCS=1"}, environment...)
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

// tell sends one command and decodes the answer into v.
func (c *child) tell(command string, v any) error {
	if _, err := fmt.Fprintln(c.in, command); err != nil {
		return fmt.Errorf("%s: telling it %q: %w", c.role, command, err)
	}
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("%s: reading its answer to %q: %w", c.role, command, err)
	}
	return json.Unmarshal(line, v)
}

func (c *child) usage() (u usage, err error) {
	err = c.tell("usage", &u)
	return u, err
}

// settled is usage after a full collection, with free memory given back.
func (c *child) settled() (u usage, err error) {
	err = c.tell("settle", &u)
	return u, err
}

// stop ends the child and waits for it.
func (c *child) stop() {
	c.in.Close()
	timer := time.AfterFunc(stopTime, func() { c.process.Process.Kill() })
	defer timer.Stop()
	c.process.Wait()
}

// runChild is the child's side: it serves its role on the listener it was given
// and answers commands until its input ends.
func runChild(role string) error {
	l, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return fmt.Errorf("taking over the listener: %w", err)
	}
	serve, ok := roles[role]
	if !ok {
		return fmt.Errorf("no role %q", role)
	}
	go func() {
		obey(os.Stdin, os.Stdout)
		os.Exit(0)
	}()
	return serve(l, os.Getenv(issuerVariable))
}

func obey(in io.Reader, out io.Writer) {
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
		Peak:     statusBytes("VmHWM"), // that of getrusage is inherited from the parent
		Heap:     m.HeapAlloc,
	}
}

// statusBytes returns a field of /proc/self/status, or 0 where there is none.
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
