package main

import (
	"context"
	"errors"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const notePrefix = "notes://mine/"

func (t *tools) addResources(server *serve.Server) {
	server.MCP.AddResourceTemplate(server.ProtectResourceTemplate(
		&mcp.ResourceTemplate{Name: "note", URITemplate: notePrefix + "{id}", MIMEType: "text/markdown"},
		gatehouse.Require{SignedIn: true},
	), t.noteResource)
	server.MCP.AddPrompt(server.ProtectPrompt(&mcp.Prompt{
		Name:        "improve_note",
		Description: "Improve a note",
		Arguments:   []*mcp.PromptArgument{{Name: "id", Required: true}},
	}, gatehouse.Require{SignedIn: true}), t.improveNote)
}

func (t *tools) noteResource(ctx context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	id, ok := gatehouse.IdentityOf(req)
	if !ok {
		return nil, errNotSignedIn
	}
	text, err := t.notes.read(id.Principal(), strings.TrimPrefix(req.Params.URI, notePrefix))
	if errors.Is(err, errNoSuchNote) {
		return nil, mcp.ResourceNotFoundError(req.Params.URI)
	} else if err != nil {
		return nil, forModel(ctx, "note", err)
	}
	return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: req.Params.URI, MIMEType: "text/markdown", Text: text}}}, nil
}

func (t *tools) improveNote(ctx context.Context, req *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
	id, ok := gatehouse.IdentityOf(req)
	if !ok {
		return nil, errNotSignedIn
	}
	name := req.Params.Arguments["id"]
	text, err := t.notes.read(id.Principal(), name)
	if err != nil {
		return nil, forModel(ctx, "improve_note", err)
	}
	return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{
		{Role: "user", Content: &mcp.TextContent{Text: "Improve the style of this note, and change nothing else."}},
		{Role: "user", Content: &mcp.EmbeddedResource{
			Resource: &mcp.ResourceContents{URI: notePrefix + name, MIMEType: "text/markdown", Text: text},
		}},
	}}, nil
}
