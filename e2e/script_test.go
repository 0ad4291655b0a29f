//go:build e2e && unix

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// maxReply bounds one line of a script.
const maxReply = 1 << 20

// script is a client in JavaScript: a program of the folder clients that obeys
// commands, see clients/commands.mjs.
type script struct {
	endpoint string
	program  *program
	commands io.WriteCloser
	replies  chan reply
}

type reply struct {
	Value json.RawMessage `json:"value"`
	Error string          `json:"error"`
}

// newScript starts a script of the folder clients.
func newScript(t testing.TB, endpoint, file string, args ...string) *script {
	t.Helper()
	commands, write := io.Pipe()
	read, stdout := io.Pipe()
	argv := append([]string{node(t), filepath.Join(packages(t), "clients", file)}, args...)
	s := &script{endpoint: endpoint, commands: write, replies: make(chan reply)}
	s.program = launch(t, file, commands, stdout, nil, argv...)
	t.Cleanup(func() { write.Close() })
	ended := s.program.done
	go func() { <-ended; stdout.Close() }()
	go func() {
		defer close(s.replies)
		lines := bufio.NewScanner(read)
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

// obey sends a command and returns the value of its reply.
func (s *script) obey(ctx context.Context, command string, input map[string]any, value any) error {
	line := map[string]any{"command": command}
	for name, v := range input {
		line[name] = v
	}
	data, err := json.Marshal(line)
	if err != nil {
		return err
	}
	if _, err := s.commands.Write(append(data, '\n')); err != nil {
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
		return fmt.Errorf("%s has not answered %q: %w", s.program.name, command, ctx.Err())
	}
}

func (s *script) connect(ctx context.Context, p person) (revision string, err error) {
	err = s.obey(ctx, "connect", map[string]any{
		"url": s.endpoint, "user": p.username, "name": p.name, "consent": p.consent(), "organization": p.organization,
	}, &revision)
	return revision, err
}

func (s *script) tools(ctx context.Context) (names []string, err error) {
	err = s.obey(ctx, "tools", nil, &names)
	return names, err
}

func (s *script) call(ctx context.Context, tool string, input map[string]any) (*mcp.CallToolResult, error) {
	var result mcp.CallToolResult
	err := s.obey(ctx, "call", map[string]any{"tool": tool, "input": input}, &result)
	return &result, err
}

// forget has the client forget what it knows of the server and its Clerk.
func (s *script) forget(ctx context.Context) error { return s.obey(ctx, "forget", nil, nil) }

func (s *script) close(ctx context.Context) error { return s.obey(ctx, "close", nil, nil) }
