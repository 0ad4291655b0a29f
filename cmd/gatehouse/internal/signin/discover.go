package signin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/diagnose"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// authServer is the authorization server of an MCP endpoint.
type authServer struct {
	metadata *oauthex.AuthServerMeta
	resource string   // as the protected resource metadata names it
	scopes   []string // requested by the challenge of the endpoint, or else by its metadata
}

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
		var seen documentAnswer
		metadata, err := oauthex.GetAuthServerMeta(ctx, metadataURL, issuer, serverDocument.client(c.http, &seen))
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			return nil, c.explainServerMetadata(err, issuer, metadataURL, &seen)
		case metadata != nil:
			return metadata, nil
		}
	}
	return nil, setupFailure(diagnose.ExplainMissingMetadata(issuer), "authorization server %q has no metadata at %s", issuer,
		strings.Join(asked, " or "))
}

// explainServerMetadata explains metadata of the issuer that cannot be fetched or used.
func (c *Client) explainServerMetadata(err error, issuer, metadataURL string, seen *documentAnswer) error {
	explain := func(e diagnose.Explanation) error {
		return setupFailure(e, "reading the metadata of the authorization server %q at %s: %w", issuer, metadataURL, err)
	}
	named := c.config.Transport.Issuer()
	u, parseErr := url.Parse(metadataURL)
	if parseErr != nil {
		return parseErr
	}
	switch {
	case seen.status == 0:
		if e, ok := diagnose.ExplainNetwork(err, u); ok && strings.HasPrefix(e.ID, "tls.") {
			return explain(diagnose.Explain("issuer.tls"))
		}
		return explain(diagnose.Explain("issuer.unreachable"))
	case seen.status != http.StatusOK:
		return explain(diagnose.Explain("server.error"))
	case seen.isHTML:
		return explain(diagnose.Explain("server.html", "url", metadataURL))
	case !seen.isObject:
		return explain(diagnose.Explain("server.not_json", "url", metadataURL))
	case named == "":
		return explain(diagnose.Explain("server.no_issuer", "issuer", issuer))
	case named != issuer:
		return explain(diagnose.ExplainOtherIssuer(named, issuer))
	case seen.mediaType != jsonType:
		return explain(diagnose.Explain("server.type"))
	}
	return failure.New("do not sign in there before its operator has changed the metadata (RFC 8414 section 2)",
		"reading the metadata of the authorization server %q at %s: %w", issuer, metadataURL, err)
}

// checkPKCE returns an error unless the authorization server supports PKCE with S256. A
// client must not sign in without it (MCP authorization, "Authorization Code Protection").
func checkPKCE(metadata *oauthex.AuthServerMeta) error {
	if slices.Contains(metadata.CodeChallengeMethodsSupported, "S256") {
		return nil
	}
	return setupFailure(diagnose.ExplainPKCE(metadata.Issuer, metadata.ServiceDocumentation),
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
	var first error
	var seenFirst documentAnswer
	for _, candidate := range candidates {
		if candidate.metadataURL == "" {
			continue
		}
		var seen documentAnswer
		metadata, err := oauthex.GetProtectedResourceMetadata(
			ctx, candidate.metadataURL, candidate.resource, resourceDocument.client(c.http, &seen))
		if err == nil {
			return metadata, checkResourceMetadata(metadata, candidate.metadataURL)
		}
		if first == nil {
			// The error of oauthex begins with the name of its function.
			first = fmt.Errorf("reading the protected resource metadata at %s: %w", candidate.metadataURL, cmp.Or(errors.Unwrap(err), err))
			seenFirst, seenFirst.url = seen, candidate.metadataURL
		}
	}
	return c.withoutResourceMetadata(ctx, u, challengeURL, first, &seenFirst)
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
		return setupFailure(diagnose.Explain("metadata.no_servers"), "authorization_servers of %q is missing or empty", metadataURL)
	}
	return nil
}

// withoutResourceMetadata falls back to the origin as the authorization server, as in
// the 2025-03-26 revision, or explains why no protected resource metadata is usable. problem and
// seen are about the first document that was requested.
func (c *Client) withoutResourceMetadata(
	ctx context.Context, endpoint *url.URL, challengeURL string, problem error, seen *documentAnswer,
) (*oauthex.ProtectedResourceMetadata, error) {
	resource := c.config.Account.Resource
	named := c.config.Transport.Resource()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if seen.isObject && seen.mediaType != jsonType {
		return nil, setupFailure(diagnose.Explain("metadata.type"), "%w", problem)
	}
	if named == resource {
		return nil, failure.New(
			"the operator of the MCP server must change its protected resource metadata: its URLs must be https with a public "+
				"host, or http on localhost",
			"%w", problem)
	}
	if e, ok := diagnose.ExplainResource(named, resource); ok && (named != "" || seen.isObject) {
		return nil, or(setupFailure(e, "protected resource metadata is for %q, want %q", named, resource),
			"call the server by the URL in its metadata")
	}
	if challengeURL != "" {
		e, ok := diagnose.ExplainMetadataAnswer(seen.status, seen.isHTML, seen.url)
		if !ok {
			e = diagnose.ExplainNoMetadata(endpoint)
		}
		return nil, setupFailure(e, "%w", problem)
	}
	origin := endpoint.Scheme + "://" + endpoint.Host
	if _, err := c.serverMetadata(ctx, origin); err == nil {
		return &oauthex.ProtectedResourceMetadata{Resource: resource, AuthorizationServers: []string{origin}}, nil
	}
	return nil, setupFailure(diagnose.ExplainNoMetadata(endpoint),
		"%q answers 401 but does not say where to sign in: its challenge has no resource_metadata, and %w", resource, problem)
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
