package main

import (
	"context"
	"errors"
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

// runWhoami serves a few tools that tell what a server learns of its caller.
func (h *house) runWhoami(ctx context.Context, con *console) error {
	server, err := serve.New(serve.Config{
		Name:         "whoami",
		Title:        "Who am I?",
		Version:      version,
		Instructions: "Tells who is signed in, and what the server learns of them.",
		Provider: clerk.New(clerk.Config{
			FrontendAPIURL:  h.clerk.Issuer(),
			SecretKey:       clerk.Secret(h.clerk.SecretKey()),
			BackendAPIURL:   h.clerk.Issuer(),
			ScopesSupported: []string{"profile", "email", clerk.OrganizationScope},
		}),
		URL:    h.origin(),
		Host:   listen.Localhost,
		Logger: h.logger.With("from", "server"),
	})
	if err != nil {
		return err
	}
	addWhoamiTools(server.MCP)
	con.note("MCP server at %s", server.URL())
	h.announce(con)
	con.note("in another terminal: %s call %s whoami", programName(), server.URL())
	con.note("Ctrl-C stops both")
	return server.Serve(ctx, h.behind)
}

// programName is how the person called this program.
func programName() string {
	if strings.Contains(os.Args[0], "go-build") {
		return "go run ./cmd/gatehouse"
	}
	return "gatehouse"
}

func addWhoamiTools(server *mcp.Server) {
	mcp.AddTool(server, &mcp.Tool{Name: "whoami", Description: "Tells who is signed in: name, email and organization"}, whoami)
	mcp.AddTool(server, &mcp.Tool{Name: "organization", Description: "Tells the organization that was chosen on the consent page"}, organization)
	mcp.AddTool(server, &mcp.Tool{Name: "token", Description: "Tells what the access token says: issuer, client, scopes, audience, expiry"}, tokenFacts)
	notes := &notebook{}
	mcp.AddTool(server, &mcp.Tool{Name: "note", Description: "Keeps a note for the caller, and lists the caller's notes; nobody sees another's"}, notes.note)
}

func whoami(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	user, err := clerk.Profile(ctx, req)
	if err != nil {
		return reply.Error(profileProblem(err)), nil, nil
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

func organization(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	user, err := clerk.Profile(ctx, req)
	if err != nil {
		return reply.Error(profileProblem(err)), nil, nil
	}
	if user.Org.ID == "" {
		return reply.Error("No active organization. Sign in again and choose one on the consent page."), nil, nil
	}
	return reply.Object(organizationOf(user)), nil, nil
}

func organizationOf(user clerk.User) map[string]any {
	return map[string]any{"id": user.Org.ID, "name": user.Org.Name, "slug": user.Org.Slug}
}

func profileProblem(err error) string {
	if errors.Is(err, clerk.ErrTokenRevoked) {
		return "Clerk no longer accepts this sign-in. Sign in again."
	}
	return "Clerk did not answer, try again."
}

func tokenFacts(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	id, ok := gatehouse.IdentityOf(req)
	if !ok {
		return reply.Error("Nobody is signed in."), nil, nil
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
	maxNotes      = 100 // of one user
	maxNoteLength = 2000
	maxAuthors    = 1000
)

// notebook keeps notes by principal, as a tool with data of its own would.
type notebook struct {
	mu    sync.Mutex
	notes map[string][]string
}

type noteInput struct {
	Text string `json:"text,omitempty" jsonschema:"the note to keep; leave it out to list the notes"`
}

func (n *notebook) note(_ context.Context, req *mcp.CallToolRequest, in noteInput) (*mcp.CallToolResult, any, error) {
	id, ok := gatehouse.IdentityOf(req)
	if !ok {
		return reply.Error("Nobody is signed in."), nil, nil
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
