// A server with sessions of which several processes run behind nginx (nginx.conf) or HAProxy
// (haproxy.cfg). Each needs a name and a port of its own, and the public URL of all:
//
//	MCP_URL=https://mcp.example.com/mcp REPLICA=one PORT=3001 go run .
package main

import (
	"context"
	"crypto/rand"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/reply"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	server, err := newServer(os.Getenv("REPLICA"))
	if err != nil {
		log.Fatal(err)
	}
	if err := server.ListenAndServe(ctx); err != nil {
		log.Fatal(err)
	}
}

// newServer returns the server of a replica.
func newServer(replica string) (*serve.Server, error) {
	server, err := serve.New(serve.Config{
		Name:     "replicas",
		Version:  "1.0.0",
		Provider: clerk.FromEnv(),
		ServerOptions: &mcp.ServerOptions{
			GetSessionID: func() string { return replica + "-" + rand.Text() },
		},
	})
	if err != nil {
		return nil, err
	}
	mcp.AddTool(server.MCP, &mcp.Tool{Name: "whoami", Description: "Get the signed-in user and the replica"},
		func(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			id, _ := gatehouse.IdentityOf(req)
			return reply.Object(map[string]any{"user": id.Subject, "replica": replica}), nil, nil
		})
	return server, nil
}
