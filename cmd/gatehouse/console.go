package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"
)

// maxLine is how many letters of a line on standard error are shown; a link to
// sign in has about a thousand, and more with many scopes.
const maxLine = 16_000

// console is what a command touches of the world around it: the terminal, the
// environment, the browser, the place for its files. Its methods may be called
// concurrently.
type console struct {
	stdin     io.Reader
	stdout    io.Writer // data
	stderr    io.Writer // everything else
	getenv    func(string) string
	configDir func() (string, error)
	browse    func(url string) error // shows url in a browser

	// Whether somebody looks at stdout and stderr, rather than a file or a program.
	stdoutSeen, stderrSeen bool

	verbose bool // set by -v before anything runs

	mu       sync.Mutex
	steps    int
	activity string
	rewrites bool // the last line on stderr is a countdown, to be written over
}

// newConsole returns the console of this process.
func newConsole() *console {
	con := &console{
		stdin:     os.Stdin,
		stdout:    os.Stdout,
		stderr:    os.Stderr,
		getenv:    os.Getenv,
		configDir: os.UserConfigDir,

		stdoutSeen: isTerminal(os.Stdout),
		stderrSeen: isTerminal(os.Stderr),
	}
	con.browse = func(url string) error { return openBrowser(con.getenv, url) }
	return con
}

// print writes data. On a terminal, control characters of s that could steer it
// are spelt out: much of what is printed was written by some server.
func (c *console) print(s string) error {
	if c.stdoutSeen {
		s = spellControls(s)
	}
	_, err := io.WriteString(c.stdout, s)
	return err
}

// printJSON writes v as indented JSON.
func (c *console) printJSON(v any) error {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	return c.print(b.String())
}

// report writes err as the outcome of the command, with the hint it carries.
func (c *console) report(err error) {
	for _, e := range parts(err) {
		c.note("error: %v", e)
	}
	if f := (*failure)(nil); errors.As(err, &f) && f.hint != "" {
		c.note("hint: %s", f.hint)
	}
}

// parts are the faults that err joins, each to be a line of its own, or err alone.
func parts(err error) []error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) && errors.Join(joined.Unwrap()...).Error() == err.Error() {
		return joined.Unwrap()
	}
	return []error{err}
}

// note writes one line to the person at the terminal.
func (c *console) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line("gatehouse: " + fmt.Sprintf(format, args...))
}

// step writes one numbered line about the flow, if -v was given.
func (c *console) step(format string, args ...any) {
	if !c.verbose {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.steps++
	c.line(fmt.Sprintf("%d. %s", c.steps, fmt.Sprintf(format, args...)))
}

// line writes s as one line, over a countdown if there is one. The caller holds mu.
func (c *console) line(s string) {
	c.clear()
	fmt.Fprintln(c.stderr, clip(oneLine(s), maxLine))
}

// clear removes a countdown. The caller holds mu.
func (c *console) clear() {
	if c.rewrites {
		io.WriteString(c.stderr, "\r\x1b[K")
		c.rewrites = false
	}
}

// begin says what the command does from now on, for the message of Ctrl-C.
func (c *console) begin(activity string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.activity = activity
}

// doing is the activity that began last.
func (c *console) doing() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.activity == "" {
		return "starting"
	}
	return c.activity
}

// countdown tells the person what is being waited for and for how long: on a
// terminal every second, elsewhere once. It ends when ctx does.
func (c *console) countdown(ctx context.Context, what string, limit time.Duration) {
	if !c.stderrSeen {
		c.note("waiting for %s, for at most %s", what, limit)
		return
	}
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		c.mu.Lock()
		left := time.Until(deadline).Round(time.Second)
		fmt.Fprintf(c.stderr, "\r\x1b[Kgatehouse: waiting for %s (%s left, Ctrl-C stops)", what, left)
		c.rewrites = true
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			c.mu.Lock()
			c.clear()
			c.mu.Unlock()
			return
		case <-tick.C:
		}
	}
}

// isTerminal reports whether file is a terminal, or at least a character device.
func isTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// oneLine returns s as one line without control characters.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.TrimSpace(s))
}

// spellControls returns s with every control character but newline and tab
// written as an escape sequence.
func spellControls(s string) string {
	if !strings.ContainsFunc(s, isSteering) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if isSteering(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isSteering(r rune) bool {
	return unicode.IsControl(r) && r != '\n' && r != '\t'
}
