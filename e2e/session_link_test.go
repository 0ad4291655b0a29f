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

// linkSession is like callSession, but the user opens the links that the commands print.
type linkSession struct {
	callSession
}

func newLinkSession(t *testing.T, endpoint string) *linkSession {
	t.Helper()
	return &linkSession{callSession{t: t, runner: callRunner{t.TempDir()}, endpoint: endpoint}}
}

// become sets the user who signs in next, if the server asks for that.
func (s *linkSession) become(_ context.Context, u user) error {
	s.user = u
	return nil
}

// connect lists the tools. It returns no revision, because the command does not print it.
func (s *linkSession) connect(ctx context.Context, u user) (string, error) {
	s.user = u
	return "", s.do(ctx, nil, "list")
}

func (s *linkSession) call(ctx context.Context, tool string, _ map[string]any) (*mcp.CallToolResult, error) {
	var result mcp.CallToolResult
	return &result, s.do(ctx, &result, tool)
}

// do runs a command, and signs the user in if it prints a link. It stores what the command prints
// in result, unless that is nil.
func (s *linkSession) do(ctx context.Context, result any, words ...string) error {
	stdout := &testlog.Buffer{}
	args := append(append([]string{s.endpoint}, words...), "--json", "--no-browser")
	command := s.runner.start(s.t, stdout, append(args, s.flags...)...)
	opening, stop := context.WithCancel(ctx)
	defer stop()
	signedIn := make(chan error, 1)
	go func() {
		link, err := command.await(opening, linkToOpen)
		if err == nil {
			err = s.user.signIn(opening, link)
		}
		signedIn <- err
	}()
	status, err := command.status(ctx)
	switch {
	case err != nil:
		select {
		case failed := <-signedIn:
			return errors.Join(err, failed)
		default:
			return err
		}
	case status != 0:
		return errors.New(command.stderr.String())
	case result == nil:
		return nil
	}
	return json.Unmarshal([]byte(stdout.String()), result)
}
