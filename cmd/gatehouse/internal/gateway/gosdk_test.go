package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/forwarded"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

// withToken sends an access token with each request.
type withToken struct{ token string }

func (w withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+w.token)
	return http.DefaultTransport.RoundTrip(r)
}

// newGoServer starts an MCP server of the go-sdk that knows nothing of sign-in. It rejects a
// Host that is not its own.
func newGoServer(t *testing.T, options *mcp.StreamableHTTPOptions) *url.URL {
	t.Helper()
	server := mcp.NewServer(&mcp.Implementation{Name: "backend", Version: "1"}, nil)
	type input struct{}
	mcp.AddTool(server, &mcp.Tool{Name: "whoami"}, func(_ context.Context, req *mcp.CallToolRequest, _ input) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: req.Extra.Header.Get("X-Forwarded-User")}}}, nil, nil
	})
	mcp.AddTool(server, &mcp.Tool{Name: "steps"}, func(ctx context.Context, req *mcp.CallToolRequest, _ input) (*mcp.CallToolResult, any, error) {
		for i := range 3 {
			err := req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: req.Params.GetProgressToken(), Progress: float64(i)})
			if err != nil {
				return nil, nil, err
			}
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done"}}}, nil, nil
	})
	mcp.AddTool(server, &mcp.Tool{Name: "asks"}, func(ctx context.Context, req *mcp.CallToolRequest, _ input) (*mcp.CallToolResult, any, error) {
		result, err := req.Session.Elicit(ctx, &mcp.ElicitParams{Message: "really?"})
		if err != nil {
			return nil, nil, err
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: result.Action}}}, nil, nil
	})
	mcp.AddTool(server, &mcp.Tool{Name: "admin"}, func(context.Context, *mcp.CallToolRequest, input) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{}, nil, nil
	})
	backend := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, options))
	t.Cleanup(func() {
		backend.CloseClientConnections()
		backend.Close()
	})
	u, err := url.Parse(backend.URL + "/mcp")
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// A client of the go-sdk uses a server of the go-sdk through the gateway, in both eras: with the
// stateless server the newest revision, and with the other one sessions and streams.
func TestGoSDK(t *testing.T) {
	for name, options := range map[string]*mcp.StreamableHTTPOptions{
		"stateless":          {Stateless: true},
		"stateless, as JSON": {Stateless: true, JSONResponse: true},
		"sessions":           {},
	} {
		t.Run(name, func(t *testing.T) {
			upstream := newGoServer(t, options)
			f := newFixture(t, func(_ *fixture, e *gateway.Endpoint) {
				e.Upstreams = []gateway.Upstream{{URL: upstream}}
				e.Headers = forwarded.DefaultHeaders()
				e.Guard.Requirements = []gatehouse.Requirement{{Tool: "admin", Require: gatehouse.Require{Roles: []string{"admin"}}}}
			})
			progress := make(chan float64, 10)
			client := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, &mcp.ClientOptions{
				ProgressNotificationHandler: func(_ context.Context, req *mcp.ProgressNotificationClientRequest) {
					progress <- req.Params.Progress
				},
				ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
					return &mcp.ElicitResult{Action: "accept"}, nil
				},
			})
			session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
				Endpoint: f.resource, HTTPClient: &http.Client{Transport: withToken{f.token(testissuer.Claim("roles", []string{"user"}))}},
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			list, err := session.ListTools(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, tool := range list.Tools {
				names = append(names, tool.Name)
			}
			slices.Sort(names)
			if want := []string{"asks", "steps", "whoami"}; !slices.Equal(names, want) {
				t.Errorf("the list has %q, want %q", names, want)
			}
			text := func(tool string) string {
				params := &mcp.CallToolParams{Name: tool}
				params.SetProgressToken("p")
				result, err := session.CallTool(t.Context(), params)
				if err != nil {
					return err.Error()
				}
				return fmt.Sprint(result.Content[0].(*mcp.TextContent).Text)
			}
			if got := text("whoami"); got != "user_ada" {
				t.Errorf("whoami is %q, want user_ada", got)
			}
			if options.JSONResponse {
				return // progress needs a stream
			}
			if got := text("steps"); got != "done" {
				t.Errorf("steps is %q, want done", got)
			}
			if name == "sessions" {
				if session.ID() == "" {
					t.Error("there is no session")
				}
				if got := text("asks"); got != "accept" {
					t.Errorf("asks is %q, want accept", got)
				}
			}
			for i := range 3 {
				if got := <-progress; got != float64(i) {
					t.Errorf("progress %d is %v", i, got)
				}
			}
			// A client of the go-sdk ends its session after a 403, so this is last.
			if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "admin"}); err == nil {
				t.Error("a user without the role called the tool admin")
			}
		})
	}
}
