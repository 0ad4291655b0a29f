package main

import (
	"context"
	"errors"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/reply"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

var errNotSignedIn = errors.New("the request has no verified caller")

func whoami(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	id, ok := gatehouse.IdentityOf(req)
	if !ok {
		return nil, nil, errNotSignedIn // the request did not come through the guard
	}
	return reply.Object(map[string]any{
		"subject":      id.Subject, // unique within id.Issuer only
		"organization": id.Organization.ID,
		"scopes":       id.Scopes,
	}), nil, nil
}

type countInput struct {
	Text string `json:"text" jsonschema:"the text whose words are counted"`
}

type countOutput struct {
	Words      int `json:"words"`
	Characters int `json:"characters" jsonschema:"without spaces"`
}

func countWords(_ context.Context, _ *mcp.CallToolRequest, in countInput) (*mcp.CallToolResult, countOutput, error) {
	words := strings.Fields(in.Text)
	return nil, countOutput{Words: len(words), Characters: len([]rune(strings.Join(words, "")))}, nil
}

func weeklyReport(_ context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	return reply.Mix(
		reply.Markdown("# Week 48\n\nTwo orders, one return."),
		reply.Object(map[string]int{"orders": 2, "returns": 1}),
		reply.Resource("reports://2026/48", "text/csv", "day,orders\nMon,2\n"),
	), nil, nil
}
