// Package gatehousetest is for the tests of your server: a Clerk of its own for
// each test, people who sign in there, and tokens that are good or wrong in one
// thing. Nothing leaves the machine.
//
//	clerk := gatehousetest.Clerk(t)
//	url := start(t, clerk.Provider())
//
//	// Ada signs in and calls a tool.
//	session := clerk.Connect(t, url, gatehousetest.Person{User: "ada"})
//	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "hello"})
//	if err != nil || result.IsError {
//		t.Errorf("hello = %v, %v", result, err)
//	}
//
//	// Every token that is wrong in one thing stays outside.
//	for _, flaw := range gatehousetest.Flaws() {
//		token := clerk.Token(t, url, gatehousetest.Person{}, flaw)
//		if got := status(t, url, token); got != http.StatusUnauthorized {
//			t.Errorf("token with %s: status %d, want 401", flaw, got)
//		}
//	}
//
// The people are those of [localclerk.SeedUsers], until SetUsers changes them.
// Outages, key rotation, settings and clocks that are wrong are methods of the
// [localclerk.Server] inside: SetFaults, RotateKey, SetSettings.
package gatehousetest
