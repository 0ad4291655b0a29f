package main

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-mcp/gatehouse/reply"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	maxFiles     = 100
	indexTimeout = 2 * time.Minute
)

type indexInput struct {
	Files int `json:"files" jsonschema:"how many files, 1 to 100"`
}

func (t *tools) indexFiles(ctx context.Context, req *mcp.CallToolRequest, in indexInput) (*mcp.CallToolResult, any, error) {
	if in.Files < 1 || in.Files > maxFiles {
		return reply.Error(fmt.Sprintf("got %d files, want 1 to %d", in.Files, maxFiles)), nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, indexTimeout)
	defer cancel()
	for i := range in.Files {
		if err := t.index(ctx, i); err != nil { // ends with ctx
			return nil, nil, forModel(ctx, "index_files", err)
		}
		progress(ctx, req, i+1, in.Files)
	}
	return reply.Text(fmt.Sprintf("indexed %d files", in.Files)), nil, nil
}

// progress reports how far the call is, if the client has asked for that. A client that cannot receive it is not
// a reason to stop.
func progress(ctx context.Context, req *mcp.CallToolRequest, done, total int) {
	token := req.Params.GetProgressToken()
	if token == nil {
		return
	}
	_ = req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{
		ProgressToken: token,
		Progress:      float64(done),
		Total:         float64(total),
		Message:       fmt.Sprintf("indexed %d of %d files", done, total),
	})
}

// pretendToIndex takes as long as a file would.
func pretendToIndex(ctx context.Context, _ int) error {
	select {
	case <-time.After(200 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
