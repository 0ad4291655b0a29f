package gatehouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Identity is who made a request, as a verified access token says it. Its
// slices are shared and must not be changed.
type Identity struct {
	// Issuer and Subject together are the principal: a subject is unique only
	// within its issuer (RFC 9068 §5).
	Issuer, Subject string

	// ClientID is the OAuth client that the user signed in with: client_id, or
	// azp where a provider uses that. It may be a URL.
	ClientID string

	// TokenID is the jti claim; empty when there is none.
	TokenID string

	// Scopes are what the user granted the client.
	Scopes []string

	// Roles and Permissions are what the provider says about the user; empty
	// unless it puts them into access tokens.
	Roles, Permissions []string

	// Organization is the one that the token was issued for.
	Organization Organization

	// Audience is the aud claim. Empty means that the token is bound to no
	// server; see [AudienceIfPresent].
	Audience []string

	// IssuedAt may be zero; Expiry never is.
	IssuedAt, Expiry time.Time

	// Fingerprint is the SHA-256 of the token in base64url: the same for the
	// same token, useful to tell tokens apart in logs and as a cache key, and
	// of no use to whoever finds it. Revoke by TokenID rather than by it: an
	// ES256 signature can be written in two ways that both verify.
	Fingerprint string

	payload json.RawMessage
}

// Organization is the organization, tenant or workspace of an [Identity]. The
// zero value means none.
type Organization struct {
	ID, Slug, Role string
	Permissions    []string
}

// Principal identifies the user across issuers: issuer and subject.
func (id Identity) Principal() string { return id.Issuer + principalSeparator + id.Subject }

const principalSeparator = "|"

// HasScope reports whether the token was granted the scope.
func (id Identity) HasScope(scope string) bool { return slices.Contains(id.Scopes, scope) }

// Claims decodes the verified claims of the token into v, as [json.Unmarshal]
// does.
func (id Identity) Claims(v any) error {
	if id.payload == nil {
		return errors.New("gatehouse: identity has no claims")
	}
	return json.Unmarshal(id.payload, v)
}

// LogValue tells the principal and the client, and none of the claims.
func (id Identity) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("issuer", id.Issuer),
		slog.String("subject", id.Subject),
		slog.String("client", id.ClientID),
	)
}

// IdentityOf returns the identity of the caller of one MCP request: a tool call,
// a prompt, a read. ok is false when the request did not come through a
// [Guard], as on stdio and in-memory transports.
//
// It is taken from the request and never from a context: in a session of the
// older transports, the context holds the identity of the session's first
// request.
func IdentityOf(req mcp.Request) (id Identity, ok bool) {
	if c := callerOf(req); c != nil {
		return c.identity, true
	}
	return Identity{}, false
}

// IdentityOfHTTP is [IdentityOf] for a plain handler behind [Guard.Wrap].
func IdentityOfHTTP(r *http.Request) (id Identity, ok bool) {
	if c := callerFromContext(r.Context()); c != nil {
		return c.identity, true
	}
	return Identity{}, false
}

// IssuerClient returns an HTTP client that presents the caller's own token to
// the issuer that minted it and to nobody else: a request to another origin
// fails. It is for endpoints of the provider such as userinfo. ok is false when
// the request did not come through a [Guard].
func IssuerClient(req mcp.Request) (client *http.Client, ok bool) {
	c := callerOf(req)
	if c == nil {
		return nil, false
	}
	return c.issuerClient(), true
}

// caller is one authenticated request.
type caller struct {
	verified
	token string // never printed: see Format
	guard *Guard
}

// Format prints a placeholder under every verb: a TokenInfo that is logged whole
// has the caller in it, and fmt calls no methods of unexported fields.
func (c *caller) Format(f fmt.State, _ rune) { io.WriteString(f, "[caller]") }

// MarshalJSON is Format for JSON.
func (c *caller) MarshalJSON() ([]byte, error) { return []byte(`"[caller]"`), nil }

// LogValue is Format for slog.
func (c *caller) LogValue() slog.Value { return c.identity.LogValue() }

// tokenInfoKey is where a *caller lies in auth.TokenInfo.Extra.
const tokenInfoKey = module + ".caller"

const module = "github.com/gatehouse-mcp/gatehouse"

func callerOf(req mcp.Request) *caller {
	if req == nil {
		return nil
	}
	extra := req.GetExtra()
	if extra == nil || extra.TokenInfo == nil {
		return nil
	}
	c, _ := extra.TokenInfo.Extra[tokenInfoKey].(*caller)
	return c
}

type callerKey struct{}

func callerFromContext(ctx context.Context) *caller {
	c, _ := ctx.Value(callerKey{}).(*caller)
	return c
}
