//go:build e2e && unix

package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// stopTime is how long a program may take to stop after SIGINT.
	stopTime = 15 * time.Second
	// poll is the pause between two looks at something that has no signal.
	poll = 20 * time.Millisecond
	// maxShown bounds what a failed test shows of each program.
	maxShown = 40_000
)

// transcript keeps what programs write. It is safe for concurrent use.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (t *transcript) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(b)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// wait waits for something that pattern matches and returns it, or "" if ctx ends.
func (t *transcript) wait(ctx context.Context, pattern *regexp.Regexp) string {
	for ctx.Err() == nil {
		if found := pattern.FindString(t.String()); found != "" {
			return found
		}
		select {
		case <-ctx.Done():
		case <-time.After(poll):
		}
	}
	return ""
}

// showOnFailure logs the transcript if t fails.
func (t *transcript) showOnFailure(tb testing.TB, name string) {
	tb.Cleanup(func() {
		if !tb.Failed() {
			return
		}
		text := t.String()
		if len(text) > maxShown {
			text = "…" + text[len(text)-maxShown:]
		}
		tb.Logf("what %s wrote:\n%s", name, text)
	})
}

// program is a program that runs beside the test. Its output is shown if the
// test fails, and it ends with the test.
type program struct {
	name   string
	cmd    *exec.Cmd
	stderr *transcript // and standard output too, where that is not read
	done   chan struct{}
	err    error // set when done is closed
}

// launch starts a program. stdout, if not nil, gets its standard output.
func launch(t testing.TB, name string, stdin io.Reader, stdout io.Writer, env []string, argv ...string) *program {
	t.Helper()
	p := &program{name: name, stderr: &transcript{}, done: make(chan struct{})}
	p.stderr.showOnFailure(t, name)
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Dir = repository
	p.cmd.Env = append(environment(t), env...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, p.stderr, p.stderr
	if stdout != nil {
		p.cmd.Stdout = stdout
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(p.kill)
	return p
}

// ours are the variables that would steer a program under test.
var ours = []string{"MCP_URL", "HOST", "PORT", "MCP_USE_OAUTH_CLERK_FRONTEND_API_URL", "CLERK_PUBLISHABLE_KEY", "XDG_CONFIG_HOME", "BROWSER", "DISPLAY"}

// environment is that of the test without what would steer the programs, and
// with a folder of its own for settings.
func environment(t testing.TB) []string {
	env := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(ours, name)
	})
	return append(env, "XDG_CONFIG_HOME="+t.TempDir())
}

// interrupt sends SIGINT, as Ctrl-C does.
func (p *program) interrupt() {
	p.cmd.Process.Signal(os.Interrupt)
}

// kill ends the program with everything it started: gently at first.
func (p *program) kill() {
	p.interrupt()
	select {
	case <-p.done:
	case <-time.After(stopTime):
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// status waits for the end of the program and returns its exit status.
func (p *program) status(ctx context.Context) (int, error) {
	select {
	case <-p.done:
		var exit *exec.ExitError
		if p.err != nil && !errors.As(p.err, &exit) {
			return 0, p.err
		}
		return p.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// await waits until the program has written something that pattern matches, and
// returns its first group, or the whole match.
func (p *program) await(ctx context.Context, pattern *regexp.Regexp) (string, error) {
	for {
		if m := pattern.FindStringSubmatch(p.stderr.String()); m != nil {
			return m[len(m)-1], nil
		}
		select {
		case <-p.done:
			if m := pattern.FindStringSubmatch(p.stderr.String()); m != nil {
				return m[len(m)-1], nil
			}
			return "", errors.New(p.name + " ended before it wrote " + pattern.String())
		case <-ctx.Done():
			return "", errors.New(p.name + " has not written " + pattern.String())
		case <-time.After(poll):
		}
	}
}

// within returns a context for one step.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
