package gatehouse

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Identity is the caller of a request, as the verified access token describes it. Its
// slices are shared between requests and must not be changed.
type Identity struct {
	// Issuer and Subject together are the principal: a subject is unique only
	// within its issuer (RFC 9068 §5).
	Issuer, Subject string

	// Provider is the name of the provider that the token is from, as in [Provider].
	Provider string

	// Kind says whether the caller is a user or a machine.
	Kind Kind

	// ClientID is the OAuth client with which the user signed in: the claim client_id,
	// or the one of [ClaimNames]. It may be a URL, and empty if the token names none.
	ClientID string

	// TokenID is the claim jti. It is empty if the token has none.
	TokenID string

	// Scopes are the scopes that the user granted to the client.
	Scopes []string

	// Roles and Permissions are those of the user. They are empty unless the provider
	// adds them to access tokens.
	Roles, Permissions []string

	// Organization is the organization that the token was issued for.
	Organization Organization

	// Audience is the claim aud. It is empty if the token is not bound to a server;
	// see [AudienceIfPresent].
	Audience []string

	// IssuedAt is the claim iat. It is zero if the token has none.
	IssuedAt time.Time

	// Expiry is the claim exp. It is never zero.
	Expiry time.Time

	// Fingerprint is the SHA-256 of the token in base64url. Use it to distinguish tokens
	// in logs and as a cache key; the token cannot be computed from it. To revoke a
	// token, use TokenID: an ES256 signature has two valid forms, so the same token can
	// have two fingerprints.
	Fingerprint string

	payload string // the claims: one JSON object
}

// Kind is a kind of caller. The zero value is [KindUser].
type Kind int

const (
	// KindUser is a person who signed in with a client.
	KindUser Kind = iota

	// KindMachine is a client that signed in as itself, without a user: by client
	// credentials (RFC 6749 §4.4), for example. See [Provider.AllowMachines].
	KindMachine
)

// String returns "user" or "machine".
func (k Kind) String() string {
	if k == KindMachine {
		return "machine"
	}
	return "user"
}

// Organization is the organization, tenant or workspace of an [Identity]. The zero
// value means that there is none.
type Organization struct {
	ID          string
	Name        string   // for people; may be empty
	Slug        string   // short name for URLs; may be empty
	Role        string   // role of the user in the organization
	Permissions []string // permissions of the user in the organization
}

// principalSeparator is between issuer and subject. An issuer is a URL, which cannot
// contain it.
const principalSeparator = "|"

// Principal returns issuer and subject, joined by "|". It is unique across issuers.
func (id Identity) Principal() string { return id.Issuer + principalSeparator + id.Subject }

// HasScope reports whether the token has the scope. [Config.ImpliedScopes] is not
// considered.
func (id Identity) HasScope(scope string) bool { return slices.Contains(id.Scopes, scope) }

// Claims decodes all verified claims of the token into v, as [encoding/json] does, except
// that names must match exactly: the claim "ROLES" is not the field with the tag "roles".
func (id Identity) Claims(v any) error {
	if id.payload == "" {
		return errors.New("gatehouse: identity has no claims; it does not come from a verified token")
	}
	return strictjson.UnmarshalWalked([]byte(id.payload), v) // package token has walked it
}

// LogValue returns issuer, subject and client, each shortened. Other claims are not logged.
func (id Identity) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("issuer", quote.Clip(id.Issuer, maxLoggedText)),
		slog.String("subject", quote.Clip(id.Subject, maxLoggedText)),
		slog.String("client", quote.Clip(id.ClientID, maxLoggedText)),
	)
}

// IdentityOf returns the caller of one MCP request, such as a tool call. ok is false if
// the request did not come through a [Guard], as with stdio and in-memory transports, or if the
// caller has no token, which [Require.Public] allows.
//
// There is no function that takes the identity from a tool's context: in a session of the
// older transports, that context belongs to the first request of the session, whose
// caller or scopes may differ.
func IdentityOf(req mcp.Request) (id Identity, ok bool) {
	if c := callerOf(req); c != nil {
		return c.identity, true
	}
	return Identity{}, false
}

// ProviderOf returns the provider that the caller's token is from. ok is false if the request
// did not come through a [Guard]. It is for packages that define a provider and functions
// about its users.
func ProviderOf(req mcp.Request) (p Provider, ok bool) {
	if c := callerOf(req); c != nil {
		return c.from.Provider, true
	}
	return Provider{}, false
}

// IdentityOfHTTP returns the caller of an HTTP request, for handlers inside [Guard.Wrap]. ok
// is false if the request did not come through a [Guard], or if the caller has no token, which
// [Require.Public] allows.
func IdentityOfHTTP(r *http.Request) (id Identity, ok bool) {
	if c := callerFromContext(r.Context()); c != nil && !c.anonymous {
		return c.identity, true
	}
	return Identity{}, false
}
