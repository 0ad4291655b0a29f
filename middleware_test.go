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

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// connect returns a client session of a server that has the tools of the requirements. The
// server calls the middleware of guard, with the TokenInfo that info returns for each request.
func connect(t *testing.T, guard *gatehouse.Guard, info func() *auth.TokenInfo) *mcp.ClientSession {
	t.Helper()
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	tool := func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{}, nil, nil
	}
	for _, name := range []string{"read", "write", "purge", "team"} {
		mcp.AddTool(server, &mcp.Tool{Name: name}, tool)
	}
	server.AddReceivingMiddleware(guard.Middleware())
	server.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			switch r := req.(type) {
			case *mcp.CallToolRequest:
				r.Extra = &mcp.RequestExtra{TokenInfo: info()}
			case *mcp.ListToolsRequest:
				r.Extra = &mcp.RequestExtra{TokenInfo: info()}
			}
			return next(ctx, method, req)
		}
	})
	return connectTo(t, server)
}

// connectTo returns a client session of the server, in this process.
func connectTo(t *testing.T, server *mcp.Server) *mcp.ClientSession {
	t.Helper()
	clientSide, serverSide := mcp.NewInMemoryTransports()
	if _, err := server.Connect(t.Context(), serverSide, nil); err != nil {
		t.Fatal(err)
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "c", Version: "1"}, nil).Connect(t.Context(), clientSide, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return session
}

// TestMiddlewareEnforcesRequirements calls the server directly, as if the check of the HTTP
// request had read another operation.
func TestMiddlewareEnforcesRequirements(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, requirements)
	var info *auth.TokenInfo // of the caller; nil as on stdio
	session := connect(t, guard, func() *auth.TokenInfo { return info })
	writer := testissuer.Claim("scope", "notes:write")
	tests := []struct {
		name    string
		changes []testissuer.Change // nil means that there is no caller
		allowed []string
		listed  []string
	}{
		{
			name:    "no caller",
			allowed: []string{"read"},
			listed:  []string{"read", "team", "write"},
		},
		{
			name:    "without scopes",
			changes: []testissuer.Change{testissuer.Claim("scope", nil)},
			allowed: []string{"read"},
			listed:  []string{"read", "team", "write"},
		},
		{
			name:    "with the scope",
			changes: []testissuer.Change{writer},
			allowed: []string{"read", "write"},
			listed:  []string{"read", "team", "write"},
		},
		{
			name:    "an admin in a team",
			changes: []testissuer.Change{writer, testissuer.Claim("roles", []string{"admin"}), testissuer.Claim("org_id", "org_1")},
			allowed: []string{"purge", "read", "team", "write"},
			listed:  []string{"purge", "read", "team", "write"},
		},
	}
	for _, test := range tests {
		info = nil
		if test.changes != nil {
			var err error
			if info, err = guard.Verify(t.Context(), is.token(resource, test.changes...), nil); err != nil {
				t.Fatal(err)
			}
		}
		for _, tool := range []string{"purge", "read", "team", "write"} {
			_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool})
			var rejected *jsonrpc.Error
			switch {
			case slices.Contains(test.allowed, tool) && err != nil:
				t.Errorf("%s: %s: %v", test.name, tool, err)
			case !slices.Contains(test.allowed, tool) && (!errors.As(err, &rejected) || rejected.Code != -32040):
				t.Errorf("%s: %s: got %v, want code -32040", test.name, tool, err)
			}
		}
		if names, scope := toolNames(t, session); !slices.Equal(names, test.listed) || scope != "private" {
			t.Errorf("%s: got tools %q with cache scope %q, want %q and private", test.name, names, scope, test.listed)
		}
	}
}

// toolNames returns the names in the list of tools, sorted, and the cache scope of the list.
func toolNames(t *testing.T, session *mcp.ClientSession) (names []string, cacheScope string) {
	t.Helper()
	list, err := session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
	}
	slices.Sort(names)
	return names, list.CacheScope
}

// resourceServer is an MCP server with the resource notes://all.
func resourceServer() *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, &mcp.ServerOptions{
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
		CompletionHandler: func(context.Context, *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
			return &mcp.CompleteResult{Completion: mcp.CompletionResultDetails{Values: []string{}}}, nil
		},
	})
	read := func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: "notes://all", Text: "x"}}}, nil
	}
	server.AddResource(&mcp.Resource{URI: "notes://all", Name: "all"}, read)
	return server
}

// firstMessage sends a request of MCP 2026-07-28 and returns the first message of the answer.
func firstMessage(t *testing.T, url, token, method, name, params string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	body := `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{` + params + `,"_meta":{` +
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host, r.Header = "localhost:3000", bearer(token)
	for name, value := range map[string]string{
		"Content-Type":         "application/json",
		"Accept":               "application/json, text/event-stream",
		"Mcp-Protocol-Version": "2026-07-28",
		"Mcp-Method":           method,
		"Mcp-Name":             name,
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
	t.Fatalf("%s: got status %d without a message", method, resp.StatusCode)
	return ""
}

// TestMiddlewareProtectsEveryUseOfAResource: a caller who may not read a resource may
// neither subscribe to it nor complete its arguments. The guard of the HTTP request has no
// requirements, so that the middleware alone rejects.
func TestMiddlewareProtectsEveryUseOfAResource(t *testing.T) {
	is := newIssuer(t)
	server := resourceServer()
	server.AddReceivingMiddleware(newGuard(t, is, requirements).Middleware())
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true})
	web := httptest.NewServer(newGuard(t, is).Wrap(handler))
	defer web.Close()

	without, reader := is.token(resource), is.token(resource, testissuer.Claim("scope", "notes:read"))
	for _, use := range []struct{ method, name, params string }{
		{"resources/read", "notes://all", `"uri":"notes://all"`},
		{"subscriptions/listen", "", `"notifications":{"resourceSubscriptions":["notes://all"]}`},
		{"completion/complete", "", `"ref":{"type":"ref/resource","uri":"notes://all"},"argument":{"name":"a","value":""}`},
	} {
		if got := firstMessage(t, web.URL, without, use.method, use.name, use.params); !strings.Contains(got, "-32040") {
			t.Errorf("%s without the scope: got %s, want code -32040", use.method, got)
		}
		if got := firstMessage(t, web.URL, reader, use.method, use.name, use.params); strings.Contains(got, `"error"`) {
			t.Errorf("%s with the scope: got %s, want a result", use.method, got)
		}
	}
}
