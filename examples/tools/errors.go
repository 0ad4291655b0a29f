package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/reply"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// modelError is an error whose text is for the model: it says what to do next, and nothing about the server.
type modelError string

func (e modelError) Error() string { return string(e) }

const (
	errNoSuchNote = modelError(`there is no such note; the notes are "welcome" and "todo"`)
	errTimeout    = modelError("it took too long and was stopped; ask for less, or try again")
	errInternal   = modelError("the server could not do this; try again later")
)

// forModel returns the error that a tool returns for err. What is not written for the model is logged, and
// replaced with a text that says nothing.
func forModel(ctx context.Context, tool string, err error) error {
	var known modelError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case ctx.Err() != nil:
		return errTimeout
	}
	slog.Error("tool failed", "tool", tool, "error", err)
	return errInternal
}

type noteInput struct {
	ID string `json:"id"`
}

func (t *tools) readNote(ctx context.Context, req *mcp.CallToolRequest, in noteInput) (*mcp.CallToolResult, any, error) {
	id, ok := gatehouse.IdentityOf(req)
	if !ok {
		return nil, nil, errNotSignedIn
	}
	text, err := t.notes.read(id.Principal(), in.ID)
	if err != nil {
		return nil, nil, forModel(ctx, "read_note", err)
	}
	return reply.Markdown(text), nil, nil
}
