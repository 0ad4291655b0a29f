// Package gatehousetest helps to test MCP servers with sign-in. It provides a local
// Clerk for each test, users who sign in there, access tokens that are valid or have a
// single flaw, and one call that checks a whole server: [ClerkServer.Check]. Nothing is
// sent beyond this machine.
//
// A test of a server with the tool hello:
//
//	clerk := gatehousetest.Clerk(t)
//
//	// Your server, on a free port. Its users sign in with the local Clerk.
//	listener, err := net.Listen("tcp", "127.0.0.1:0")
//	if err != nil {
//		t.Fatal(err)
//	}
//	server, err := serve.New(serve.Config{
//		Name:     "greeter",
//		Version:  "1.0.0",
//		URL:      "http://" + listener.Addr().String(),
//		Provider: clerk.Provider(),
//	})
//	if err != nil {
//		t.Fatal(err)
//	}
//	mcp.AddTool(server.MCP, &mcp.Tool{Name: "hello"}, hello)
//	go server.Serve(t.Context(), listener)
//
//	// Ada signs in and calls a tool.
//	session := clerk.Connect(t, server.URL(), gatehousetest.Person{User: "ada"})
//	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "hello"})
//	if err != nil || result.IsError {
//		t.Errorf("hello = %v, %v", result, err)
//	}
//
//	// No token and every kind of invalid token are rejected, and clients find the sign-in.
//	clerk.Check(t, server.URL())
//
// A handler of your own, with a guard, is served with [Serve]. The example of
// [ClerkServer.Connect] named StepUp tests a tool that needs a scope.
//
// The users are [localclerk.SeedUsers] until SetUsers changes them. To test outages,
// wrong clocks, key rotation and other settings of Clerk, call SetFaults, RotateKey and
// SetSettings, methods of the [localclerk.Server] in a [ClerkServer].
package gatehousetest
