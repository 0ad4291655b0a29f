package gatehousetest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

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

	// Every invalid token is rejected.
	for _, flaw := range gatehousetest.Flaws() {
		token := clerk.Token(t, server.URL(), gatehousetest.Person{}, flaw)
		if _, err := server.Guard().Verify(t.Context(), token, nil); !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("token with %s: error %v, want auth.ErrInvalidToken", flaw, err)
		}
	}

	// Output:
}

// hello is the tool that the examples call.
func hello(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	user, err := clerk.Profile(ctx, req)
	if err != nil {
		return reply.Error("Clerk did not answer, try again"), nil, nil
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

// Sign in as a member of an organization, in a server that needs only a guard.
func ExampleClerkServer_Connect() {
	clerk := gatehousetest.Clerk(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "http://" + listener.Addr().String() + "/mcp",
		Provider: clerk.Provider(),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "greeter", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "hello"}, hello)
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true})
	mux := http.NewServeMux()
	guard.Mount(mux, handler)
	go http.Serve(listener, mux)

	session := clerk.Connect(t, guard.Resource(), gatehousetest.Person{
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
