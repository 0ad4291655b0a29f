//go:build e2e && unix

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// callSession is a session whose requests are commands of "gatehouse call", one each. The
// text of an error is what the command wrote to standard error.
type callSession struct {
	t        *testing.T
	runner   callRunner
	endpoint string
	flags    []string
	user     user
}

func newCallSession(t *testing.T, endpoint string, flags ...string) session {
	t.Helper()
	return &callSession{t: t, runner: callRunner{t.TempDir()}, endpoint: endpoint, flags: flags}
}

// connect lists the tools. It returns no revision, because the command does not print it.
func (s *callSession) connect(ctx context.Context, u user) (string, error) {
	s.user = u
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

// close does nothing: no command is running.
func (s *callSession) close(context.Context) error { return nil }

func (s *callSession) do(ctx context.Context, result any, words ...string) error {
	args := append(append([]string{s.endpoint}, words...), "--json", "--user", s.user.username)
	stdout := &testlog.Buffer{}
	command := s.runner.start(s.t, stdout, append(args, s.flags...)...)
	status, err := command.status(ctx)
	switch {
	case err != nil:
		return err
	case status != 0:
		return errors.New(command.stderr.String())
	}
	return json.Unmarshal([]byte(stdout.String()), result)
}
