// Package reason lists every reason for which the guard rejects a request.
//
// Its table is the only description of the reasons: the guard's answers, logs and counters,
// the window of "gatehouse dev", "gatehouse call" and docs/reasons.md all use it.
package reason

import (
	"net/http"
	"slices"
)

// Reason names why a request was rejected. It is used in logs and metrics, and is the
// member reason of the JSON body that the client gets. [All] lists every reason.
type Reason string

// The reasons, in the order in which the guard checks them.
const (
	ForbiddenHost          Reason = "forbidden_host"
	ForbiddenOrigin        Reason = "forbidden_origin"
	NotLoopback            Reason = "not_loopback"
	NoCredentials          Reason = "no_credentials"
	WrongScheme            Reason = "wrong_scheme"
	MalformedCredentials   Reason = "malformed_credentials"
	TokenInQuery           Reason = "token_in_query"
	TooManyFailedSignIns   Reason = "too_many_failed_sign_ins"
	Opaque                 Reason = "opaque"
	Encrypted              Reason = "encrypted"
	TooLarge               Reason = "too_large"
	Malformed              Reason = "malformed"
	CriticalHeader         Reason = "critical_header"
	WrongAlgorithm         Reason = "wrong_algorithm"
	WrongType              Reason = "wrong_type"
	WrongIssuer            Reason = "wrong_issuer"
	MissingKeyID           Reason = "missing_key_id"
	UnknownKey             Reason = "unknown_key"
	BadSignature           Reason = "bad_signature"
	MissingClaim           Reason = "missing_claim"
	WrongClaim             Reason = "wrong_claim"
	Expired                Reason = "expired"
	NotYetValid            Reason = "not_yet_valid"
	SenderConstrained      Reason = "sender_constrained"
	WrongSubject           Reason = "wrong_subject"
	MachineToken           Reason = "machine_token"
	WrongAudience          Reason = "wrong_audience"
	Unbound                Reason = "unbound"
	UnusableClaims         Reason = "unusable_claims"
	Inactive               Reason = "inactive"
	Revoked                Reason = "revoked"
	ProviderUnavailable    Reason = "provider_unavailable"
	RevocationsUnavailable Reason = "revocations_unavailable"
	RateLimited            Reason = "rate_limited"
	InsufficientScope      Reason = "insufficient_scope"
	InsufficientPermission Reason = "insufficient_permission"
	NoOrganization         Reason = "no_organization"
	ResourceSpelling       Reason = "resource_spelling"
	SessionOfAnotherUser   Reason = "session_of_another_user"
	TooManySessions        Reason = "too_many_sessions"
	BodyTooLarge           Reason = "body_too_large"
	BodyUnreadable         Reason = "body_unreadable"
	BodyMalformed          Reason = "body_malformed"

	// RegistrationUnavailable is not a rejection of a request to the endpoint.
	RegistrationUnavailable Reason = "registration_unavailable"
)

// The error codes of an answer: those of RFC 6750 section 3.1, and others where RFC 6750
// defines none.
const (
	CodeMissingToken      = "missing_token" // in the body only: if there are no credentials, the challenge has no error code
	CodeInvalidRequest    = "invalid_request"
	CodeInvalidToken      = "invalid_token"
	CodeInsufficientScope = "insufficient_scope"
	CodeForbidden         = "forbidden"
	CodeUnavailable       = "temporarily_unavailable"
	CodeNoRegistration    = "registration_not_supported" // OpenID Connect Core 1.0, section 3.1.2.6
	CodeNotFound          = "not_found"
	CodeTooManyRequests   = "too_many_requests"
)

// Info describes one [Reason].
type Info struct {
	Reason Reason // the member reason of the JSON body
	Status int    // HTTP status of the answer
	Code   string // error in the JSON body, and in the challenge if RFC 6750 defines the code
	Phrase string // error_description in both; fixed, so that it reveals nothing about the request
	When   string // what happened, for the operator
	Do     string // what the operator should do
}

// infos is the table. Its order is the order of the constants.
var infos = []Info{
	{
		Reason: ForbiddenHost,
		Status: http.StatusForbidden,
		Code:   CodeForbidden,
		Phrase: "this host name is not served here",
		When:   "a connection arrived on loopback, and its Host header names neither this machine nor the resource",
		Do: "have the proxy pass the host on (nginx: proxy_set_header Host $http_host;), or add the host to AllowedHosts; " +
			"without a proxy, a web page may have resolved its own name to 127.0.0.1 (DNS rebinding)",
	},
	{
		Reason: ForbiddenOrigin,
		Status: http.StatusForbidden,
		Code:   CodeForbidden,
		Phrase: "this web origin is not allowed",
		When:   "the Origin header is not in AllowedOrigins",
		Do:     "add the origin of the web page to AllowedOrigins, if you trust it",
	},
	{
		Reason: NotLoopback,
		Status: http.StatusForbidden,
		Code:   CodeForbidden,
		Phrase: "token verification is disabled, so only loopback connections are accepted",
		When:   "DangerouslySkipVerification is set and the connection did not arrive on a loopback address",
		Do:     "unset DangerouslySkipVerification",
	},
	{
		Reason: NoCredentials,
		Status: http.StatusUnauthorized,
		Code:   CodeMissingToken,
		Phrase: "sign in to use this server",
		When:   "the request has no Authorization header, and not all of it is public; every client starts like this",
		Do:     "nothing, if a sign-in follows; otherwise check whether a proxy removes the header",
	},
	{
		Reason: WrongScheme,
		Status: http.StatusUnauthorized,
		Code:   CodeMissingToken,
		Phrase: "sign in with a bearer token to use this server",
		When:   "the Authorization scheme is not Bearer",
		Do:     "have the client send its access token as a bearer token",
	},
	{
		Reason: MalformedCredentials,
		Status: http.StatusBadRequest,
		Code:   CodeInvalidRequest,
		Phrase: "the Authorization header must be one bearer token",
		When:   "the Authorization header appears twice, or is not Bearer followed by one token",
		Do:     "check what the client or a proxy sends in this header",
	},
	{
		Reason: TokenInQuery,
		Status: http.StatusBadRequest,
		Code:   CodeInvalidRequest,
		Phrase: "a token in the query is not accepted",
		When:   "the query has the parameter access_token",
		Do:     "have the client use the Authorization header; the token is now in logs, so revoke it",
	},
	{
		Reason: TooManyFailedSignIns,
		Status: http.StatusTooManyRequests,
		Code:   CodeTooManyRequests,
		Phrase: "too many invalid tokens were sent from this address, try again later",
		When:   "the address of the client has sent more invalid tokens than RateLimits allows, so this one was not verified",
		Do: "nothing, if someone tries tokens or a client repeats an invalid one; " +
			"if it is the address of a proxy, add it to TrustedProxies, so that each client has a limit of its own",
	},
	{
		Reason: Opaque,
		Status: http.StatusUnauthorized,
		Code:   CodeInvalidToken,
		Phrase: "this server does not accept opaque tokens",
		When:   "the token is not a JWT",
		Do:     "have the provider issue JWT access tokens, or set Provider.Introspect to ask the provider about opaque ones",
	},
	{
		Reason: Encrypted,
		Status: http.StatusUnauthorized,
		Code:   CodeInvalidToken,
		Phrase: "this server does not accept encrypted tokens",
		When:   "the token is a JWE (RFC 7516)",
		Do:     "have the provider issue signed JWT access tokens",
	},
	{
		Reason: TooLarge,
		Status: http.StatusUnauthorized,
		Code:   CodeInvalidToken,
		Phrase: "the token is too large",
		When:   "the token is longer than TokenRules.MaxBytes, which is 16 KiB by default, or an opaque token longer than 4 KiB",
		Do:     "have the provider put fewer claims into access tokens, such as groups, or raise Provider.Tokens.MaxBytes",
	},
	{
		Reason: Malformed,
		Status: http.StatusUnauthorized,
		Code:   CodeInvalidToken,
		Phrase: "the token is malformed",
		When:   "the token is not a strict compact JWS with one JSON object in each part (RFC 7515 section 7.1, RFC 7519 section 7.2)",
		Do:     "check what the client sends; the token may be truncated",
	},
	{
		Reason: CriticalHeader,
		Status: http.StatusUnauthorized,
		Code:   CodeInvalidToken,
		Phrase: "the token requires an unknown extension",
		When:   "the header has crit or b64 (RFC 7515 section 4.1.11, RFC 7797)",
		Do:     "have the provider issue access tokens without extensions of JWS",
	},
	{
		Reason: WrongAlgorithm,
		Status: http.StatusUnauthorized,
		Code:   CodeInvalidToken,
		Phrase: "the token algorithm is not accepted",
		When:   "alg is not one of the provider's algorithms, or does not fit the key",
		Do:     "if the provider signs access tokens with it, add it to TokenRules.Algorithms; otherwise nothing, such a token is forged or was issued for another server",
	},
	{
		Reason: WrongType,
		Status: http.StatusUnauthorized,
		Code:   CodeInvalidToken,
		Phrase: "this kind of token is not accepted",
		When:   "typ, another header parameter or a claim marks a different kind of token, such as an ID token or a session token",
		Do: "have the client send its access token; if your provider writes access tokens like that, correct TokenRules: Types if the " +
			"detail has the token's typ, and otherwise RejectedHeader or RejectedClaims",
	},
	{
		Reason: WrongIssuer,
		Status: http.StatusUnauthorized,
		Code:   CodeInvalidToken,
		Phrase: "the token is from another issuer",
		When:   "iss is not exactly the provider's issuer",
		Do:     "compare Provider.Issuer with iss in the detail, character by character, including a slash at the end; the client may have signed in elsewhere",
	},
	{
		Reason: MissingKeyID,
		Status: http.StatusUnauthorized,
		Code:   CodeInvalidToken,
		Phrase: "the token does not name its key",
		When:   "the header has no kid, and more of the provider's keys fit its algorithm than are tried",
		Do:     "have the provider write kid into its tokens, or remove the keys that it no longer uses",
	},
	{
		Reason: UnknownKey,
		Status: http.StatusUnauthorized,
		Code:   CodeInvalidToken,
		Phrase: "the token key is not known",
		When:   "kid is not among the provider's keys, or without kid none of them fits the algorithm",
		Do:     "sign in again; if that does not help, the token is from another issuer, or Provider.JWKSURL is not that of the issuer",
	},
	{
		Reason: BadSignature,
		Status: http.StatusUnauthorized,
		Code:   CodeInvalidToken,
		Phrase: "the token signature does not verify",
		When:   "the signature was not made with the provider's key that kid names, or without kid with any key that fits",
		Do:     "nothing; such a token is forged, truncated, or older than a key change",
	},
	{
		Reason: MissingClaim,
		Status: http.StatusUnauthorized,
		Code:   CodeInvalidToken,
		Phrase: "the token lacks a required claim",
		When:   "a required claim is missing or empty",
		Do:     "have the provider add the claim, or remove it from TokenRules.RequiredClaims if access tokens never have it; otherwise have the client send its access token",
	},
	{
		Reason: WrongClaim,
		Status: http.StatusUnauthorized,
		Code:   CodeInvalidToken,
		Phrase: "the token has another value for a required claim",
		When:   "a claim of TokenRules.RequiredValues has another value, as with other kinds of tokens",
		Do:     "have the client send its access token; if access tokens of the provider have that value, add it to TokenRules.RequiredValues",
	},
	{
		Reason: Expired,
		Status: http.StatusUnauthorized,
		Code:   CodeInvalidToken,
		Phrase: "the token has expired",
		When:   "exp has passed",
		Do:     "nothing; the client refreshes the token or signs in again",
	},
	{
		Reason: NotYetValid,
		Status: http.StatusUnauthorized,
		Code:   CodeInvalidToken,
		Phrase: "the token is not valid yet",
		When:   "nbf or iat is in the future",
		Do:     "set the clock of this machine",
	},
	{
		Reason: SenderConstrained,
		Status: http.StatusUnauthorized,
		Code:   CodeInvalidToken,
		Phrase: "a sender-constrained token is not accepted as a bearer token",
		When:   "the token has cnf, which binds it to a key (RFC 9449, RFC 8705), and no proof can be checked",
		Do:     "have the provider issue plain bearer tokens for this server",
	},
	{
		Reason: WrongSubject,
		Status: http.StatusUnauthorized,
		Code:   CodeInvalidToken,
		Phrase: "this kind of subject is not accepted",
		When:   "sub is not a user of the provider",
		Do:     "sign in as a user; sub does not begin with TokenRules.SubjectPrefix, as with tokens of machines",
	},
	{
		Reason: MachineToken,
		Status: http.StatusUnauthorized,
		Code:   CodeInvalidToken,
		Phrase: "tokens of machines are not accepted; sign in as a user",
		When:   "the token was issued to a client without a user (client credentials), and Provider.AllowMachines is false",
		Do:     "sign in as a user; if programs may call this server on their own account, set Provider.AllowMachines and Requirement.Person for what only people may do",
	},
	{
		Reason: WrongAudience,
		Status: http.StatusUnauthorized,
		Code:   CodeInvalidToken,
		Phrase: "the token was issued for another server",
		When:   "aud names other servers and not this resource",
		Do:     "compare Resource with the URL that users type and with aud in the detail, character by character; clients must send it as the resource parameter (RFC 8707)",
	},
	{
		Reason: Unbound,
		Status: http.StatusUnauthorized,
		Code:   CodeInvalidToken,
		Phrase: "the token was not issued for a particular server",
		When:   "aud is missing, and the audience policy requires it",
		Do:     "have the provider put Resource into aud, use a client that sends the resource parameter, or set TokenRules.Audience if the provider cannot",
	},
	{
		Reason: UnusableClaims,
		Status: http.StatusUnauthorized,
		Code:   CodeInvalidToken,
		Phrase: "the token has claims of an unknown form",
		When:   "the provider's own claims cannot be read",
		Do:     "read the detail in the log; the provider may have changed its claims",
	},
	{
		Reason: Inactive,
		Status: http.StatusUnauthorized,
		Code:   CodeInvalidToken,
		Phrase: "the token is not active",
		When:   "the provider does not know the opaque token, or its answer is anything but \"active\": true (RFC 7662 section 2.2)",
		Do:     "nothing, if the token was revoked or has expired; if every opaque token is rejected, read the detail in the log",
	},
	{
		Reason: Revoked,
		Status: http.StatusUnauthorized,
		Code:   CodeInvalidToken,
		Phrase: "the token was revoked",
		When:   "the token is valid, but Deny or Config.Revoked rejects it",
		Do:     "nothing, if this was intended",
	},
	{
		Reason: ProviderUnavailable,
		Status: http.StatusServiceUnavailable,
		Code:   CodeUnavailable,
		Phrase: "sign-in cannot be checked right now, try again",
		When:   "the provider's keys or its introspection endpoint are unavailable",
		Do:     "check the network and the provider's status page; tokens are accepted again as soon as the provider answers",
	},
	{
		Reason: RevocationsUnavailable,
		Status: http.StatusServiceUnavailable,
		Code:   CodeUnavailable,
		Phrase: "revocations cannot be checked right now, try again",
		When:   "the token is valid, but the snapshot of the shared revocations was not loaded since the process started",
		Do:     "check that the store of shared revocations can be reached; tokens are accepted again as soon as its snapshot is loaded",
	},
	{
		Reason: RateLimited,
		Status: http.StatusTooManyRequests,
		Code:   CodeTooManyRequests,
		Phrase: "too many requests, try again later",
		When:   "the caller sends more requests than RateLimits.RequestsPerMinute and RequestsBurst allow",
		Do:     "find out which client sends them; raise the limit if they are legitimate",
	},
	{
		Reason: InsufficientScope,
		Status: http.StatusForbidden,
		Code:   CodeInsufficientScope,
		Phrase: "more scopes are needed for this",
		When:   "the token lacks a scope that the operation requires",
		Do:     "nothing, if the client asks for the scope; otherwise grant the scope to the client at the provider",
	},
	{
		Reason: InsufficientPermission,
		Status: http.StatusForbidden,
		Code:   CodeForbidden,
		Phrase: "you are not allowed to do this",
		When:   "the user lacks a role or a permission, is a machine, or was rejected by a function of the server",
		Do:     "give the user the role or permission at the provider, if this should be allowed",
	},
	{
		Reason: NoOrganization,
		Status: http.StatusForbidden,
		Code:   CodeForbidden,
		Phrase: "no active organization; sign in again and choose one",
		When: "the operation requires an organization, and the token is for none, although the client need not ask for another scope: " +
			"the user chose none, or the provider has no scope for it",
		Do: "have the user sign in again and choose an organization, or add the user to one at the provider",
	},
	{
		Reason: ResourceSpelling,
		Status: http.StatusBadRequest,
		Code:   CodeInvalidRequest,
		Phrase: "request this resource by the URI under which the server lists it",
		When:   "the URI is another spelling of a resource that has requirements: percent-encoding, dot segments, a query, another case",
		Do:     "nothing, if someone tries to get around a requirement; to accept a query, declare a ResourceTemplate for it",
	},
	{
		Reason: SessionOfAnotherUser,
		Status: http.StatusNotFound,
		Code:   CodeNotFound,
		Phrase: "this session does not exist, start a new one",
		When: "the session ID was issued to another principal, by a process with another session key, or not at all; " +
			"or the session was opened without a token, and by another process, or a user has signed in in it since; " +
			"a client that changed users or outlived a restart sends such an ID",
		Do: "nothing, if this is rare: clients start a new session; " +
			"if it happens on every second request, share SessionKey between the replicas, or route by session ID",
	},
	{
		Reason: TooManySessions,
		Status: http.StatusTooManyRequests,
		Code:   CodeTooManyRequests,
		Phrase: "too many sessions or streams are open, close some or try again later",
		When:   "the user, or the server as a whole, has as many open sessions or streams as are allowed",
		Do:     "find out which client opens sessions without closing them; MaxSessions and MaxSessionsPerUser set the limits",
	},
	{
		Reason: BodyTooLarge,
		Status: http.StatusRequestEntityTooLarge,
		Code:   CodeInvalidRequest,
		Phrase: "the request body is too large",
		When:   "the body is longer than MaxBodyBytes (4 MiB by default), or has more than 256 messages or operations",
		Do:     "send less in one request, or raise MaxBodyBytes (max_body_bytes of the gateway)",
	},
	{
		Reason: BodyUnreadable,
		Status: http.StatusBadRequest,
		Code:   CodeInvalidRequest,
		Phrase: "the request body could not be read",
		When:   "the body ended early or took too long",
		Do:     "check the network between client and server",
	},
	{
		Reason: BodyMalformed,
		Status: http.StatusBadRequest,
		Code:   CodeInvalidRequest,
		Phrase: "the request body is not a JSON-RPC message",
		When:   "the body cannot be parsed, so the operation it asks for is unknown",
		Do:     "check what the client sends",
	},
	{
		Reason: RegistrationUnavailable,
		Status: http.StatusBadRequest,
		Code:   CodeNoRegistration,
		Phrase: "this server does not register clients",
		When:   "a client sent POST /register to the MCP server; clients do that if the issuer's metadata has no registration_endpoint",
		Do:     "turn on dynamic client registration at the identity provider, or give the client an ID that is registered there",
	},
}

// All returns every reason, in the order in which the guard checks them.
func All() []Info { return slices.Clone(infos) }

var index = func() map[Reason]int {
	index := make(map[Reason]int, len(infos))
	for i, info := range infos {
		index[info.Reason] = i
	}
	return index
}()

// Index returns the position of r in [All]. ok is false if r is not one of the reasons.
func Index(r Reason) (i int, ok bool) {
	i, ok = index[r]
	return i, ok
}

// InfoOf returns the description of r. ok is false if r is not one of the reasons.
func InfoOf(r Reason) (info Info, ok bool) {
	i, ok := index[r]
	if !ok {
		return Info{}, false
	}
	return infos[i], true
}
