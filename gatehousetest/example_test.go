package gatehousetest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/reply"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A whole test of a server with one tool. In these examples, t is the *testing.T of
// the test.
func Example() {
	clerk := gatehousetest.Clerk(t)

	// Your server, on a free port. Its users sign in with the local Clerk.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, err := serve.New(serve.Config{
		Name:     "greeter",
		Version:  "1.0.0",
		URL:      "http://" + listener.Addr().String(),
		Provider: clerk.Provider(),
	})
	if err != nil {
		t.Fatal(err)
	}
	mcp.AddTool(server.MCP, &mcp.Tool{Name: "hello"}, hello)
	go server.Serve(t.Context(), listener)

	// Ada signs in and calls a tool.
	session := clerk.Connect(t, server.URL(), gatehousetest.Person{User: "ada"})
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "hello"})
	if err != nil || result.IsError {
		t.Errorf("hello = %v, %v", result, err)
	}

	// No token and every kind of invalid token are rejected, and clients find the sign-in.
	clerk.Check(t, server.URL())

	// Output:
}

// hello is the tool that the examples call.
func hello(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	user, err := clerk.Profile(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	id, _ := gatehouse.IdentityOf(req)
	return reply.Object(map[string]any{
		"name":         user.Name,
		"organization": user.Org.ID,
		"scopes":       id.Scopes,
		"audience":     id.Audience,
	}), nil, nil
}

// Change a setting of the local Clerk: it binds tokens to the server that they are for.
func ExampleClerk() {
	clerk := gatehousetest.Clerk(t)
	settings := clerk.Settings()
	settings.AudClaimEnabled = true
	if err := clerk.SetSettings(settings); err != nil {
		t.Fatal(err)
	}
	for _, user := range clerk.Users()[:2] {
		fmt.Println(user.FirstName, user.LastName)
	}
	// Output:
	// Ada Lovelace
	// Grace Hopper
}

// newServer returns the URL of a running MCP endpoint that needs only a guard. The server
// stops when the test ends.
func newServer(clerk *gatehousetest.ClerkServer, requirements ...gatehouse.Requirement) (url string) {
	server := mcp.NewServer(&mcp.Implementation{Name: "greeter", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "hello"}, hello)
	return gatehousetest.Serve(t, func(origin string) http.Handler {
		guard, err := gatehouse.New(gatehouse.Config{
			Resource:     origin + "/mcp",
			Provider:     clerk.Provider(),
			Requirements: requirements,
		})
		if err != nil {
			t.Fatal(err)
		}
		mux := http.NewServeMux()
		guard.Mount(mux, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil))
		return mux
	}) + "/mcp"
}

// Sign in as a member of an organization.
func ExampleClerkServer_Connect() {
	clerk := gatehousetest.Clerk(t)
	session := clerk.Connect(t, newServer(clerk), gatehousetest.Person{
		User:         "grace",
		Organization: "analytical-engines",
	})
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "hello"})
	if err != nil {
		t.Fatal(err)
	}
	greeting, _ := result.StructuredContent.(map[string]any)
	fmt.Println(greeting["name"], greeting["organization"] == clerk.Organizations()[0].ID)
	// Output: Grace Hopper true
}

// Test a step-up: a tool needs a scope that the client does not have, so the server answers
// 403 and the client signs in again. As at Clerk, a client can request a scope only if it
// registered with it. A client that registers without scopes gets the default scopes of the
// instance, so the scope is added there before the client connects.
func ExampleClerkServer_Connect_stepUp() {
	clerk := gatehousetest.Clerk(t)
	settings := clerk.Settings()
	settings.CustomScopes = append(settings.CustomScopes, "notes:write")
	settings.DefaultScopes = append(settings.DefaultScopes, "notes:write")
	if err := clerk.SetSettings(settings); err != nil {
		t.Fatal(err)
	}
	url := newServer(clerk, gatehouse.Requirement{Tool: "hello", Require: gatehouse.Require{Scopes: []string{"notes:write"}}})

	// Without the scope, the call is rejected, and the challenge names the scope.
	token := clerk.Token(t, url, gatehousetest.Person{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url,
		strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"hello"}}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	fmt.Println(resp.StatusCode, strings.Contains(resp.Header.Get("WWW-Authenticate"), "notes:write"))

	// A client that signs in gets the scope when it calls the tool.
	session := clerk.Connect(t, url, gatehousetest.Person{})
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "hello"})
	if err != nil {
		t.Fatal(err)
	}
	greeting, _ := result.StructuredContent.(map[string]any)
	fmt.Println(strings.Contains(fmt.Sprint(greeting["scopes"]), "notes:write"))
	// Output:
	// 403 true
	// true
}

// Get an access token that has expired, and see what the guard says about it.
func ExampleClerkServer_Token() {
	clerk := gatehousetest.Clerk(t)
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "http://localhost:3000/mcp",
		Provider: clerk.Provider(),
	})
	if err != nil {
		t.Fatal(err)
	}

	valid := clerk.Token(t, guard.Resource(), gatehousetest.Person{User: "ada"})
	info, err := guard.Verify(t.Context(), valid, nil)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(info.Scopes)

	expired := clerk.Token(t, guard.Resource(), gatehousetest.Person{User: "ada"}, gatehousetest.Expired)
	_, err = guard.Verify(t.Context(), expired, nil)
	var rejected *gatehouse.TokenError
	if errors.As(err, &rejected) {
		fmt.Println(rejected.Reason)
	}
	// Output:
	// [profile email]
	// expired
}

// Let Clerk fail: the guard must not reject tokens that it cannot verify.
func ExampleClerkServer_outage() {
	clerk := gatehousetest.Clerk(t)
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "http://localhost:3000/mcp",
		Provider: clerk.Provider(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := clerk.SetFaults(localclerk.Faults{Status: http.StatusBadGateway}); err != nil {
		t.Fatal(err)
	}
	token := clerk.Token(t, guard.Resource(), gatehousetest.Person{})
	_, err = guard.Verify(t.Context(), token, nil)
	fmt.Println("invalid:", errors.Is(err, auth.ErrInvalidToken), "unavailable:", err != nil)
	// Output: invalid: false unavailable: true
}
