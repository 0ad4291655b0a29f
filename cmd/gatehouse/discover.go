package main

import (
	"context"
	"net/url"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// authServer is where an MCP endpoint has people sign in.
type authServer struct {
	meta   *oauthex.AuthServerMeta
	scopes []string // what the endpoint asks for: its challenge, else its document
}

const clerkSettings = "Clerk: Dashboard → Configure → OAuth applications → Settings"

// discover finds out where to sign in, from the parameters of the challenge and
// the documents they lead to (MCP authorization, "Authorization Server
// Discovery").
func (s *signIn) discover(ctx context.Context, bearer map[string]string) (*authServer, error) {
	prm, err := s.resourceMetadata(ctx, bearer["resource_metadata"])
	if err != nil {
		return nil, err
	}
	scopes := strings.Fields(bearer["scope"])
	if len(scopes) == 0 {
		scopes = prm.ScopesSupported
	}
	issuer := prm.AuthorizationServers[0]
	meta, err := auth.GetAuthServerMetadata(ctx, issuer, s.http)
	if err != nil {
		return nil, fail("the MCP server sends everybody there to sign in: is that authorization server running, and is its issuer spelt right in the server's configuration?",
			"reading the metadata of the authorization server %q: %w", issuer, err)
	}
	if meta == nil {
		return nil, fail("check the issuer in the MCP server's configuration (at Clerk it is the Frontend API URL)",
			"authorization server %q has no metadata document at %s", issuer, strings.Join(wellknown.Candidates(issuer), " or "))
	}
	return &authServer{meta: meta, scopes: scopes}, nil
}

// resourceMetadata reads the protected resource document (RFC 9728), at the
// place the challenge names or at the well-known ones. A server of the 2025-03-26
// revision has none and is its own authorization server.
func (s *signIn) resourceMetadata(ctx context.Context, hint string) (*oauthex.ProtectedResourceMetadata, error) {
	resource := s.account.Resource
	u, err := url.Parse(resource)
	if err != nil {
		return nil, err
	}
	origin := u.Scheme + "://" + u.Host
	places := []struct{ document, resource string }{
		{hint, resource},
		{origin + wellknown.ProtectedResource(u), resource},
		{origin + wellknown.ProtectedResourcePath, origin},
	}
	var problem error
	for _, place := range places {
		if place.document == "" {
			continue
		}
		prm, err := oauthex.GetProtectedResourceMetadata(ctx, place.document, place.resource, s.http)
		if err == nil {
			return checkResourceMetadata(prm, place.document)
		}
		if problem == nil {
			problem = err
		}
	}
	return s.withoutResourceMetadata(ctx, hint, origin, problem)
}

func checkResourceMetadata(prm *oauthex.ProtectedResourceMetadata, document string) (*oauthex.ProtectedResourceMetadata, error) {
	if len(prm.AuthorizationServers) == 0 {
		return nil, fail("the MCP server must name its issuer in authorization_servers (RFC 9728, section 2)",
			"protected resource document %q names no authorization server", document)
	}
	return prm, nil
}

// withoutResourceMetadata falls back to the origin as the authorization server,
// as the 2025-03-26 revision has it, or says why no document could be used.
func (s *signIn) withoutResourceMetadata(ctx context.Context, hint, origin string, problem error) (*oauthex.ProtectedResourceMetadata, error) {
	resource := s.account.Resource
	switch named := s.traffic.namedResource(); {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case named != "":
		return nil, fail("call it by the name it has for itself, or set the server's public URL to the one that is called: the two must be the same string",
			"protected resource document is for %q, want %q", named, resource)
	case hint != "":
		return nil, fail("the document must be public JSON (status 200, application/json), without a token", "reading the protected resource document: %w", problem)
	}
	if meta, err := auth.GetAuthServerMetadata(ctx, origin, s.http); err == nil && meta != nil {
		return &oauthex.ProtectedResourceMetadata{Resource: resource, AuthorizationServers: []string{origin}}, nil
	}
	return nil, fail("it needs a protected resource document (RFC 9728) at "+origin+wellknown.ProtectedResourcePath+", and its URL as resource_metadata in WWW-Authenticate; Gatehouse's guard serves both",
		"%q answers 401 but does not say where to sign in: its challenge has no resource_metadata, and %w", resource, problem)
}

// onlyLocal refuses --user anywhere but at an authorization server on this
// machine: the header would sign nobody in elsewhere, and tell the user's name.
func onlyLocal(meta *oauthex.AuthServerMeta) error {
	u, err := url.Parse(meta.AuthorizationEndpoint)
	if err == nil && wellknown.IsLoopback(u.Host) {
		return nil
	}
	return fail("leave --user out and sign in with the browser",
		"--user signs in at a local Clerk only; the authorization endpoint is %q, want one on localhost", meta.AuthorizationEndpoint)
}
