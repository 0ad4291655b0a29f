package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// explain turns what went wrong with a call into a failure that names the cause
// and the next step. It returns err itself where it knows no better.
func (c *call) explain(ctx context.Context, err error) error {
	if failed := c.signIn.failure(); failed != nil {
		err = failed
	}
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	if errors.Is(context.Cause(ctx), errNoAnswer) {
		return fail("is the server busy, or stuck? --timeout waits longer", "%q: %w within %s", c.account.Resource, errNoAnswer, c.flags.timeout)
	}
	if f := explainNetwork(err); f != nil {
		return f
	}
	if refused := protocolError(err); refused != nil {
		return fail("\"gatehouse call "+c.account.Resource+" list\" shows the tools and their arguments",
			"%q refuses the request: %s (%d)", c.account.Resource, refused.Message, refused.Code)
	}
	if last := c.traffic.lastAnswer(); last != nil && last.isRefusal() {
		return explainAnswer(last, c.account.Resource, c.signIn.heldScopes())
	}
	return err
}

// Codes that the go-sdk gives to errors of its own making: no server sent them.
const (
	codeClientClosing = -32003
	codeServerClosing = -32004
	codeRejected      = -32005
)

// protocolError returns the JSON-RPC error with which the server answered, nil if
// err is something else.
func protocolError(err error) *jsonrpc.Error {
	var refused *jsonrpc.Error
	if !errors.As(err, &refused) {
		return nil
	}
	switch refused.Code {
	case codeClientClosing, codeServerClosing, codeRejected:
		return nil
	}
	return refused
}

// isRefusal reports whether an answer of the MCP endpoint is none of MCP's own.
func (a *answer) isRefusal() bool {
	return a.status >= 300 || a.mediaType != "application/json" && a.mediaType != "text/event-stream"
}

// explainAnswer explains a refusal of the MCP endpoint to somebody whose sign-in
// holds the given scopes.
func explainAnswer(a *answer, resource string, held []string) error {
	why := ifSet(": %s", a.why())
	switch {
	case a.status == http.StatusUnauthorized && a.withToken:
		return fail("the server and the authorization server disagree: compare the issuer, the audience and the clock; the server's log has the precise reason",
			"%q refuses the token that it was just given%s", resource, why)
	case a.status == http.StatusUnauthorized:
		return fail("run the command again to sign in", "%q wants a sign-in%s", resource, why)
	case a.stepUp():
		return fail("the authorization server did not grant it: check that the scope exists there and that you may have it, then --logout and sign in again",
			"%q wants scope %q, and the sign-in holds %q%s", resource, a.bearer["scope"], sortedScope(strings.Join(held, " ")), why)
	case a.status == http.StatusForbidden && !a.withToken:
		return fail("it refuses before any sign-in: call it by the URL it knows itself by, or ask who runs it",
			"%q refuses the request with 403%s", resource, why)
	case a.status == http.StatusForbidden:
		return fail("you are signed in, but may not do this: sign in as somebody else (--logout first), or ask who runs the server for the role",
			"%q refuses the request with 403%s", resource, why)
	case a.status == http.StatusServiceUnavailable, a.status == http.StatusTooManyRequests:
		return fail(retryHint(a.retryAfter), "%q cannot answer just now: %d%s", resource, a.status, why)
	case a.status >= 500:
		return fail("the server's log has the reason", "%q answered %d%s", resource, a.status, why)
	case a.status == http.StatusNotFound, a.status == http.StatusMethodNotAllowed, a.status < 300:
		return fail("check the path: most servers have it at /mcp", "%q is no MCP endpoint: it answered %d%s%s", resource, a.status, ifSet(" with %s", a.mediaType), why)
	}
	return fail("the server's log may say more", "%q answered %d%s", resource, a.status, why)
}

func retryHint(retryAfter string) string {
	if retryAfter == "" {
		return "try again in a moment; the server's identity provider may be out of reach"
	}
	return fmt.Sprintf("try again in a moment (Retry-After: %s); the server's identity provider may be out of reach", retryAfter)
}
