package signin

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
	"github.com/gatehouse-mcp/gatehouse/diagnose"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// ExplainAnswer explains an answer of the MCP endpoint that is not an MCP answer.
// scopes are those of the user's sign-in. If Gatehouse's guard sent a reason, package
// reason explains it.
func ExplainAnswer(a *trace.Answer, resource string, scopes []string) *failure.Error {
	said := trace.IfSet(": %s", a.Description())
	info, known := reason.InfoOf(a.Reason)
	switch {
	case a.Status == http.StatusUnauthorized && !a.WithToken:
		return failure.New("run the command again to sign in", "%q asks for sign-in%s", resource, said)
	case a.AsksForScope():
		return explainScope(a, resource, scopes, said)
	case known:
		return explainReason(info, resource, said, a)
	case isGatewayFailure(a):
		fix, _ := diagnose.GatewayFix(a.Failure)
		return failure.New(fix, "%q answered %d%s", resource, a.Status, said)
	case a.Status == http.StatusUnauthorized:
		return failure.New(
			"the MCP server and the authorization server disagree: compare the issuer, the audience and the clocks, and the "+
				"type (typ) of the tokens; the log of the MCP server has the precise reason",
			"%q rejects the token of the new sign-in%s", resource, said)
	case a.Status == http.StatusForbidden && a.WithToken:
		return failure.New(
			"you are signed in, but not allowed to do this: sign in as another user (--logout first), or ask the operator "+
				"of the server for the role",
			"%q rejects the request with 403%s", resource, said)
	case a.Status == http.StatusServiceUnavailable && a.WithToken:
		return failure.New(
			retryHint(a.RetryAfter)+"; the server's identity provider may be unavailable",
			"%q is unavailable: %d%s", resource, a.Status, said)
	case a.Status == http.StatusInternalServerError && a.WithToken:
		return failure.New("the log of the server has the reason", "%q answered %d%s", resource, a.Status, said)
	}
	e, ok := diagnose.ExplainEndpoint(a.Status, a.MediaType == "text/html")
	if ok && (a.Status != http.StatusBadRequest || !a.WithToken) {
		f := setupFailure(e, "%q answered %d%s%s", resource, a.Status, trace.IfSet(" with %s", a.MediaType), said)
		if a.Status == http.StatusServiceUnavailable || a.Status == http.StatusTooManyRequests {
			f.Hint = retryHint(a.RetryAfter) + "; " + f.Hint
		}
		return f
	}
	return failure.New("the log of the server may say more", "%q answered %d%s", resource, a.Status, said)
}

// explainReason explains a rejection by Gatehouse's guard.
func explainReason(info reason.Info, resource, said string, a *trace.Answer) *failure.Error {
	hint := "what the operator of the server can do: " + info.Do
	switch {
	case info.Status == http.StatusForbidden && a.WithToken:
		hint = "sign in as another user (--logout first); " + hint
	case info.Status == http.StatusServiceUnavailable:
		hint = retryHint(a.RetryAfter) + "; " + hint
	}
	return failure.New(hint, "%q rejects the request with %d%s (%s)", resource, a.Status, said, info.When)
}

func explainScope(a *trace.Answer, resource string, scopes []string, said string) *failure.Error {
	ungranted := "it"
	if lacking := missing(strings.Fields(a.Challenge["scope"]), scopes); len(lacking) > 0 {
		ungranted = quote.String(strings.Join(lacking, " "))
	}
	return failure.New(
		"the authorization server did not grant "+ungranted+": check that the scope exists there and that you may have it, then "+
			"--logout and sign in again",
		"%q asks for scope %q, and the sign-in has %q%s",
		resource, a.Challenge["scope"], trace.SortedScope(strings.Join(scopes, " ")), said)
}

func retryHint(retryAfter string) string {
	return "try again in a moment" + trace.IfSet(" (Retry-After: %s)", retryAfter)
}

// isGatewayFailure reports whether the answer is from "gatehouse gateway", which could not forward
// the request.
func isGatewayFailure(a *trace.Answer) bool {
	_, ok := diagnose.GatewayFix(a.Failure)
	return ok
}

// ExplainStreamFailure explains the JSON-RPC error with which "gatehouse gateway" ends an event
// stream that it could not forward to its end. It returns nil if data, that of the error, is not
// from the gateway.
func ExplainStreamFailure(resource, message string, data json.RawMessage) *failure.Error {
	var failed struct {
		Reason string `json:"reason"`
	}
	if json.Unmarshal(data, &failed) != nil {
		return nil
	}
	fix, ok := diagnose.GatewayFix(failed.Reason)
	if !ok {
		return nil
	}
	return failure.New(fix, "%q ended the answer: %s", resource, quote.Clip(trace.OneLine(message), 4*quote.MaxBytes))
}
