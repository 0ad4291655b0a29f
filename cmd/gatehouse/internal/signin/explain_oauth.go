package signin

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
	"github.com/gatehouse-mcp/gatehouse/diagnose"
)

// deniedError is the error access_denied of an authorization response, in its own words.
type deniedError struct{ said, description string }

func (e *deniedError) Error() string { return e.said }

// sentence returns the error for the page in the browser. Most descriptions say again that
// access was denied; others have the cause.
func (e *deniedError) sentence() string {
	if e.description == "" || strings.Contains(strings.ToLower(e.description), "den") {
		return "Access was denied."
	}
	return sentence("access was denied: " + e.description)
}

// explainDeniedScope adds to the error of a denied sign-in for more scopes what happened to the
// earlier one.
func explainDeniedScope(err error, denied []string) error {
	if !errors.As(err, new(*deniedError)) {
		return err
	}
	return failure.New(
		fmt.Sprintf("run the command again and choose Allow, if you want to use scope %q; the sign-in without it stays saved",
			strings.Join(denied, " ")),
		"%w", err)
}

// explainAuthError explains the error of an authorization response (RFC 6749 section
// 4.1.2.1, RFC 8707 section 2) to a request for the wanted scopes.
func explainAuthError(code, description string, wanted []string, metadata *oauthex.AuthServerMeta) error {
	said := trace.JoinNonEmpty(": ", code, description)
	switch code {
	case "access_denied":
		return failure.New(
			"run the command again and choose Allow, if you want to sign in",
			"access was denied: %w", &deniedError{said, description})
	case "invalid_scope":
		e := diagnose.ExplainInvalidScope(description, wanted, metadata.ScopesSupported, metadata.Issuer, metadata.ServiceDocumentation)
		f := setupFailure(e, "authorization server rejects the sign-in: %s", said)
		f.Hint += "; then --logout and sign in again"
		return f
	case "invalid_target":
		return failure.New(
			"the authorization server must know the MCP server's URL as a resource (RFC 8707)",
			"authorization server rejects the resource: %s", said)
	case "server_error", "temporarily_unavailable":
		return failure.New("try again in a moment", "authorization server could not answer: %s", said)
	}
	return failure.New(
		"ask the operator of the authorization server; --logout forgets this client, so that the next call registers "+
			"another",
		"authorization server rejects the sign-in: %s", said)
}

// explainOAuth explains the other errors of a sign-in.
func explainOAuth(err error, resource string) error {
	var f *failure.Error
	if errors.As(err, &f) {
		return f
	}
	if f := ExplainNetwork(err); f != nil {
		return f
	}
	var rejected *oauth2.RetrieveError
	switch {
	case errors.Is(err, errUnknownClient):
		return failure.New("check --client-id, and that the redirect URI that -v shows is registered with it", "%w", err)
	case errors.As(err, &rejected) && rejected.ErrorCode == "invalid_client":
		return failure.New(
			"check --client-id and --client-secret-file; without them a client is registered",
			"token endpoint rejects the client: %s", trace.JoinNonEmpty(": ", rejected.ErrorCode, rejected.ErrorDescription))
	case errors.As(err, &rejected) && rejected.Response.StatusCode >= http.StatusInternalServerError:
		return failure.New(
			"try again in a moment; if that does not help, ask the operator of the authorization server",
			"token endpoint could not answer: %s",
			trace.JoinNonEmpty(": ", fmt.Sprint(rejected.Response.StatusCode), rejected.ErrorCode, rejected.ErrorDescription))
	case errors.As(err, &rejected):
		return failure.New(
			"run the command again; if that does not help, --logout forgets the client",
			"token endpoint rejects the code: %s",
			trace.JoinNonEmpty(": ", fmt.Sprint(rejected.Response.StatusCode), rejected.ErrorCode, rejected.ErrorDescription))
	}
	return failure.New("-v shows each step of the sign-in", "signing in to %q: %w", resource, err)
}
