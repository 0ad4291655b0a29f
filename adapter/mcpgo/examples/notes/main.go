// A server of mark3labs/mcp-go with sign-in, a tool that needs a scope, and a tool and a resource
// template that need an organization. From the root of the repository:
//
//	go run ./cmd/gatehouse dev -- sh -c 'cd adapter/mcpgo && GOWORK=off go run ./examples/notes'
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/adapter/mcpgo"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

func main() {
	port := cmp.Or(os.Getenv("PORT"), "3000")
	origin := cmp.Or(os.Getenv("MCP_URL"), "http://localhost:"+port)
	handler, err := newHandler(origin, clerk.FromEnv())
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("serving %s/mcp", origin)
	srv := &http.Server{Addr: "localhost:" + port, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(srv.ListenAndServe())
}

// newHandler returns the server, whose endpoint is the path /mcp at origin.
func newHandler(origin string, provider gatehouse.Provider) (http.Handler, error) {
	guard, err := gatehouse.New(gatehouse.Config{Resource: origin + "/mcp", Provider: provider})
	if err != nil {
		return nil, err
	}
	mcpServer := server.NewMCPServer("notes", "1.0.0")
	adapter := mcpgo.Attach(mcpServer, guard)

	n := &notes{byOwner: make(map[string][]string)}
	mcpServer.AddTool(mcp.NewTool("add_note",
		mcp.WithDescription("Add a note"),
		mcp.WithString("text", mcp.Required()),
	), n.add)
	mcpServer.AddTool(mcp.NewTool("list_notes", mcp.WithDescription("List my notes")), n.list)
	mcpServer.AddTool(adapter.ProtectTool(mcp.NewTool("delete_notes",
		mcp.WithDescription("Delete all my notes"),
	), gatehouse.Require{Scopes: []string{"notes:write"}}), n.deleteAll)
	mcpServer.AddTool(adapter.ProtectTool(mcp.NewTool("organization",
		mcp.WithDescription("Get the organization that I chose when I signed in"),
	), gatehouse.Require{Organization: true}), organization)
	mcpServer.AddResourceTemplate(adapter.ProtectResourceTemplate(
		mcp.NewResourceTemplate("notes://team/{name}", "team notes"),
		gatehouse.Require{Organization: true},
	), teamNote)

	mux := http.NewServeMux()
	guard.Mount(mux, adapter.Handler())
	return mux, nil
}

// notes are the notes of all users, by principal.
type notes struct {
	mu      sync.Mutex
	byOwner map[string][]string
}

var errNotSignedIn = errors.New("not signed in")

func (n *notes) add(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	id, ok := mcpgo.IdentityOf(ctx)
	if !ok {
		return nil, errNotSignedIn
	}
	text, err := req.RequireString("text")
	if err != nil {
		return mcp.NewToolResultError(err.Error()), nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.byOwner[id.Principal()] = append(n.byOwner[id.Principal()], text)
	return mcp.NewToolResultText("added"), nil
}

func (n *notes) list(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	id, ok := mcpgo.IdentityOf(ctx)
	if !ok {
		return nil, errNotSignedIn
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return mcp.NewToolResultText(strings.Join(n.byOwner[id.Principal()], "\n")), nil
}

func (n *notes) deleteAll(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	id, ok := mcpgo.IdentityOf(ctx)
	if !ok {
		return nil, errNotSignedIn
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.byOwner, id.Principal())
	return mcp.NewToolResultText("deleted"), nil
}

// organization uses a function of the provider's package, which takes a request of go-sdk.
func organization(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	user, ok := clerk.UserOf(mcpgo.RequestOf(ctx))
	if !ok {
		return nil, errNotSignedIn
	}
	return mcp.NewToolResultText(user.Org.ID), nil
}

func teamNote(ctx context.Context, req mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
	id, ok := mcpgo.IdentityOf(ctx)
	if !ok {
		return nil, errNotSignedIn
	}
	return []mcp.ResourceContents{mcp.TextResourceContents{
		URI:  req.Params.URI,
		Text: fmt.Sprintf("a note of organization %s", id.Organization.ID),
	}}, nil
}
