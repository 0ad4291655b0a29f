//go:build proxies && unix

package proxies

import (
	"context"
	"net/http"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// withToken adds a token to each request.
type withToken struct {
	next  http.RoundTripper
	token string
}

func (w withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+w.token)
	return w.next.RoundTrip(r)
}

// newMCP returns an MCP server that knows nothing of OAuth. Its tool says who calls, after three
// notifications of its progress.
func newMCP() http.Handler {
	server := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "whoami", Description: "Says who calls"},
		func(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			for i := range 3 {
				if err := req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: req.Params.GetProgressToken(), Progress: float64(i)}); err != nil {
					return nil, nil, err
				}
			}
			user := req.Extra.Header.Get("X-Forwarded-User")
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: user}}}, nil, nil
		})
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
}

// A client with a session calls a tool, gets its progress, and closes the session.
func TestClient(t *testing.T) {
	for _, r := range recipes {
		t.Run(r.name, func(t *testing.T) {
			s := newSetup(t, r, func(s *setup) { s.backend.mcp = newMCP() })
			progress := make(chan float64, 3)
			client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1.0.0"}, &mcp.ClientOptions{
				ProgressNotificationHandler: func(_ context.Context, req *mcp.ProgressNotificationClientRequest) { progress <- req.Params.Progress },
			})
			ctx := within(t, stepTime)
			session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: endpoint,
				HTTPClient: &http.Client{Transport: withToken{s.client.Transport, s.issuer.Token(resource)}}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			params := &mcp.CallToolParams{Name: "whoami"}
			params.SetProgressToken("1")
			result, err := session.CallTool(ctx, params)
			if err != nil {
				t.Fatal(err)
			}
			if text, ok := result.Content[0].(*mcp.TextContent); !ok || text.Text != "user_ada" {
				t.Errorf("got %+v, want user_ada", result.Content[0])
			}
			for want := range 3 {
				if got := <-progress; got != float64(want) {
					t.Errorf("got progress %v, want %d", got, want)
				}
			}
			if err := session.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
