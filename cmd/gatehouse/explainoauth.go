package main

import (
	"errors"
	"fmt"

	"golang.org/x/oauth2"
)

// explainAuthError explains an error of an authorization response (RFC 6749,
// section 4.1.2.1; RFC 8707, section 2).
func explainAuthError(code, description string) error {
	answer := joinNonEmpty(": ", code, description)
	switch code {
	case "access_denied":
		return fail("run the command again and choose Allow, if you meant to", "you were not let in: %s", answer)
	case "invalid_scope":
		return fail("a client holds only the scopes it registered; on Clerk: add the scope to the default scopes ("+clerkSettings+"), or have the MCP server ask for fewer in scopes_supported, then --logout and sign in again",
			"authorization server does not give this client the scopes: %s", answer)
	case "invalid_target":
		return fail("the authorization server must know the MCP server's URL as a resource (RFC 8707)", "authorization server refuses the resource: %s", answer)
	case "server_error", "temporarily_unavailable":
		return fail("try again in a moment", "authorization server could not answer: %s", answer)
	}
	return fail("ask who runs the authorization server; --logout forgets this client and registers another next time", "authorization server refuses to sign in: %s", answer)
}

// explainOAuth explains what is left of the errors of a sign-in.
func explainOAuth(err error, resource string) error {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	if f := explainNetwork(err); f != nil {
		return f
	}
	var refused *oauth2.RetrieveError
	switch {
	case errors.Is(err, errUnknownClient):
		return fail("check --client-id, and that the redirect URI that -v shows is registered with it", "%w", err)
	case errors.As(err, &refused) && refused.ErrorCode == "invalid_client":
		return fail("check --client-id and --client-secret-file; without them a client is registered", "token endpoint refuses the client: %s", joinNonEmpty(": ", refused.ErrorCode, refused.ErrorDescription))
	case errors.As(err, &refused):
		return fail("run the command again; if it stays so, --logout forgets the client", "token endpoint refuses the code: %s",
			joinNonEmpty(": ", fmt.Sprint(refused.Response.StatusCode), refused.ErrorCode, refused.ErrorDescription))
	}
	return fmt.Errorf("signing in to %q: %w", resource, err)
}
