//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

const (
	maxFailures = 20  // that are repeated
	maxMessage  = 300 // bytes of each message
)

// failures has the tests that failed, each with its first message. TestMain prints them at the
// end: CI shows only the last lines, and after the first message of a test comes the output of its
// programs.
type failures struct {
	names    []string // in the order in which they failed
	messages map[string]string
	current  string // the test that printed the last line
}

var (
	// testLine matches a line by which package testing names a test.
	testLine = regexp.MustCompile(`^\x16?\s*(?:=== (?:RUN|CONT|NAME)|--- (?:PASS|SKIP|(FAIL)):)\s+(\S+)`)
	// messageLine matches a line that begins a message of a test.
	messageLine = regexp.MustCompile(`^\s+(\w+_test\.go:\d+: .*)`)
)

// read reads one line of the output of the tests, with or without -v.
func (f *failures) read(line string) {
	if m := testLine.FindStringSubmatch(line); m != nil {
		f.current = m[2]
		if m[1] != "" {
			f.names = append(f.names, f.current)
		}
		return
	}
	m := messageLine.FindStringSubmatch(line)
	if m == nil || f.messages[f.current] != "" {
		return
	}
	if f.messages == nil {
		f.messages = map[string]string{}
	}
	f.messages[f.current] = quote.Clip(m[1], maxMessage)
}

// String returns one line for each test, or nothing if none failed.
func (f *failures) String() string {
	var b strings.Builder
	for i, name := range f.names {
		if i == 0 {
			b.WriteString("\nfailed:\n")
		}
		if i == maxFailures {
			fmt.Fprintf(&b, "and %d more\n", len(f.names)-i)
			break
		}
		fmt.Fprintln(&b, strings.TrimSpace(name+" "+f.messages[name]))
	}
	return b.String()
}

// readOutput reads what the tests print to standard output, which it copies there. stop ends
// that, after which the failures are complete.
func readOutput() (f *failures, stop func(), err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	f = &failures{}
	stdout, done := os.Stdout, make(chan struct{})
	os.Stdout = w
	go func() {
		defer close(done)
		for lines := bufio.NewReader(r); ; {
			line, err := lines.ReadString('\n')
			stdout.WriteString(line)
			f.read(line)
			if err != nil {
				return
			}
		}
	}()
	return f, func() { os.Stdout = stdout; w.Close(); <-done }, nil
}

func TestFailures(t *testing.T) {
	const want = `
failed:
TestWindow
TestWindow/denied window_test.go:1: first
`
	for name, output := range map[string]string{
		"with -v": `=== RUN   TestWindow
=== RUN   TestWindow/denied
    window_test.go:1: first
        on two lines
    window_test.go:2: second
=== NAME  TestWindow
    testlog.go:98: output of gatehouse dev:
=== RUN   TestDev
    dev_test.go:3: for information
--- FAIL: TestWindow (0.00s)
    --- FAIL: TestWindow/denied (0.00s)
--- PASS: TestDev (0.00s)
`,
		"without -v": `--- FAIL: TestWindow (0.00s)
    testlog.go:98: output of gatehouse dev:
    --- FAIL: TestWindow/denied (0.00s)
        window_test.go:1: first
            on two lines
        window_test.go:2: second
FAIL
`,
	} {
		var f failures
		for line := range strings.Lines(output) {
			f.read(line)
		}
		if got := f.String(); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := new(failures).String(); got != "" {
		t.Errorf("without a failure: got %q, want nothing", got)
	}
}
