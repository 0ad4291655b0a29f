//go:build unix

package teststore

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// startTimeout bounds the start of a program, stopTimeout its end after SIGTERM.
	startTimeout = time.Minute
	stopTimeout  = 15 * time.Second
	connectEvery = 20 * time.Millisecond
	// maxShownOutput bounds what a failed test shows of the output of a program.
	maxShownOutput = 3000
)

// FreeAddr returns an address of 127.0.0.1 with a free port.
func FreeAddr(t testing.TB) (addr, port string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	addr = listener.Addr().String()
	_, port, _ = net.SplitHostPort(addr)
	return addr, port
}

// Folder returns a new folder of the account with the name, which exists if a package of Debian
// was installed, and the part of a command that makes it run as that account: PostgreSQL refuses
// to run as root. If the test does not run as root, it is the test's own account.
func Folder(t testing.TB, account string) (folder string, as *syscall.SysProcAttr) {
	t.Helper()
	// The folder of t.TempDir is closed to other accounts.
	folder, err := os.MkdirTemp("", "gatehouse-store-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if os.Getuid() != 0 {
		return folder, nil
	}
	u, err := user.Lookup(account)
	if err != nil {
		t.Fatal(err)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if err := os.Chown(folder, uid, gid); err != nil {
		t.Fatal(err)
	}
	return folder, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

// chownLike gives a file the owner of the folder.
func chownLike(t testing.TB, path, folder string) {
	t.Helper()
	info, err := os.Stat(folder)
	if err != nil {
		t.Fatal(err)
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && os.Getuid() == 0 {
		if err := os.Chown(path, int(owner.Uid), int(owner.Gid)); err != nil {
			t.Fatal(err)
		}
	}
}

// Run runs a program to its end.
func Run(t testing.TB, folder string, as *syscall.SysProcAttr, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.SysProcAttr = folder, as
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

// Process is the process of an engine, a router or a server.
type Process struct {
	// Env is added to the environment of the test.
	Env []string

	addr, folder, program string
	args                  []string
	as                    *syscall.SysProcAttr
	cmd                   *exec.Cmd
	output                strings.Builder
}

// NewProcess returns the process of a program that will listen on addr. [Process.Start] starts
// it. It is killed when t ends; if t has failed, the end of its output is logged.
func NewProcess(t testing.TB, addr, folder string, as *syscall.SysProcAttr, program string, args ...string) *Process {
	p := &Process{addr: addr, folder: folder, program: program, args: args, as: as}
	t.Cleanup(func() {
		p.Kill(t)
		if text := p.output.String(); t.Failed() && text != "" {
			t.Logf("output of %s %s:\n%s", filepath.Base(program), addr, text[max(0, len(text)-maxShownOutput):])
		}
	})
	return p
}

// Start starts the program and waits until it listens.
func (p *Process) Start(t testing.TB) {
	t.Helper()
	cmd := exec.Command(p.program, p.args...)
	cmd.Dir, cmd.Env = p.folder, append(os.Environ(), p.Env...)
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.as != nil {
		cmd.SysProcAttr.Credential = p.as.Credential
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.cmd = cmd
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		conn, err := net.Dial("tcp", p.addr)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(fmt.Errorf("%s does not listen on %s: %w", p.program, p.addr, err))
		case <-time.After(connectEvery):
		}
	}
}

// Kill ends the process and those that it has started at once (SIGKILL), and waits for its end.
func (p *Process) Kill(testing.TB) {
	if p.cmd != nil {
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		p.cmd.Wait()
		p.cmd = nil
	}
}

// Stop asks the process to end (SIGTERM) and waits for its end.
func (p *Process) Stop(t testing.TB) {
	t.Helper()
	if p.cmd == nil {
		return
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(stopTimeout, func() {
		t.Errorf("%s does not end within %s after SIGTERM", p.program, stopTimeout)
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	})
	p.cmd.Wait()
	late.Stop()
	p.cmd = nil
}

// Children returns the IDs of the processes that the process has started.
func (p *Process) Children() []int {
	if p.cmd == nil {
		return nil
	}
	pid := strconv.Itoa(p.cmd.Process.Pid)
	text, err := os.ReadFile(filepath.Join("/proc", pid, "task", pid, "children"))
	if err != nil {
		return nil
	}
	var out []int
	for _, field := range strings.Fields(string(text)) {
		if child, err := strconv.Atoi(field); err == nil {
			out = append(out, child)
		}
	}
	return out
}

// KillAll ends the processes at once.
func KillAll(pids []int) {
	for _, pid := range pids {
		if process, err := os.FindProcess(pid); err == nil {
			process.Kill()
		}
	}
}
