//go:build e2e && unix

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// callSession is "gatehouse call" as a session, every request of which is a
// command of its own. An error of it is what the command wrote to standard error.
type callSession struct {
	t        *testing.T
	shell    shell
	endpoint string
	flags    []string
	who      person
}

func newCallSession(t *testing.T, endpoint string, flags ...string) session {
	t.Helper()
	return &callSession{t: t, shell: shell{t.TempDir()}, endpoint: endpoint, flags: flags}
}

// connect lists the tools. The command does not tell the revision.
func (s *callSession) connect(ctx context.Context, p person) (string, error) {
	s.who = p
	_, err := s.tools(ctx)
	return "", err
}

func (s *callSession) tools(ctx context.Context) ([]string, error) {
	var list mcp.ListToolsResult
	if err := s.do(ctx, &list, "list"); err != nil {
		return nil, err
	}
	var names []string
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
	}
	return names, nil
}

func (s *callSession) call(ctx context.Context, tool string, input map[string]any) (*mcp.CallToolResult, error) {
	arguments, err := json.Marshal(input)
	if err != nil {
		return nil, err
	}
	var result mcp.CallToolResult
	return &result, s.do(ctx, &result, tool, string(arguments))
}

// close does nothing: no command is left.
func (s *callSession) close(context.Context) error { return nil }

func (s *callSession) do(ctx context.Context, answer any, words ...string) error {
	args := append(append([]string{s.endpoint}, words...), "--json", "--user", s.who.username)
	stdout := &transcript{}
	command := s.shell.start(s.t, stdout, append(args, s.flags...)...)
	status, err := command.status(ctx)
	switch {
	case err != nil:
		return err
	case status != 0:
		return errors.New(command.stderr.String())
	}
	return json.Unmarshal([]byte(stdout.String()), answer)
}
