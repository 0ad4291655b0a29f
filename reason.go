package gatehouse

import (
	"log/slog"
	"net/http"
	"slices"

	"github.com/modelcontextprotocol/go-sdk/auth"
)

// Reason says why a request was refused, as a word for logs, metrics and
// comparisons. The set is closed; [Reasons] lists it.
type Reason string

// ReasonInfo is the row of one [Reason].
type ReasonInfo struct {
	Reason Reason
	Status int    // of the HTTP answer
	Code   string // error in the body, and in the challenge of RFC 6750; empty for neither
	Phrase string // error_description: all that the outside learns
	When   string // what happened
	Do     string // what the operator should do
}

// Reasons of the gate. Those of a refused token are in internal/token.
const (
	reasonForbiddenHost   Reason = "forbidden_host"
	reasonForbiddenOrigin Reason = "forbidden_origin"
	reasonNotLoopback     Reason = "not_loopback"
	reasonNoCredentials   Reason = "no_credentials"
	reasonWrongScheme     Reason = "wrong_scheme"
	reasonBadCredentials  Reason = "malformed_credentials"
	reasonTokenInQuery    Reason = "token_in_query"
	reasonUnavailable     Reason = "provider_unavailable"
	reasonScope           Reason = "insufficient_scope"
	reasonPermission      Reason = "insufficient_permission"
	reasonSession         Reason = "session_of_another_user"
	reasonBodyTooLarge    Reason = "body_too_large"
	reasonBodyUnreadable  Reason = "body_unreadable"
	reasonBodyMalformed   Reason = "body_malformed"
	reasonUnusable        Reason = "unusable_claims"
	reasonInactive        Reason = "inactive"
	reasonRevoked         Reason = "revoked"
)

const (
	codeMissingToken      = "missing_token" // body only: a challenge without credentials has no error (RFC 6750 §3.1)
	codeInvalidRequest    = "invalid_request"
	codeInvalidToken      = "invalid_token"
	codeInsufficientScope = "insufficient_scope"
	codeForbidden         = "forbidden"
	codeUnavailable       = "temporarily_unavailable"
)

func tokenReason(reason Reason, phrase, when, do string) ReasonInfo {
	return ReasonInfo{reason, http.StatusUnauthorized, codeInvalidToken, phrase, when, do}
}

// reasons is the one table behind answers, logs, counters and documentation.
var reasons = []ReasonInfo{
	{reasonForbiddenHost, 403, codeForbidden, "this host name is not served here", "the Host header names neither this machine nor the resource", "reach the server under the host of its Resource; a page that resolves its own name to 127.0.0.1 is an attack"},
	{reasonForbiddenOrigin, 403, codeForbidden, "this web origin is not allowed", "the Origin header is not in AllowedOrigins", "add the origin of the web page to AllowedOrigins, if you trust it"},
	{reasonNotLoopback, 403, codeForbidden, "verification is switched off and so is access from the network", "DangerouslySkipVerification is set and the connection did not arrive on loopback", "unset DangerouslySkipVerification"},
	{reasonNoCredentials, 401, codeMissingToken, "sign in to use this server", "there is no Authorization header; every client begins like this", "nothing, if a sign-in follows; else see whether a proxy strips the header"},
	{reasonWrongScheme, 401, codeMissingToken, "sign in with a bearer token to use this server", "the Authorization scheme is not Bearer", "have the client send its access token as a bearer token"},
	{reasonBadCredentials, 400, codeInvalidRequest, "the Authorization header must be one bearer token", "the Authorization header is there twice, or is not Bearer and one token", "look at what the client or a proxy puts there"},
	{reasonTokenInQuery, 400, codeInvalidRequest, "a token in the query is not accepted", "the query has access_token", "have the client use the Authorization header; the token is in logs now, so revoke it"},

	tokenReason("opaque", "this server does not take opaque tokens", "the token is not a JWT", "have the provider issue JWT access tokens"),
	tokenReason("encrypted", "this server does not take encrypted tokens", "the token is a JWE", "have the provider issue signed JWT access tokens"),
	tokenReason("too_large", "the token is too large", "the token is longer than the limit", "have the provider put fewer claims into access tokens"),
	tokenReason("malformed", "the token is malformed", "the token is not a strict compact JWS with one JSON object in each part", "look at what the client sends; it may be cut short"),
	tokenReason("wrong_algorithm", "the token algorithm is not accepted", "alg is not one of the provider's, or not that of the key", "nothing; a token like this is forged or for another server"),
	tokenReason("wrong_type", "this kind of token is not accepted", "typ or another header marks a different kind of token: an ID token, a session token", "have the client send its OAuth access token"),
	tokenReason("critical_header", "the token demands an unknown extension", "the header has crit", "nothing; no provider here issues such tokens"),
	tokenReason("missing_key_id", "the token does not name its key", "the header has no kid", "nothing; no provider here issues such tokens"),
	tokenReason("unknown_key", "the token key is not known", "kid is not among the provider's keys", "sign in again; if it stays, the token is from another instance of the provider"),
	tokenReason("bad_signature", "the token signature does not verify", "the signature is not that of the key", "nothing; a token like this is forged, cut short, or older than a key change"),
	tokenReason("wrong_issuer", "the token is from another issuer", "iss is not exactly the provider's issuer", "compare the issuer of the server with the one that the client signed in at; development and production instances differ"),
	tokenReason("missing_claim", "the token lacks a required claim", "a required claim is missing or empty", "have the provider add the claim, or send an access token rather than another kind"),
	tokenReason("expired", "the token has expired", "exp has passed", "nothing; the client refreshes or signs in again"),
	tokenReason("not_yet_valid", "the token is not valid yet", "nbf or iat is in the future", "set the clock of this machine"),
	tokenReason("wrong_audience", "the token was issued for another server", "aud names others and not this resource", "compare Resource with the URL that users type, to the letter"),
	tokenReason("unbound", "the token was issued for no server in particular", "aud is missing and the policy requires it", "have the provider bind tokens to the resource parameter, or use a client that sends it"),
	tokenReason("wrong_subject", "this kind of subject is not accepted", "sub is not a user of the provider", "sign in as a user; tokens of machines are not taken"),
	tokenReason("sender_constrained", "a sender constrained token is not accepted as bearer", "the token has cnf, and no proof can be checked", "have the provider issue plain bearer tokens for this server"),
	tokenReason(reasonUnusable, "the token has claims of an unknown form", "the provider's own claims cannot be read", "look at the detail in the log; the provider may have changed its claims"),
	tokenReason(reasonInactive, "the token is not active", "the provider does not know the opaque token, or says that it was revoked or has expired", "nothing; the client refreshes or signs in again"),
	tokenReason(reasonRevoked, "the token was revoked", "the token is good, and was shut out by Deny or Config.Revoked", "nothing, if that was meant"),

	{reasonUnavailable, 503, codeUnavailable, "sign-in cannot be checked right now, try again", "the provider's keys are out of reach", "look at the network and at the provider's status page; tokens are checked again as soon as keys arrive"},
	{reasonScope, 403, codeInsufficientScope, "more scopes are needed for this", "the token lacks a scope of the operation", "nothing, if the client steps up; else grant the scope to the client at the provider"},
	{reasonPermission, 403, codeForbidden, "you are not allowed to do this", "the user lacks a role, a permission or an active organization", "change the user's role at the provider, if it should be allowed"},
	{reasonSession, 403, codeForbidden, "this session belongs to another user", "the session id was opened by another principal", "nothing, if a client changed users; else somebody tries a stolen session id"},
	{reasonBodyTooLarge, 413, codeInvalidRequest, "the request body is too large", "the body is longer than 4 MiB", "send less at once"},
	{reasonBodyUnreadable, 400, codeInvalidRequest, "the request body could not be read", "the body ended early or took too long", "look at the network between client and server"},
	{reasonBodyMalformed, 400, codeInvalidRequest, "the request body is not a JSON-RPC message", "the body cannot be read, so nobody can tell which operation it asks for", "look at what the client sends"},
}

// Reasons lists every reason for which a request can be refused, in the order
// of the checks.
func Reasons() []ReasonInfo { return slices.Clone(reasons) }

var reasonRows = func() map[Reason]*ReasonInfo {
	rows := make(map[Reason]*ReasonInfo, len(reasons))
	for i := range reasons {
		rows[reasons[i].Reason] = &reasons[i]
	}
	return rows
}()

// Rejection is one refused request, as [Config.OnReject] sees it. It never
// holds the token.
type Rejection struct {
	Reason Reason
	Status int
	// Err has the precise detail, for logs only. It may be nil.
	Err error
	// Hint is what the operator should do.
	Hint string
	// Identity is set when the token itself was good.
	Identity Identity
}

// TokenError is a refused token. Inside go-sdk's own middleware it counts as
// auth.ErrInvalidToken.
type TokenError struct {
	Reason Reason
	Claim  string // claim or header parameter, if the reason is about one
	Got    string // shortened; empty where it would tell about the token
	Want   string
	err    error
}

func (e *TokenError) Error() string { return e.err.Error() }

// Is makes errors.Is(err, auth.ErrInvalidToken) true.
func (e *TokenError) Is(target error) bool { return target == auth.ErrInvalidToken }

func (e *TokenError) Unwrap() error { return e.err }

// outsideError has the fixed phrase as its text and the detail behind it: go-sdk
// writes the text of a verifier's error into the answer.
type outsideError struct {
	phrase string
	err    error
}

func (e *outsideError) Error() string { return e.phrase }
func (e *outsideError) Unwrap() error { return e.err }

// LogValue tells reason, detail and hint, and who it was about.
func (r Rejection) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("reason", string(r.Reason))}
	if r.Err != nil {
		attrs = append(attrs, slog.String("detail", r.Err.Error()))
	}
	if r.Identity.Subject != "" {
		attrs = append(attrs, slog.Any("caller", r.Identity))
	}
	// Every sign-in begins without credentials; that needs no advice.
	if r.Hint != "" && r.Reason != reasonNoCredentials {
		attrs = append(attrs, slog.String("hint", r.Hint))
	}
	return slog.GroupValue(attrs...)
}
