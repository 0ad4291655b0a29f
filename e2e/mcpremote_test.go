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

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// remoteSession is a client that speaks MCP on standard input and output, like
// many desktop applications, and mcp-remote between it and the server.
type remoteSession struct {
	t        testing.TB
	endpoint string
	settings string
	session  *mcp.ClientSession
}

func newRemoteSession(t testing.TB, endpoint string) session {
	return &remoteSession{t: t, endpoint: endpoint, settings: t.TempDir()}
}

var (
	// remoteLink is the link that mcp-remote prints.
	remoteLink = regexp.MustCompile(`https?://\S+/oauth/authorize\?\S+`)
	// denied is how it tells that nobody may come in.
	denied = regexp.MustCompile(`access_denied|denied the request`)
)

func (s *remoteSession) connect(ctx context.Context, p person) (string, error) {
	stderr := &transcript{}
	stderr.showOnFailure(s.t, "mcp-remote")
	cmd := exec.Command(node(s.t), filepath.Join(packages(s.t), "node_modules/mcp-remote/dist/proxy.js"), s.endpoint)
	cmd.Env = append(environment(s.t), "MCP_REMOTE_CONFIG_DIR="+s.settings, "HOME="+s.settings, "BROWSER=/bin/true")
	cmd.Stderr = stderr
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		link := stderr.wait(ctx, remoteLink)
		if link == "" {
			return
		}
		p.signInWhenHeard(ctx, link)
		if stderr.wait(ctx, denied) != "" {
			stop() // mcp-remote would keep its client waiting
		}
	}()
	client := mcp.NewClient(&mcp.Implementation{Name: "gatehouse-e2e", Version: "1.0.0"}, nil)
	session, err := client.Connect(ctx, &mcp.CommandTransport{Command: cmd}, &mcp.ClientSessionOptions{ProtocolVersion: "2025-11-25"})
	if err != nil {
		return "", fmt.Errorf("%w; mcp-remote wrote %s", err, stderr)
	}
	s.session = session
	return session.InitializeResult().ProtocolVersion, nil
}

// signInWhenHeard signs in, and again while the client does not listen yet:
// mcp-remote prints the link before it does.
func (p person) signInWhenHeard(ctx context.Context, link string) {
	for p.signIn(ctx, link) != nil && ctx.Err() == nil {
		pause(ctx)
	}
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
