package forwarded

import (
	"crypto/sha256"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/record"
)

// caller is everything that the headers say about a caller. Two tokens that say the same make
// equal callers, and share the headers.
type caller struct {
	claims // without exp, iat and jti, which differ each time an assertion is signed

	// Groups is the value of the header with the groups, and GroupsTruncated is true if some are
	// missing. The header has a bound of its own, so it may have other groups than claims.Roles.
	Groups          string
	GroupsTruncated bool

	// TokenExpiry is when the token expires if an assertion would be valid for longer, and else zero.
	TokenExpiry time.Time
}

// callerHash is the SHA-256 of a caller.
type callerHash [sha256.Size]byte

// usualCaller is room for a caller with few groups and scopes, in bytes.
const usualCaller = 512

// hash returns the hash of c. Callers that differ in anything have different hashes;
// TestCallersDiffer checks it for each field.
func (c *caller) hash() callerHash {
	var w record.Writer
	w.Grow(usualCaller)
	for _, s := range [...]string{
		c.Issuer, c.Audience, c.Subject, c.UserIssuer, c.UserSubject, c.Kind, c.Email, c.PreferredUsername, c.ClientID, c.Scope,
		c.OrganizationID, c.OrganizationName, c.OrganizationSlug, c.OrganizationRole, c.Groups,
	} {
		w.String(s)
	}
	for _, list := range [...][]string{c.Roles, c.Permissions, c.OrganizationPermissions} {
		w.Strings(list)
	}
	w.Bool(c.Truncated)
	w.Bool(c.GroupsTruncated)
	w.Time(c.TokenExpiry)
	return sha256.Sum256(w.Bytes())
}

// callerOf returns what is to be said about the caller with this name at the time now.
func (f *Forwarder) callerOf(id gatehouse.Identity, user string, now time.Time) caller {
	p := personOf(id)
	c := caller{claims: claims{
		Issuer: f.Issuer, Audience: f.Resource, Subject: user,
		UserIssuer: id.Issuer, UserSubject: id.Subject, Kind: id.Kind.String(),
		Email: p.email, PreferredUsername: p.username, ClientID: text(id.ClientID),
		OrganizationID: text(id.Organization.ID), OrganizationName: text(id.Organization.Name),
		OrganizationSlug: text(id.Organization.Slug), OrganizationRole: text(id.Organization.Role),
	}}
	var scopes []string
	complete := true
	for _, list := range []struct {
		into *[]string
		from []string
	}{
		{&scopes, id.Scopes}, {&c.Roles, id.Roles}, {&c.Permissions, id.Permissions},
		{&c.OrganizationPermissions, id.Organization.Permissions},
	} {
		items, all := bounded(list.from)
		*list.into, complete = items, complete && all
	}
	c.Scope, c.Truncated = strings.Join(scopes, " "), !complete
	c.Groups, complete = encodeList(id.Roles)
	c.GroupsTruncated = !complete
	if f.Headers.Assertion != "" && id.Expiry.Before(now.Add(lifetime)) {
		c.TokenExpiry = id.Expiry
	}
	return c
}
