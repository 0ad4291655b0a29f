package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/reply"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// runDemo serves a few tools that show what a server knows about the caller.
func (e *devEnvironment) runDemo(ctx context.Context, con *console) error {
	logger := e.logger.With(fromKey, "server")
	server, err := serve.New(serve.Config{
		Name:         "whoami",
		Title:        "Who am I?",
		Version:      version,
		Instructions: "Shows who is signed in, and what the server knows about them.",
		Provider: clerk.New(clerk.Config{
			FrontendAPIURL:  e.clerk.Issuer(),
			SecretKey:       clerk.Secret(e.clerk.SecretKey()),
			BackendAPIURL:   e.clerk.Issuer(),
			ScopesSupported: []string{"profile", "email", clerk.OrganizationScope},
		}),
		URL:  e.origin(),
		Host: listen.Localhost,
		// Its requests would be steps in the window.
		SkipSelfCheck: true,

		Logger: logger,
		// A token that Clerk no longer accepts gets 401, so that the client refreshes it.
		Revoked: clerk.TokenRejected,
	})
	if err != nil {
		return err
	}
	addDemoTools(server.MCP, logger)
	con.Note("MCP server at %s", server.URL())
	e.announce(con)
	con.Note("in another terminal: %s call %s whoami", programName(), server.URL())
	con.Note("Ctrl-C stops both")
	return server.Serve(ctx, e.serverListener)
}

// programName returns how the user started this program.
func programName() string {
	if strings.Contains(os.Args[0], "go-build") {
		return "go run ./cmd/gatehouse"
	}
	return "gatehouse"
}

func addDemoTools(server *mcp.Server, logger *slog.Logger) {
	tools := &demoTools{logger: logger}
	mcp.AddTool(server, &mcp.Tool{
		Name:        "whoami",
		Description: "Returns the signed-in user: name, email and organization",
	}, tools.whoami)
	mcp.AddTool(server, &mcp.Tool{
		Name:        "organization",
		Description: "Returns the organization that was chosen on the consent page",
	}, tools.organization)
	mcp.AddTool(server, &mcp.Tool{
		Name:        "token",
		Description: "Returns the claims of the access token: issuer, client, scopes, audience, expiry",
	}, tokenClaims)
	notes := &notebook{}
	mcp.AddTool(server, &mcp.Tool{
		Name:        "note",
		Description: "Saves a note for the caller and lists the caller's notes; no one sees the notes of others",
	}, notes.note)
}

// demoTools are the tools that ask Clerk about the caller.
type demoTools struct{ logger *slog.Logger }

func (d *demoTools) whoami(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	user, err := clerk.Profile(ctx, req)
	if err != nil {
		return reply.Error(d.profileProblem(err)), nil, nil
	}
	id, _ := gatehouse.IdentityOf(req)
	result := map[string]any{
		"userId":   user.ID,
		"email":    user.Email,
		"name":     user.Name,
		"scopes":   id.Scopes,
		"clientId": id.ClientID,
	}
	if user.Org.ID != "" {
		result["organization"] = organizationOf(user)
	}
	return reply.Object(result), nil, nil
}

func (d *demoTools) organization(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	user, err := clerk.Profile(ctx, req)
	if err != nil {
		return reply.Error(d.profileProblem(err)), nil, nil
	}
	if user.Org.ID == "" {
		return reply.Error("No active organization. Sign in again and choose one on the consent page."), nil, nil
	}
	return reply.Object(organizationOf(user)), nil, nil
}

func organizationOf(user clerk.User) map[string]any {
	return map[string]any{"id": user.Org.ID, "name": user.Org.Name, "slug": user.Org.Slug}
}

// profileProblem logs the error of clerk.Profile with its details, and returns what the
// user can do about it.
func (d *demoTools) profileProblem(err error) string {
	d.logger.Warn("no profile", "error", err)
	switch {
	case errors.Is(err, clerk.ErrTokenRevoked):
		return "Your sign-in has expired or was revoked. Sign in again."
	case errors.Is(err, clerk.ErrNotSignedIn):
		return "No one is signed in."
	}
	return "Clerk did not answer. Try again later."
}

func tokenClaims(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	id, ok := gatehouse.IdentityOf(req)
	if !ok {
		return reply.Error("No one is signed in."), nil, nil
	}
	return reply.Object(map[string]any{
		"issuer":   id.Issuer,
		"subject":  id.Subject,
		"clientId": id.ClientID,
		"scopes":   id.Scopes,
		"audience": id.Audience,
		"expires":  id.Expiry.UTC().Format(time.RFC3339),
	}), nil, nil
}

const (
	maxNotes      = 100  // of one user
	maxNoteLength = 2000 // bytes
	maxAuthors    = 1000
)

// notebook keeps notes by principal, as a tool with its own data would.
type notebook struct {
	mu    sync.Mutex
	notes map[string][]string
}

type noteInput struct {
	Text string `json:"text,omitempty" jsonschema:"the note to save; leave it out to list the notes"`
}

func (n *notebook) note(_ context.Context, req *mcp.CallToolRequest, in noteInput) (*mcp.CallToolResult, any, error) {
	id, ok := gatehouse.IdentityOf(req)
	if !ok {
		return reply.Error("No one is signed in."), nil, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	mine := n.notes[id.Principal()]
	if in.Text != "" {
		if len(in.Text) > maxNoteLength || len(mine) >= maxNotes || len(n.notes) >= maxAuthors {
			return reply.Error("The notebook is full, or the note is too long."), nil, nil
		}
		if n.notes == nil {
			n.notes = make(map[string][]string)
		}
		mine = append(mine, in.Text)
		n.notes[id.Principal()] = mine
	}
	return reply.Object(map[string]any{"author": id.Subject, "notes": append([]string{}, mine...)}), nil, nil
}
