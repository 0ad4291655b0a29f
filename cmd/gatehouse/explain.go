package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"golang.org/x/oauth2"
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

// explainNetwork explains why a host could not be talked to, or returns nil.
func explainNetwork(err error) *failure {
	where := "the server"
	if u := (*url.Error)(nil); errors.As(err, &u) {
		if parsed, err := url.Parse(u.URL); err == nil {
			where = fmt.Sprintf("%q", withoutQuery(parsed))
		}
	}
	var (
		dns       *net.DNSError
		record    tls.RecordHeaderError
		unknownCA x509.UnknownAuthorityError
		badHost   x509.HostnameError
		badCert   x509.CertificateInvalidError
	)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fail(`is it running there, on that port? "gatehouse dev" starts one to try`, "%s: connection refused", where)
	case errors.As(err, &dns):
		return fail("check the spelling, and the network", "%s: no address for host %q", where, dns.Name)
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fail("write http:// if it is meant to be so, as on localhost", "%s: no TLS there", where)
	case errors.As(err, &unknownCA), errors.As(err, &badHost), errors.As(err, &badCert):
		return fail("the certificate must be valid for that host and signed by an authority that this machine trusts", "%s: %v", where, tlsProblem(err))
	}
	return nil
}

// tlsProblem is the innermost of the errors of a TLS handshake.
func tlsProblem(err error) error {
	var verification *tls.CertificateVerificationError
	if errors.As(err, &verification) {
		return verification.Err
	}
	return err
}

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
