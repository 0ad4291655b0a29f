package window

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/diagnose"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// explainRejection explains an error of the MCP server. The server's reason decides if it
// sends one, as Gatehouse does. Otherwise the token itself may show what is wrong with it.
func (w *Window) explainRejection(x *roundTrip) explanation {
	if info, ok := x.reason(); ok {
		return w.explainReason(x, info)
	}
	switch {
	case x.status == http.StatusForbidden && x.bearerChallenge()["error"] == reason.CodeInsufficientScope:
		return scopeMissing(w, x)
	case x.status == http.StatusForbidden && x.token.raw != "":
		return forbidden
	case x.status == http.StatusServiceUnavailable && x.token.raw != "":
		return clerkUnavailable(w, x)
	case x.status == http.StatusUnauthorized && x.token.raw != "":
		return w.explainToken(x)
	}
	if e, ok := diagnose.ExplainEndpoint(x.status, x.isHTML()); ok && x.token.raw == "" {
		return w.fromTable(e, fmt.Sprintf("it answered %d %s", x.status, http.StatusText(x.status)))
	}
	return because(sentence(fmt.Sprintf("the server answered %d %s", x.status, http.StatusText(x.status))), lookAtServer)
}

// reason returns the reason in the body of a rejection by Gatehouse, or in its JSON-RPC error. ok
// is false if the body has none that this version knows.
func (x *roundTrip) reason() (info reason.Info, ok bool) {
	body, cut := x.responseBody.read()
	var rejection struct {
		Reason reason.Reason `json:"reason"`
	}
	var ofOperation struct {
		Error struct {
			Data struct {
				Reason reason.Reason `json:"reason"`
			} `json:"data"`
		} `json:"error"`
	}
	switch {
	case cut:
		return reason.Info{}, false
	case json.Unmarshal(body, &ofOperation) == nil && ofOperation.Error.Data.Reason != "":
		return reason.InfoOf(ofOperation.Error.Data.Reason)
	case json.Unmarshal(body, &rejection) == nil:
		return reason.InfoOf(rejection.Reason)
	}
	return reason.Info{}, false
}

// explainReason explains a reason of the guard. It uses the words of the table in
// internal/reason, unless the window knows more about this token or the local Clerk.
func (w *Window) explainReason(x *roundTrip, info reason.Info) explanation {
	general := because(sentence(info.When), sentence(info.Do))
	for _, c := range causes {
		if slices.Contains(c.reasons, info.Reason) && (c.applies == nil || c.applies(w, x)) {
			specific := c.explain(w, x)
			specific.why, specific.do = cmp.Or(specific.why, general.why), cmp.Or(specific.do, general.do)
			return specific
		}
	}
	return general
}

// explainToken explains a rejected token of a server that sends no reason.
func (w *Window) explainToken(x *roundTrip) explanation {
	for _, c := range causes {
		if c.applies != nil && c.applies(w, x) {
			return c.explain(w, x)
		}
	}
	description := redactField("error_description", x.bearerChallenge()["error_description"])
	return because(
		sentence(cmp.Or(description, "the server rejected the token")),
		"Look at the log of the MCP server, and at the claims of the token.",
	)
}

// cause is one cause of a rejection, about which the window can say more than the
// server's reason does.
type cause struct {
	// reasons are the guard's reasons that have this cause.
	reasons []reason.Reason

	// applies reports whether the token and the local Clerk show this cause. If nil, that
	// cannot be seen and the reason alone decides.
	applies func(*Window, *roundTrip) bool

	// explain returns the words. An empty one is replaced by that of the reason.
	explain func(*Window, *roundTrip) explanation
}

// causes are in the order in which they are considered. The first one that applies is used.
var causes = []cause{
	{[]reason.Reason{reason.Inactive}, isRevokedToken, tokenRevoked},
	{[]reason.Reason{reason.Inactive}, isUnknownToken, tokenUnknown},
	{[]reason.Reason{reason.Opaque}, isOpaqueToken, opaqueTokenUnsupported},
	{kindReasons, isOtherKind, otherKindOfToken},
	{[]reason.Reason{reason.Malformed}, isMalformed, tokenMalformed},
	{[]reason.Reason{reason.WrongIssuer}, isOfOtherIssuer, otherIssuer},
	{[]reason.Reason{reason.Expired}, isClerkBehind, clerkBehind},
	{[]reason.Reason{reason.Expired}, isExpired, tokenExpired},
	{[]reason.Reason{reason.WrongAudience}, isForOtherResource, otherAudience},
	{[]reason.Reason{reason.NotYetValid}, isClerkAhead, clerkAhead},
	{[]reason.Reason{reason.Unbound}, nil, audienceMissing},
	{[]reason.Reason{reason.UnknownKey, reason.BadSignature}, nil, keyRotated},
	{[]reason.Reason{reason.Revoked}, nil, tokenDenied},
	{[]reason.Reason{reason.ProviderUnavailable}, nil, clerkUnavailable},
	{[]reason.Reason{reason.InsufficientScope}, hasScopeChallenge, scopeMissing},
	{[]reason.Reason{reason.InsufficientPermission, reason.NoOrganization}, nil, permissionMissing},
}

// kindReasons are the reasons with which the guard may reject a token of another kind,
// depending on the first check that it fails.
var kindReasons = []reason.Reason{
	reason.WrongType, reason.Opaque, reason.Encrypted, reason.Inactive, reason.MissingClaim, reason.WrongSubject,
	reason.WrongAudience, reason.UnusableClaims,
}

func isRevokedToken(w *Window, x *roundTrip) bool {
	t, ok := w.clerk.OpaqueToken(x.token.raw)
	return ok && t.Revoked
}

func tokenRevoked(*Window, *roundTrip) explanation {
	return because("The opaque token was revoked.", "Sign in again.")
}

func isUnknownToken(w *Window, x *roundTrip) bool {
	_, ok := w.clerk.OpaqueToken(x.token.raw)
	return x.token.isOpaque() && !ok
}

func tokenUnknown(*Window, *roundTrip) explanation {
	return because("Clerk does not know this opaque token: it has expired, or another instance issued it.", "Sign in again.")
}

func isOpaqueToken(_ *Window, x *roundTrip) bool { return x.token.isOpaque() }

func opaqueTokenUnsupported(w *Window, _ *roundTrip) explanation {
	return w.fromTable(diagnose.Explain("clerk.opaque"), "this server does not accept them")
}

func isOtherKind(_ *Window, x *roundTrip) bool { return x.token.raw != "" && !x.token.isAccessToken() }

func otherKindOfToken(_ *Window, x *roundTrip) explanation {
	return because(
		fmt.Sprintf("This is %s, not an OAuth access token.", withArticle(x.token.Kind)),
		"Have the client send the access_token that it got when the user signed in. "+
			"Clerk signs all its tokens with the same key, but only access tokens are for servers.",
	)
}

func isMalformed(_ *Window, x *roundTrip) bool { return x.token.raw != "" && x.token.Problem != nil }

func tokenMalformed(*Window, *roundTrip) explanation {
	return because("The token is malformed.", "Look at what the client sends; the token may be truncated.")
}

func isOfOtherIssuer(w *Window, x *roundTrip) bool {
	return x.token.Kind != "" && x.token.Problem == nil && x.token.Issuer != w.clerk.Issuer()
}

func otherIssuer(w *Window, x *roundTrip) explanation {
	return because(
		fmt.Sprintf("The token is from %q, but this local Clerk is %q.", redactName(x.token.Issuer), w.clerk.Issuer()),
		"Sign in again at this local Clerk.",
	)
}

func isExpired(_ *Window, x *roundTrip) bool { return x.token.expiredFor(x.began) >= 0 }

func tokenExpired(_ *Window, x *roundTrip) explanation {
	return because(
		fmt.Sprintf("The token expired %s ago.", x.token.expiredFor(x.began)),
		"Nothing, if the client refreshes the token or signs in again; otherwise sign in again.",
	)
}

func isForOtherResource(_ *Window, x *roundTrip) bool {
	called := "http://" + x.request.Host + x.request.URL.Path
	isCalled := func(audience string) bool { return sameResource(audience, called) }
	return len(x.token.Audience) > 0 && !slices.ContainsFunc(x.token.Audience, isCalled)
}

func otherAudience(w *Window, x *roundTrip) explanation {
	return because(
		fmt.Sprintf("The token is for %q, not for this server.", redactName(strings.Join(x.token.Audience, " "))),
		fmt.Sprintf("Have the client send exactly resource=%s when the user signs in.", w.config.Endpoint),
	)
}

// noticeableOffset is the offset of Clerk's clock from which it may explain a rejection.
// Servers accept smaller ones.
const noticeableOffset = time.Minute

func isClerkAhead(w *Window, _ *roundTrip) bool {
	return w.clerk.Faults().ClockOffset >= noticeableOffset
}

func clerkAhead(w *Window, _ *roundTrip) explanation {
	offset := w.clerk.Faults().ClockOffset
	return w.fromTable(diagnose.Explain("clock.differs", "difference", offset.String()),
		"Clerk's clock is ahead, so the token is not valid yet")
}

func isClerkBehind(w *Window, x *roundTrip) bool {
	return w.clerk.Faults().ClockOffset <= -noticeableOffset && isExpired(w, x)
}

func clerkBehind(w *Window, _ *roundTrip) explanation {
	offset := -w.clerk.Faults().ClockOffset
	return w.fromTable(diagnose.Explain("clock.differs", "difference", offset.String()),
		"Clerk's clock is behind, so its tokens expire early")
}

func audienceMissing(*Window, *roundTrip) explanation {
	return because(
		"The token does not name a server (aud), and this server requires that it does.",
		"Turn on “Audience claim” under Clerk settings on this page, and sign in again with a client that sends the "+
			"resource parameter (RFC 8707).",
	)
}

func keyRotated(*Window, *roundTrip) explanation {
	return because(
		"The token was signed with a key that Clerk no longer publishes, or its signature is invalid. "+
			"Clerk's keys may have been rotated since it was issued.",
		"Sign in again.",
	)
}

func tokenDenied(*Window, *roundTrip) explanation {
	return explanation{do: "Nothing, if this was intended; otherwise look at the log of the MCP server."}
}

func clerkUnavailable(w *Window, _ *roundTrip) explanation {
	return w.fromTable(diagnose.Explain("token.unavailable"), "")
}

func hasScopeChallenge(_ *Window, x *roundTrip) bool { return x.bearerChallenge()["scope"] != "" }

func scopeMissing(_ *Window, x *roundTrip) explanation {
	return because(
		sentence(fmt.Sprintf("the token lacks a scope; the request needs %q", redactField("scope", x.bearerChallenge()["scope"]))),
		"Nothing, if the client signs in again to get the scopes; otherwise grant the scopes to the client.",
	)
}

func permissionMissing(*Window, *roundTrip) explanation { return explanation{do: forbidden.do} }

// forbidden explains a 403 without a reason.
var forbidden = because(
	"The user is not allowed to do this: a role, a permission or an active organization is missing, or another "+
		"user opened the session.",
	"Sign in as a user who is allowed to, or choose an organization on the consent page.",
)
