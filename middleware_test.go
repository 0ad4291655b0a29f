package gatehouse_test

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestMiddlewareEnforcesRequirements calls the server directly, as if the check of the HTTP
// request had read another operation.
func TestMiddlewareEnforcesRequirements(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, requirements)
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	for _, name := range []string{"read", "write", "purge", "team"} {
		mcp.AddTool(server, &mcp.Tool{Name: name}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{}, nil, nil
		})
	}
	var info *auth.TokenInfo // of the caller; nil as on stdio
	server.AddReceivingMiddleware(guard.Middleware())
	server.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			switch r := req.(type) {
			case *mcp.CallToolRequest:
				r.Extra = &mcp.RequestExtra{TokenInfo: info}
			case *mcp.ListToolsRequest:
				r.Extra = &mcp.RequestExtra{TokenInfo: info}
			}
			return next(ctx, method, req)
		}
	})
	here, there := mcp.NewInMemoryTransports()
	if _, err := server.Connect(t.Context(), there, nil); err != nil {
		t.Fatal(err)
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "c", Version: "1"}, nil).Connect(t.Context(), here, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()

	sign := func(changes ...change) *auth.TokenInfo {
		info, err := guard.Verify(t.Context(), is.token(resource, changes...), nil)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	tests := []struct {
		name      string
		info      *auth.TokenInfo
		allowed   []string
		listed    []string
		wantError int64
	}{
		{"no caller", nil, []string{"read"}, []string{"read", "team", "write"}, -32040},
		{"without scopes", sign(), []string{"read"}, []string{"read", "team", "write"}, -32040},
		{"with the scope", sign(change{"claims", "scope", "notes:write"}), []string{"read", "write"}, []string{"read", "team", "write"}, -32040},
		{"an admin in a team", sign(change{"claims", "scope", "notes:write"}, change{"claims", "roles", []string{"admin"}}, change{"claims", "org_id", "org_1"}),
			[]string{"purge", "read", "team", "write"}, []string{"purge", "read", "team", "write"}, 0},
	}
	for _, test := range tests {
		info = test.info
		for _, tool := range []string{"purge", "read", "team", "write"} {
			_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool})
			var rejected *jsonrpc.Error
			switch {
			case slices.Contains(test.allowed, tool) && err != nil:
				t.Errorf("%s: %s: %v", test.name, tool, err)
			case !slices.Contains(test.allowed, tool) && (!errors.As(err, &rejected) || rejected.Code != test.wantError):
				t.Errorf("%s: %s: got %v, want code %d", test.name, tool, err, test.wantError)
			}
		}
		list, err := session.ListTools(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, tool := range list.Tools {
			names = append(names, tool.Name)
		}
		slices.Sort(names)
		if !slices.Equal(names, test.listed) || list.CacheScope != "private" {
			t.Errorf("%s: list %q with scope %q, want %q and private", test.name, names, list.CacheScope, test.listed)
		}
	}
}

// TestMiddlewareProtectsEveryUseOfAResource: a caller who may not read a resource may
// neither subscribe to it nor complete its arguments. The guard of the HTTP request has no
// requirements, so that the middleware alone rejects.
func TestMiddlewareProtectsEveryUseOfAResource(t *testing.T) {
	is := newIssuer(t)
	open, strict := newGuard(t, is), newGuard(t, is, requirements)
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, &mcp.ServerOptions{
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
		CompletionHandler: func(context.Context, *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
			return &mcp.CompleteResult{Completion: mcp.CompletionResultDetails{Values: []string{}}}, nil
		},
	})
	server.AddResource(&mcp.Resource{URI: "notes://all", Name: "all"}, func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: "notes://all", Text: "x"}}}, nil
	})
	server.AddReceivingMiddleware(strict.Middleware())
	web := httptest.NewServer(open.Wrap(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true})))
	defer web.Close()

	// first returns the first message of the answer.
	first := func(method, name, params string, changes ...change) string {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		body := `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{` + params +
			`,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, web.URL, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Host, r.Header = "localhost:3000", bearer(is.token(resource, changes...))
		for name, value := range map[string]string{
			"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
			"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": method, "Mcp-Name": name,
		} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if strings.Contains(lines.Text(), "{") {
				return lines.Text()
			}
		}
		t.Fatalf("%s: status %d without a message", method, resp.StatusCode)
		return ""
	}
	const rejected = "-32040"
	for _, way := range []struct{ method, name, params string }{
		{"resources/read", "notes://all", `"uri":"notes://all"`},
		{"subscriptions/listen", "", `"notifications":{"resourceSubscriptions":["notes://all"]}`},
		{"completion/complete", "", `"ref":{"type":"ref/resource","uri":"notes://all"},"argument":{"name":"a","value":""}`},
	} {
		if got := first(way.method, way.name, way.params); !strings.Contains(got, rejected) {
			t.Errorf("%s without the scope: %s, want code %s", way.method, got, rejected)
		}
		if got := first(way.method, way.name, way.params, change{"claims", "scope", "notes:read"}); strings.Contains(got, `"error"`) {
			t.Errorf("%s with the scope: %s", way.method, got)
		}
	}
}
