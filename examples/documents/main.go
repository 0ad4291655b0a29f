// A document server for several organizations, on SQLite. Members of an organization share
// documents with each other, and no one sees those of another organization. README.md says
// how to try it.
package main

import (
	"cmp"
	"context"
	"errors"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends. The server then lets running calls finish before the database
// is closed.
func run(ctx context.Context) (err error) {
	store, err := openStore(ctx, cmp.Or(os.Getenv("DOCUMENTS_DB"), "documents.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	server, err := newServer(serve.Config{
		Provider: clerk.FromEnv(),
		AuditKey: gatehouse.AuditKey(os.Getenv("AUDIT_KEY")), // of: openssl rand -base64 32
	}, store, os.Getenv("DOCUMENTS_READ_ONLY") != "")
	if err != nil {
		return err
	}
	go store.trimAuditEvents(ctx)
	return server.ListenAndServe(ctx)
}

// newServer returns the MCP server. If readOnly is true, it has no tools that change documents.
func newServer(cfg serve.Config, store *store, readOnly bool) (*serve.Server, error) {
	cfg.Name, cfg.Version, cfg.Title = "documents", "1.0.0", "Documents"
	cfg.Instructions = "Documents of the user's organization, or of the user alone if no organization was chosen at sign-in. " +
		"Read a document before you update it, and pass the version that you read."

	// A tool without a requirement is rejected, so a forgotten one is closed.
	cfg.DenyUndeclared = true
	cfg.ImpliedScopes = map[string][]string{scopeWrite: {scopeRead}}

	// Admins of an organization must see who did what, so events name the user.
	cfg.Audit = store.writeAuditEvent
	cfg.AuditSubjects = gatehouse.AuditSubjectsClear

	cfg.ServerOptions = &mcp.ServerOptions{PageSize: 100}
	server, err := serve.New(cfg)
	if err != nil {
		return nil, err
	}
	d := &documentServer{
		Server:   server,
		store:    store,
		isMember: clerk.IsMember(cfg.Provider),
		isAdmin:  clerk.HasRole(cfg.Provider, roleAdmin),
	}
	d.addReadingTools()
	d.addAuditTool()
	d.addResources()
	if !readOnly {
		d.addWritingTools()
	}
	return server, nil
}
