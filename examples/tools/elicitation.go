package main

import (
	"context"
	"fmt"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/reply"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// canAsk reports whether the client can ask its user: with a form, or by opening a URL.
func canAsk(req *mcp.CallToolRequest, withURL bool) bool {
	p := req.Session.InitializeParams()
	if p == nil || p.Capabilities == nil || p.Capabilities.Elicitation == nil {
		return false
	}
	can := p.Capabilities.Elicitation
	if withURL {
		return can.URL != nil
	}
	return can.Form != nil || can.URL == nil // a client that names neither has forms
}

func (t *tools) deleteNote(ctx context.Context, req *mcp.CallToolRequest, in noteInput) (*mcp.CallToolResult, any, error) {
	id, ok := gatehouse.IdentityOf(req)
	if !ok {
		return nil, nil, errNotSignedIn
	}
	if _, err := t.notes.read(id.Principal(), in.ID); err != nil {
		return nil, nil, forModel(ctx, "delete_note", err)
	}
	answer, answered := req.Params.InputResponses["confirm"].(*mcp.ElicitResult)
	switch {
	case !answered && !canAsk(req, false):
		return reply.Error("this client cannot ask the user; the note can be deleted on the website only"), nil, nil
	case !answered:
		return &mcp.CallToolResult{
			InputRequests: mcp.InputRequestMap{"confirm": &mcp.ElicitParams{
				Message:         fmt.Sprintf("Delete the note %q?", in.ID),
				RequestedSchema: map[string]any{"type": "object", "properties": map[string]any{}}, // yes or no, without fields
			}},
			RequestState: t.states.seal(id, "delete_note", in.ID),
		}, nil, nil
	case !t.states.isValid(req.Params.RequestState, id, "delete_note", in.ID):
		return reply.Error("this answer is to another question, or it came too late; call the tool again without it"), nil, nil
	case answer.Action != "accept":
		return reply.Text("the user does not want that; the note was not deleted"), nil, nil
	}
	if err := t.notes.delete(id.Principal(), in.ID); err != nil {
		return nil, nil, forModel(ctx, "delete_note", err)
	}
	return reply.Text("the note was deleted"), nil, nil
}

func (t *tools) connectCalendar(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	id, ok := gatehouse.IdentityOf(req)
	if !ok {
		return nil, nil, errNotSignedIn
	}
	answer, answered := req.Params.InputResponses["connect"].(*mcp.ElicitResult)
	switch {
	case t.links.isConnected(id.Principal()):
		return reply.Text("the calendar is connected"), nil, nil
	case answered && answer.Action == "accept": // the user has opened the page, and has not finished there
		return reply.Text("the user is connecting the calendar in the browser; call the tool again when that is done"), nil, nil
	case answered:
		return reply.Text("the user does not want to connect a calendar"), nil, nil
	case !canAsk(req, true):
		return reply.Error("this client cannot open pages; ask the user to connect the calendar on the website"), nil, nil
	}
	url, linkID, err := t.links.begin(id.Principal())
	if err != nil {
		return nil, nil, forModel(ctx, "connect_calendar", err)
	}
	return &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{"connect": &mcp.ElicitParams{
		Mode: "url", Message: "Connect your calendar in the browser", URL: url, ElicitationID: linkID,
	}}}, nil, nil
}
