// The server of which the tests run several processes behind a router. Its tools answer with the
// name of the process, so that a test sees which one it has reached. The routes below /admin/ are
// for the tests, which reach them without the router.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/reply"
	"github.com/gatehouse-mcp/gatehouse/serve"
	gatehousepostgres "github.com/gatehouse-mcp/gatehouse/store/postgres"
	gatehouseredis "github.com/gatehouse-mcp/gatehouse/store/redis"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/redis/go-redis/v9"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	store, err := openStore(ctx, os.Getenv("REVOCATIONS_URL"))
	if err != nil {
		log.Fatal(err)
	}
	r := &replica{name: os.Getenv("REPLICA")}
	server, err := newServer(r, store)
	if err != nil {
		log.Fatal(err)
	}
	if err := server.ListenAndServe(ctx); err != nil {
		log.Fatal(err)
	}
}

// openStore returns the store at a URL. It is nil if the URL is empty.
func openStore(ctx context.Context, address string) (gatehouse.RevocationStore, error) {
	switch {
	case address == "":
		return nil, nil
	case strings.HasPrefix(address, "postgres:"):
		pool, err := pgxpool.New(ctx, address)
		if err != nil {
			return nil, err
		}
		return gatehousepostgres.New(gatehousepostgres.Config{Pool: pool})
	}
	options, err := redis.ParseURL(address)
	if err != nil {
		return nil, err
	}
	options.ContextTimeoutEnabled = true
	return gatehouseredis.New(gatehouseredis.Config{Client: redis.NewClient(options)})
}

// newServer returns the server. Its session IDs begin with the name of the process, by which a
// router can find the process that has the session.
func newServer(r *replica, store gatehouse.RevocationStore) (*serve.Server, error) {
	provider := gatehouse.OIDC(os.Getenv("ISSUER"), "profile", "email")
	provider.JWKSURL = os.Getenv("ISSUER_KEYS")
	name := r.name
	server, err := serve.New(serve.Config{
		Name:        "replica",
		Version:     "1.0.0",
		Provider:    provider,
		Revocations: store,
		Stateless:   os.Getenv("STATELESS") != "",
		ServerOptions: &mcp.ServerOptions{
			GetSessionID: func() string { return name + "-" + rand.Text() },
		},
		Routes:          r.routes,
		ShutdownTimeout: 5 * time.Second,
		SkipSelfCheck:   true,
	})
	if err != nil {
		return nil, err
	}
	r.addTools(server)
	return server, nil
}

// replica is one process.
type replica struct {
	name     string
	server   *mcp.Server
	started  atomic.Int64 // calls of the tool wait
	canceled atomic.Int64 // those that ended because they were canceled
}

func (r *replica) addTools(server *serve.Server) {
	r.server = server.MCP
	add := func(tool *mcp.Tool, call mcp.ToolHandlerFor[struct{}, any]) { mcp.AddTool(server.MCP, tool, call) }
	add(&mcp.Tool{Name: "whoami", Description: "Get the user and the process"}, r.whoami)
	add(&mcp.Tool{Name: "steps", Description: "Report progress"}, r.steps)
	add(&mcp.Tool{Name: "ask", Description: "Ask the user"}, r.ask)
	add(&mcp.Tool{Name: "wait", Description: "Run until the call is canceled"}, r.wait)
	add(server.ProtectTool(&mcp.Tool{Name: "write", Description: "Needs a scope"}, gatehouse.Require{Scopes: []string{"notes:write"}}), r.whoami)
}

func (r *replica) whoami(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	id, _ := gatehouse.IdentityOf(req)
	return reply.Object(map[string]any{"user": id.Subject, "replica": r.name}), nil, nil
}

// steps sends three notifications of progress.
func (r *replica) steps(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	for i := range 3 {
		err := req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{
			ProgressToken: req.Params.GetProgressToken(), Progress: float64(i + 1), Total: 3,
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return reply.Text("finished"), nil, nil
}

// ask asks the user for a confirmation, in every revision.
func (r *replica) ask(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	if answer, ok := req.Params.InputResponses["confirm"].(*mcp.ElicitResult); ok {
		return reply.Text("the user answered " + answer.Action), nil, nil
	}
	return &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{"confirm": &mcp.ElicitParams{
		Message:         "Continue?",
		RequestedSchema: map[string]any{"type": "object", "properties": map[string]any{}},
	}}}, nil, nil
}

// wait runs until the call is canceled, for a minute at most.
func (r *replica) wait(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	r.started.Add(1)
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	select {
	case <-ctx.Done():
		r.canceled.Add(1)
		return nil, nil, ctx.Err()
	case <-limit.C:
		return reply.Text("a minute has passed"), nil, nil
	}
}

// routes adds what the tests use.
func (r *replica) routes(mux *http.ServeMux, guard *gatehouse.Guard) {
	mux.HandleFunc("POST /admin/deny", func(w http.ResponseWriter, req *http.Request) {
		err := guard.Deny(gatehouse.Denial{Subject: req.FormValue("subject"), Until: time.Now().Add(24 * time.Hour)})
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("POST /admin/notify", func(http.ResponseWriter, *http.Request) {
		mcp.AddTool(r.server, &mcp.Tool{Name: "new_" + strings.ToLower(rand.Text())},
			func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
				return nil, nil, nil
			})
	})
	mux.HandleFunc("GET /admin/stats", func(w http.ResponseWriter, _ *http.Request) {
		stats := guard.Stats()
		json.NewEncoder(w).Encode(map[string]any{
			"replica": cmp.Or(r.name, "unnamed"), "started": r.started.Load(), "canceled": r.canceled.Load(),
			"sessions": stats.Sessions, "revocations": stats.Revocations,
		})
	})
}
