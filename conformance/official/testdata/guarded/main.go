// Guarded runs the everything-server of go-sdk behind the guard, with a local Clerk that
// issues the tokens. The functions that register the features of the everything-server
// come from its own source, which the build adds to this package.
//
// It writes one line of JSON with the address of the endpoint and a token for it, and
// serves until its standard input ends.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	local, err := issuer(ctx)
	if err != nil {
		return err
	}
	listeners, err := listen.TCP(listen.Localhost, 0)
	if err != nil {
		return err
	}
	server, err := serve.New(serve.Config{
		Name:     "mcp-conformance-test-server",
		Version:  "1.0.0",
		Provider: clerk.New(clerk.Config{FrontendAPIURL: local.Issuer(), RequireAudience: true}),
		Host:     listen.Localhost,
		Port:     listen.Port(listeners[0]),
		ServerOptions: &mcp.ServerOptions{
			CompletionHandler:  completionHandler,
			SubscribeHandler:   subscribeHandler,
			UnsubscribeHandler: unsubscribeHandler,
		},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	registerTools(server.MCP)
	registerResources(server.MCP)
	registerPrompts(server.MCP)
	go watchedResourceUpdater(ctx, server.MCP)

	token, err := local.IssueToken(localclerk.Token{Resource: server.URL()})
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"url": server.URL(), "token": token}); err != nil {
		return err
	}
	return server.Serve(ctx, listeners...)
}

// issuer runs a local Clerk on a free port until ctx ends.
func issuer(ctx context.Context) (*localclerk.Server, error) {
	listeners, err := listen.TCP(listen.Localhost, 0)
	if err != nil {
		return nil, err
	}
	local, err := localclerk.New(localclerk.Config{Issuer: fmt.Sprintf("http://localhost:%d", listen.Port(listeners[0]))})
	if err != nil {
		return nil, err
	}
	for _, l := range listeners {
		go local.Serve(ctx, l)
	}
	return local, nil
}
