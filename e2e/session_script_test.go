//go:build e2e && unix

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// maxReply bounds one reply of a script.
const maxReply = 1 << 20

// script is a client in JavaScript or Python: a program of the folder clients that runs
// commands; see clients/commands.mjs.
type script struct {
	endpoint string
	program  *program
	stdin    io.WriteCloser
	replies  chan reply
}

type reply struct {
	Value json.RawMessage `json:"value"`
	Error string          `json:"error"`
}

// newScript starts the JavaScript program file of the folder clients.
func newScript(t testing.TB, endpoint, file string, args ...string) *script {
	t.Helper()
	return runScript(t, endpoint, []string{node(t), filepath.Join(packages(t), "clients", file)}, args...)
}

// newPythonScript starts the Python program file of the folder clients. It writes no bytecode
// into that folder.
func newPythonScript(t testing.TB, endpoint string, install func() (string, error), file string, args ...string) *script {
	t.Helper()
	argv := []string{python(t, install), "-B", filepath.Join(repository, "e2e", "clients", file)}
	return runScript(t, endpoint, argv, args...)
}

// runScript starts a program with an interpreter: argv is the interpreter, its flags and the
// file of the program.
func runScript(t testing.TB, endpoint string, argv []string, args ...string) *script {
	t.Helper()
	// A pipe of the operating system: exec would wait for the end of any other reader after the
	// program has ended.
	stdin, commands, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	replies, stdout := io.Pipe()
	s := &script{endpoint: endpoint, stdin: commands, replies: make(chan reply)}
	s.program = launch(t, filepath.Base(argv[len(argv)-1]), stdin, stdout, nil, append(argv, args...)...)
	stdin.Close() // the program has it
	t.Cleanup(func() { commands.Close() })
	ended := s.program.ended.Done()
	go func() { <-ended; stdout.Close() }()
	go func() {
		defer close(s.replies)
		lines := bufio.NewScanner(replies)
		lines.Buffer(nil, maxReply)
		for lines.Scan() {
			var r reply
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				r = reply{Error: fmt.Sprintf("reply %q: %v", lines.Text(), err)}
			}
			select {
			case s.replies <- r:
			case <-ended:
				return
			}
		}
	}()
	return s
}

// command sends a command and stores the value of the reply in value, unless that is nil.
func (s *script) command(ctx context.Context, name string, input map[string]any, value any) error {
	line := map[string]any{"command": name}
	for key, v := range input {
		line[key] = v
	}
	data, err := json.Marshal(line)
	if err != nil {
		return err
	}
	if _, err := s.stdin.Write(append(data, '\n')); err != nil {
		return err
	}
	select {
	case r, ok := <-s.replies:
		switch {
		case !ok:
			return errors.New(s.program.name + " ended")
		case r.Error != "":
			return errors.New(r.Error)
		case value == nil:
			return nil
		}
		return json.Unmarshal(r.Value, value)
	case <-ctx.Done():
		return fmt.Errorf("%s has not answered %q: %w", s.program.name, name, ctx.Err())
	}
}

func (s *script) connect(ctx context.Context, u user) (revision string, err error) {
	input := u.input()
	input["url"] = s.endpoint
	err = s.command(ctx, "connect", input, &revision)
	return revision, err
}

// become sets the user who signs in next, if the server asks for that.
func (s *script) become(ctx context.Context, u user) error {
	return s.command(ctx, "become", u.input(), nil)
}

func (s *script) tools(ctx context.Context) (names []string, err error) {
	err = s.command(ctx, "tools", nil, &names)
	return names, err
}

func (s *script) call(ctx context.Context, tool string, input map[string]any) (*mcp.CallToolResult, error) {
	var result mcp.CallToolResult
	err := s.command(ctx, "call", map[string]any{"tool": tool, "input": input}, &result)
	return &result, err
}

// forget makes the client discard its registration and its tokens.
func (s *script) forget(ctx context.Context) error { return s.command(ctx, "forget", nil, nil) }

func (s *script) close(ctx context.Context) error { return s.command(ctx, "close", nil, nil) }
