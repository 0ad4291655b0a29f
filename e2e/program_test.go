//go:build e2e && unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
)

const (
	// stopTime is how long a program may take to stop after SIGINT.
	stopTime = 30 * time.Second
	// outputDelay is how long the output of a program may take to arrive after its end.
	outputDelay = 10 * time.Second
)

// program is a program that runs during a test. If the test fails, it logs the output. The
// program ends with the test.
type program struct {
	name   string
	cmd    *exec.Cmd
	stderr *testlog.Buffer // also standard output, unless launch got a writer for that
	ended  context.Context // ends with the program; its cause is then errEnded
	err    error           // of the program; set when ended ends
}

var errEnded = errors.New("the program ended")

// launch starts a program. If stdout is nil, standard output goes where standard error goes.
func launch(t testing.TB, name string, stdin io.Reader, stdout io.Writer, env []string, argv ...string) *program {
	t.Helper()
	p := &program{name: name, stderr: &testlog.Buffer{}}
	p.stderr.ShowOnFailure(t, name)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = repository
	cmd.Env = append(environment(t), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, p.stderr, p.stderr
	if stdout != nil {
		cmd.Stdout = stdout
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = outputDelay
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	ended, end := context.WithCancelCause(context.Background())
	p.cmd, p.ended = cmd, ended
	go func() {
		p.err = cmd.Wait()
		end(errEnded)
	}()
	t.Cleanup(p.kill)
	return p
}

// settings are the environment variables that the programs under test read.
var settings = []string{
	"MCP_URL",
	"HOST",
	"PORT",
	"MCP_USE_OAUTH_CLERK_FRONTEND_API_URL",
	"CLERK_PUBLISHABLE_KEY",
	"XDG_CONFIG_HOME",
	"BROWSER",
	"DISPLAY",
	"WAYLAND_DISPLAY",
	"SSH_CONNECTION",
}

// environment returns the environment of the test without the settings of the programs,
// and with an empty folder for their configuration.
func environment(t testing.TB) []string {
	env := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(settings, name)
	})
	return append(env, "XDG_CONFIG_HOME="+t.TempDir())
}

// interrupt sends SIGINT, as Ctrl-C does.
func (p *program) interrupt() {
	p.cmd.Process.Signal(os.Interrupt)
}

// stop interrupts the program and waits for its end.
func (p *program) stop(t testing.TB) {
	t.Helper()
	p.interrupt()
	if _, err := p.status(within(t, stopTime)); err != nil {
		t.Fatalf("waiting for %s to stop: %v", p.name, err)
	}
}

// kill ends the program and everything that it started: first with SIGINT, then with
// SIGKILL.
func (p *program) kill() {
	p.interrupt()
	select {
	case <-p.ended.Done():
	case <-time.After(stopTime):
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.ended.Done()
}

// status waits for the end of the program and returns its exit status.
func (p *program) status(ctx context.Context) (int, error) {
	select {
	case <-p.ended.Done():
		var exit *exec.ExitError
		if p.err != nil && !errors.As(p.err, &exit) {
			return 0, p.err
		}
		return p.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// await waits until the program has written something that pattern matches. It returns the
// last group of the match, or all of the match if pattern has no group.
func (p *program) await(ctx context.Context, pattern *regexp.Regexp) (string, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(p.ended, func() { cancel(errEnded) })
	defer stop()
	match, err := p.stderr.Wait(ctx, pattern)
	if err != nil {
		return "", fmt.Errorf("%s: %w", p.name, err)
	}
	return match[len(match)-1], nil
}

// within returns a context that ends after d.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
