// A server whose tools show how to write tools: the caller's identity, results, errors, progress, questions to the user,
// and other APIs. The guide docs/tools.md is made of it.
//
//	go run ./cmd/gatehouse dev -- go run ./examples/tools
//
// The tool list_invoices needs an API at BILLING_URL, and its key in BILLING_KEY.
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	server, err := newServer(serve.Config{Provider: clerk.FromEnv()}, newTools())
	if err != nil {
		log.Fatal(err)
	}
	if err := server.ListenAndServe(ctx); err != nil {
		log.Fatal(err)
	}
}

// tools is what the tools share. Its methods are handlers, which run concurrently.
type tools struct {
	notes   *notes
	states  states
	links   *links
	billing *billing
	index   func(ctx context.Context, file int) error // indexes one file
}

func newTools() *tools {
	return &tools{
		notes:  newNotes(),
		states: newStates(),
		links:  newLinks("https://www.example.com/connect-calendar"),
		billing: &billing{
			url:    os.Getenv("BILLING_URL"),
			key:    gatehouse.Secret(os.Getenv("BILLING_KEY")),
			client: &http.Client{Timeout: 5 * time.Second},
		},
		index: pretendToIndex,
	}
}

func newServer(cfg serve.Config, t *tools) (*serve.Server, error) {
	cfg.Name, cfg.Version = "tools", "1.0.0"
	cfg.DenyUndeclared = true
	server, err := serve.New(cfg)
	if err != nil {
		return nil, err
	}

	signedIn, person := gatehouse.Require{SignedIn: true}, gatehouse.Require{Person: true}
	add(server, "whoami", "Say who is signed in", signedIn, whoami)
	add(server, "count_words", "Count the words of a text", signedIn, countWords)
	add(server, "weekly_report", "Write the report of the week", signedIn, weeklyReport)
	add(server, "read_note", "Read a note of the user: welcome, todo", signedIn, t.readNote)
	add(server, "index_files", "Index up to 100 files, which takes a while", signedIn, t.indexFiles)
	add(server, "delete_note", "Delete a note after the user has agreed", person, t.deleteNote)
	add(server, "connect_calendar", "Let the user connect a calendar in the browser", person, t.connectCalendar)
	add(server, "get_email", "Ask the identity provider for the user's email address", person, getEmail)
	if t.billing.key != "" {
		add(server, "list_invoices", "List the user's invoices of the billing system", person, t.listInvoices)
	}
	t.addResources(server)
	return server, nil
}

func add[In, Out any](server *serve.Server, name, description string, r gatehouse.Require, handler mcp.ToolHandlerFor[In, Out]) {
	mcp.AddTool(server.MCP, server.ProtectTool(&mcp.Tool{Name: name, Description: description}, r), handler)
}
