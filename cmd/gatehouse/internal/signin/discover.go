package signin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// authServer is the authorization server of an MCP endpoint.
type authServer struct {
	metadata *oauthex.AuthServerMeta
	resource string   // as the protected resource metadata names it
	scopes   []string // requested by the challenge of the endpoint, or else by its metadata
}

const clerkSettings = "Clerk: Dashboard → Configure → OAuth applications → Settings"

// discover finds the authorization server, from the parameters of a challenge (MCP
// authorization, "Authorization Server Discovery").
func (c *Client) discover(ctx context.Context, challenge map[string]string) (*authServer, error) {
	resource, err := c.resourceMetadata(ctx, challenge["resource_metadata"])
	if err != nil {
		return nil, err
	}
	scopes := strings.Fields(challenge["scope"])
	if len(scopes) == 0 {
		scopes = resource.ScopesSupported
	}
	issuer := resource.AuthorizationServers[0]
	if err := checkIssuer(c.config.Account.Resource, issuer); err != nil {
		return nil, err
	}
	metadata, err := c.serverMetadata(ctx, issuer)
	if err != nil {
		return nil, err
	}
	if err := checkEndpoints(metadata); err != nil {
		return nil, err
	}
	if err := checkPKCE(metadata); err != nil {
		return nil, err
	}
	return &authServer{metadata: metadata, resource: resource.Resource, scopes: scopes}, nil
}

// serverMetadata fetches the metadata of the authorization server from the first of its
// well-known URLs that has one (MCP authorization, "Authorization Server Metadata
// Discovery"; RFC 8414 section 3.1).
func (c *Client) serverMetadata(ctx context.Context, issuer string) (*oauthex.AuthServerMeta, error) {
	var asked []string
	for _, metadataURL := range wellknown.Candidates(issuer) {
		asked = append(asked, metadataURL)
		metadata, err := oauthex.GetAuthServerMeta(ctx, metadataURL, issuer, serverDocument.client(c.http))
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			return nil, failure.New(
				c.metadataHint(issuer),
				"reading the metadata of the authorization server %q at %s: %w", issuer, metadataURL, err)
		case metadata != nil:
			return metadata, nil
		}
	}
	return nil, failure.New("check the issuer in the MCP server's configuration (for Clerk it is the Frontend API URL)",
		"authorization server %q has no metadata at %s", issuer, strings.Join(asked, " or "))
}

// metadataHint says what to do about metadata of the issuer that cannot be used.
func (c *Client) metadataHint(issuer string) string {
	switch c.config.Transport.Issuer() {
	case "": // the server has no such document
		return "the MCP server names it as its authorization server: check that it is running, and that the MCP server's " +
			"configuration has the right issuer"
	case issuer:
		return "do not sign in there before its operator has changed the metadata (RFC 8414 section 2)"
	}
	return "check that the MCP server's configuration has the right issuer, exactly as the metadata names it (RFC 8414 section 3.3)"
}

// checkPKCE returns an error unless the authorization server supports PKCE with S256. A
// client must not sign in without it (MCP authorization, "Authorization Code Protection").
func checkPKCE(metadata *oauthex.AuthServerMeta) error {
	if slices.Contains(metadata.CodeChallengeMethodsSupported, "S256") {
		return nil
	}
	return failure.New(
		"do not sign in there before its operator has turned on PKCE with S256 (RFC 7636)",
		"code_challenge_methods_supported of authorization server %q is %s, want it to contain \"S256\"",
		metadata.Issuer, quote.String(strings.Join(metadata.CodeChallengeMethodsSupported, " ")))
}

// resourceMetadata fetches the protected resource metadata (RFC 9728) from the URL in
// the challenge, or from the well-known URLs. A server of the 2025-03-26 revision has
// no such metadata and is its own authorization server.
func (c *Client) resourceMetadata(ctx context.Context, challengeURL string) (*oauthex.ProtectedResourceMetadata, error) {
	resource := c.config.Account.Resource
	u, err := url.Parse(resource)
	if err != nil {
		return nil, err
	}
	origin := u.Scheme + "://" + u.Host
	if challengeURL != "" {
		if err := checkMetadataURL(resource, challengeURL); err != nil {
			return nil, err
		}
	}
	candidates := []struct{ metadataURL, resource string }{
		{challengeURL, resource},
		{origin + wellknown.ProtectedResource(u) + query(u), resource},
		{origin + wellknown.ProtectedResourcePath, origin},
	}
	var firstErr error
	for _, candidate := range candidates {
		if candidate.metadataURL == "" {
			continue
		}
		metadata, err := oauthex.GetProtectedResourceMetadata(
			ctx, candidate.metadataURL, candidate.resource, resourceDocument.client(c.http))
		if err == nil {
			return metadata, checkResourceMetadata(metadata, candidate.metadataURL)
		}
		if firstErr == nil {
			// The error of oauthex begins with the name of its function.
			firstErr = fmt.Errorf("reading the protected resource metadata at %s: %w", candidate.metadataURL, cmp.Or(errors.Unwrap(err), err))
		}
	}
	return c.withoutResourceMetadata(ctx, challengeURL, origin, firstErr)
}

// query returns the query of u with its question mark, or "". It is a part of the
// identifier of a resource, and so of the URL of its metadata (RFC 9728 section 3.1).
func query(u *url.URL) string {
	if u.RawQuery == "" {
		return ""
	}
	return "?" + u.RawQuery
}

func checkResourceMetadata(metadata *oauthex.ProtectedResourceMetadata, metadataURL string) error {
	if len(metadata.AuthorizationServers) == 0 {
		return failure.New("the MCP server must name its issuer in authorization_servers (RFC 9728 section 2)",
			"protected resource metadata %q names no authorization server", metadataURL)
	}
	return nil
}

// withoutResourceMetadata falls back to the origin as the authorization server, as in
// the 2025-03-26 revision, or explains why no protected resource metadata is usable.
func (c *Client) withoutResourceMetadata(
	ctx context.Context, challengeURL, origin string, problem error,
) (*oauthex.ProtectedResourceMetadata, error) {
	resource := c.config.Account.Resource
	named := c.config.Transport.Resource()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case named == resource:
		return nil, failure.New(
			"the operator of the MCP server must change its protected resource metadata: its URLs must be https with a public "+
				"host, or http on localhost",
			"%w", problem)
	case named != "":
		return nil, failure.New(
			"call the server by the URL in its metadata, or set the server's public URL to the one that you call: the two "+
				"must be the same string",
			"protected resource metadata is for %q, want %q", named, resource)
	case challengeURL != "":
		return nil, failure.New(
			"the metadata must be public JSON (status 200, application/json) that needs no token",
			"%w", problem)
	}
	if _, err := c.serverMetadata(ctx, origin); err == nil {
		return &oauthex.ProtectedResourceMetadata{Resource: resource, AuthorizationServers: []string{origin}}, nil
	}
	return nil, failure.New(
		"the server needs protected resource metadata (RFC 9728) at "+
			origin+wellknown.ProtectedResourcePath+", and its URL as resource_metadata in WWW-Authenticate; Gatehouse's "+
			"guard serves both",
		"%q answers 401 but does not say where to sign in: its challenge has no resource_metadata, and "+
			"%w", resource, problem)
}

// checkLocal returns an error unless the authorization endpoint is on this machine. For
// --user: other authorization servers ignore the header with the user's name, and
// should not receive it.
func checkLocal(metadata *oauthex.AuthServerMeta) error {
	u, err := url.Parse(metadata.AuthorizationEndpoint)
	if err == nil && wellknown.IsLoopback(u.Hostname()) {
		return nil
	}
	return failure.New(
		"leave --user out and sign in with the browser",
		"--user works only with a local Clerk; the authorization endpoint is %q, want one on "+
			"localhost", metadata.AuthorizationEndpoint)
}
