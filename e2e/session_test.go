//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// session is a client that is connected to an MCP server.
type session interface {
	// connect signs the user in if the server requires it, and returns the negotiated
	// revision of MCP. It may be called again after the server has stopped.
	connect(ctx context.Context, u user) (revision string, err error)
	tools(ctx context.Context) ([]string, error)
	call(ctx context.Context, tool string, input map[string]any) (*mcp.CallToolResult, error)
	close(ctx context.Context) error
}

// whoami is the result of the tool whoami.
type whoami struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

// organization is the result of the tool organization.
type organization struct {
	Name string `json:"name"`
	Slug string `json:"slug"`
}

// notes is the result of the tool note.
type notes struct {
	Author string   `json:"author"`
	Notes  []string `json:"notes"`
}

// callTool calls a tool and returns its structured content.
func callTool[T any](ctx context.Context, s session, tool string, input map[string]any) (T, error) {
	var answer T
	if input == nil {
		input = map[string]any{}
	}
	result, err := s.call(ctx, tool, input)
	if err != nil {
		return answer, err
	}
	if result.IsError {
		return answer, fmt.Errorf("tool %s reports an error: %s", tool, textOf(result))
	}
	data, err := json.Marshal(result.StructuredContent)
	if err != nil {
		return answer, err
	}
	return answer, json.Unmarshal(data, &answer)
}

func textOf(result *mcp.CallToolResult) string {
	for _, content := range result.Content {
		if text, ok := content.(*mcp.TextContent); ok {
			return text.Text
		}
	}
	return ""
}
