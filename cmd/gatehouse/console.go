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

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/signin"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

// maxLine bounds a line on standard error, in bytes. A sign-in link has about a
// thousand, and more with many scopes.
const maxLine = 16_000

// maxProgress bounds a line of progress, so that it fits into a terminal and can be replaced.
const maxProgress = 76

// console is the terminal, the environment, the browser and the configuration directory
// of a run. It implements [signin.UI]. Its methods may be called concurrently.
type console struct {
	stdin     io.Reader
	stdout    io.Writer // data
	stderr    io.Writer // everything else
	getenv    func(string) string
	configDir func() (string, error)
	browse    func(url string) error // shows url in a browser

	// Whether stdout and stderr are terminals, as opposed to files and pipes.
	stdoutIsTerminal, stderrIsTerminal bool

	verbose bool // set by -v before anything runs

	mu        sync.Mutex
	steps     int
	activity  string
	countdown bool // the last line on stderr is a countdown or progress, to be overwritten
}

var _ signin.UI = (*console)(nil)

// newConsole returns the console of this process.
func newConsole() *console {
	con := &console{
		stdin:     os.Stdin,
		stdout:    os.Stdout,
		stderr:    os.Stderr,
		getenv:    os.Getenv,
		configDir: os.UserConfigDir,

		stdoutIsTerminal: isTerminal(os.Stdout),
		stderrIsTerminal: isTerminal(os.Stderr),
	}
	con.browse = func(url string) error { return signin.OpenBrowser(con.getenv, url) }
	return con
}

// print writes data. On a terminal it writes control characters as escape sequences:
// most of the text is from a server, which must not control the terminal.
func (c *console) print(s string) error {
	if c.stdoutIsTerminal {
		s = escapeControls(s)
	}
	_, err := io.WriteString(c.stdout, s)
	return err
}

// stdoutColor reports whether data may have colors: on a terminal that can show them, unless
// the user does not want any (https://no-color.org).
func (c *console) stdoutColor() bool {
	return c.stdoutIsTerminal && c.getenv("NO_COLOR") == "" && c.getenv("TERM") != "dumb"
}

// printColored writes text that may have escape sequences for color. Text from a server in it
// must have been escaped.
func (c *console) printColored(s string) error {
	_, err := io.WriteString(c.stdout, s)
	return err
}

// progress shows what the command does now, on a terminal. The next line on standard error
// replaces it.
func (c *console) progress(what string) {
	c.Begin(what)
	if !c.stderrIsTerminal {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(c.stderr, "\r\x1b[K%s …", quote.Clip(trace.OneLine(what), maxProgress))
	c.countdown = true
}

// endProgress removes the line of progress.
func (c *console) endProgress() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clearCountdown()
}

// printJSON writes v as indented JSON.
func (c *console) printJSON(v any) error {
	text, err := indentedJSON(v)
	if err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	return c.print(text)
}

func indentedJSON(v any) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return b.String(), err
}

// reportError writes the error with which the command ended, and its hint. Errors that are joined
// have hints of their own, or one that they share.
func (c *console) reportError(err error) {
	written := ""
	all := joinedErrors(err)
	for i, e := range all {
		c.Note("error: %v", e)
		hint := hintOf(e)
		if hint == "" || i+1 < len(all) && hintOf(all[i+1]) == hint {
			continue // it follows the last of those that have it
		}
		c.Note("hint: %s", hint)
		written = hint
	}
	if hint := hintOf(err); written == "" && hint != "" {
		c.Note("hint: %s", hint) // of an error that wraps the joined ones
	}
}

// hintOf returns the hint of an error, or "".
func hintOf(err error) string {
	if f := (*failure.Error)(nil); errors.As(err, &f) {
		return f.Hint
	}
	return ""
}

// joinedErrors returns the errors that [errors.Join] combined into err, so that each
// gets a line of its own, or err alone.
func joinedErrors(err error) []error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) && errors.Join(joined.Unwrap()...).Error() == err.Error() {
		return joined.Unwrap()
	}
	return []error{err}
}

// Note writes one line to standard error.
func (c *console) Note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeLine("gatehouse: " + fmt.Sprintf(format, args...))
}

// Step writes one numbered line about the flow, if -v was given.
func (c *console) Step(format string, args ...any) {
	if !c.verbose {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.steps++
	c.writeLine(fmt.Sprintf("%d. %s", c.steps, fmt.Sprintf(format, args...)))
}

// writeLine writes s as one line, in the place of a countdown if there is one. The
// caller holds mu.
func (c *console) writeLine(s string) {
	c.clearCountdown()
	fmt.Fprintln(c.stderr, quote.Clip(trace.OneLine(s), maxLine))
}

// clearCountdown removes the countdown. The caller holds mu.
func (c *console) clearCountdown() {
	if c.countdown {
		io.WriteString(c.stderr, "\r\x1b[K")
		c.countdown = false
	}
}

// Begin sets what the command does from now on, for the message after Ctrl-C.
func (c *console) Begin(activity string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.activity = activity
}

// currentActivity returns the activity that began last.
func (c *console) currentActivity() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.activity == "" {
		return "starting"
	}
	return c.activity
}

// OpenBrowser shows url in the user's browser.
func (c *console) OpenBrowser(url string) error { return c.browse(url) }

// reminderInterval is how often a wait is reported where there is no countdown.
const reminderInterval = time.Minute

// Countdown shows what the command waits for and for how long: on a terminal every
// second, and otherwise once a minute. It returns when ctx ends.
func (c *console) Countdown(ctx context.Context, what string, limit time.Duration) {
	if !c.stderrIsTerminal {
		c.remind(ctx, what, limit)
		return
	}
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		c.mu.Lock()
		left := time.Until(deadline).Round(time.Second)
		fmt.Fprintf(c.stderr, "\r\x1b[Kgatehouse: waiting for %s (%s left, Ctrl-C stops)", what, left)
		c.countdown = true
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			c.mu.Lock()
			c.clearCountdown()
			c.mu.Unlock()
			return
		case <-tick.C:
		}
	}
}

// remind reports a wait in lines that stay.
func (c *console) remind(ctx context.Context, what string, limit time.Duration) {
	c.Note("waiting for %s, for at most %s", what, limit)
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(reminderInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.Note("still waiting for %s, %s left", what, time.Until(deadline).Round(time.Second))
		}
	}
}

// isTerminal reports whether file is a terminal, or at least a character device.
func isTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// escapeControls returns s with every control character except newline and tab written
// as \uXXXX.
func escapeControls(s string) string {
	if !strings.ContainsFunc(s, isTerminalControl) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if isTerminalControl(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isTerminalControl(r rune) bool {
	return unicode.IsControl(r) && r != '\n' && r != '\t'
}
