// An MCP server that rejects the tokens of a user as soon as Clerk reports that the user
// was banned, deleted or signed out. Without it, a token stays valid for up to a day.
//
//	go run .
package main

import (
	"cmp"
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/reply"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"golang.org/x/sync/errgroup"
)

// defaultWebhookAddr is where the webhook listens. The MCP server has a port of its own.
const defaultWebhookAddr = "localhost:3001"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	store, closeStore, storeErr := openStore(ctx, os.Getenv(storeVariable))
	server, serverErr := newServer(serve.Config{Provider: clerk.FromEnv(), Revocations: store})
	hook, hookErr := newWebhook(os.Getenv(secretVariable), func(d gatehouse.Denial) error { return server.Guard().Deny(d) })
	if err := errors.Join(storeErr, hookErr, serverErr); err != nil {
		return err
	}
	defer closeStore()
	servers, ctx := errgroup.WithContext(ctx)
	servers.Go(func() error { return server.ListenAndServe(ctx) })
	servers.Go(func() error {
		return listen(ctx, cmp.Or(os.Getenv("WEBHOOK_ADDR"), defaultWebhookAddr), hook)
	})
	return servers.Wait()
}

// newServer returns the MCP server.
func newServer(cfg serve.Config) (*serve.Server, error) {
	cfg.Name, cfg.Version = "webhook", "1.0.0"
	server, err := serve.New(cfg)
	if err != nil {
		return nil, err
	}
	mcp.AddTool(server.MCP, &mcp.Tool{Name: "whoami", Description: "Get the signed-in user"}, whoami)
	return server, nil
}

func whoami(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	id, _ := gatehouse.IdentityOf(req)
	return reply.Object(map[string]any{"userId": id.Subject, "organization": id.Organization.ID}), nil, nil
}

// listen serves the webhook at addr until ctx ends.
func listen(ctx context.Context, addr string, hook *webhook) error {
	mux := http.NewServeMux()
	mux.Handle("POST /webhooks/clerk", hook)
	server := &http.Server{
		Addr:              addr,
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       time.Minute,
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
