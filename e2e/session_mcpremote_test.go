//go:build e2e && unix

package e2e

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// remoteSession is a client that uses MCP on standard input and output, as many desktop
// applications do, with mcp-remote between it and the server.
type remoteSession struct {
	t        testing.TB
	endpoint string
	config   string // folder of the configuration of mcp-remote
	session  *mcp.ClientSession
}

func newRemoteSession(t testing.TB, endpoint string) session {
	return &remoteSession{t: t, endpoint: endpoint, config: t.TempDir()}
}

var (
	// remoteLink matches the link that mcp-remote prints.
	remoteLink = regexp.MustCompile(`https?://\S+/oauth/authorize\?\S+`)
	// denied matches its message that consent was denied.
	denied = regexp.MustCompile(`access_denied|denied the request`)
)

func (s *remoteSession) connect(ctx context.Context, u user) (string, error) {
	stderr := &testlog.Buffer{}
	stderr.ShowOnFailure(s.t, "mcp-remote")
	cmd := exec.Command(node(s.t), filepath.Join(packages(s.t), "node_modules/mcp-remote/dist/proxy.js"), s.endpoint)
	cmd.Env = append(environment(s.t), "MCP_REMOTE_CONFIG_DIR="+s.config, "HOME="+s.config, "BROWSER=/bin/true")
	cmd.Stderr = stderr
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		link, err := stderr.Wait(ctx, remoteLink)
		if err != nil {
			return
		}
		// mcp-remote prints the link before it listens.
		u.signInUntilHeard(ctx, link[0])
		if _, err := stderr.Wait(ctx, denied); err == nil {
			stop() // because mcp-remote would keep its client waiting
		}
	}()
	client := mcp.NewClient(&mcp.Implementation{Name: "gatehouse-e2e", Version: "1.0.0"}, nil)
	options := &mcp.ClientSessionOptions{ProtocolVersion: "2025-11-25"}
	session, err := client.Connect(ctx, &mcp.CommandTransport{Command: cmd}, options)
	if err != nil {
		return "", fmt.Errorf("%w; mcp-remote wrote %s", err, stderr)
	}
	s.session = session
	return session.InitializeResult().ProtocolVersion, nil
}

func (s *remoteSession) tools(ctx context.Context) ([]string, error) {
	return toolNames(ctx, s.session)
}

func (s *remoteSession) call(ctx context.Context, tool string, input map[string]any) (*mcp.CallToolResult, error) {
	return s.session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: input})
}

func (s *remoteSession) close(context.Context) error {
	err := s.session.Close()
	if err == io.EOF {
		return nil
	}
	return err
}
