package diagnose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/remote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// maxTargetIssuers bounds how many issuers of a target's metadata are compared with the token.
const maxTargetIssuers = 8

// readTarget sets the server to what the metadata of cfg.Target says: its resource and its issuers,
// with the rules of the providers that have these issuers.
func (e *explainer) readTarget(ctx context.Context) error {
	u, err := resourceWithQuery(e.cfg.Target)
	if err != nil {
		return fmt.Errorf("target %s: %w", quote.String(withoutQuery(wellknown.Redacted(e.cfg.Target))), err)
	}
	origin := u.Scheme + "://" + u.Host
	places := []string{metadataURLOf(u), origin + wellknown.ProtectedResource(u), origin + wellknown.ProtectedResourcePath}
	var errs []error
	for _, place := range slices.Compact(places) {
		metadata, err := fetchResourceMetadata(ctx, e.cfg.Server.HTTPClient, place)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", withoutQuery(place), err))
			continue
		}
		e.useTarget(metadata)
		return nil
	}
	return fmt.Errorf("reading the metadata of the target: %w", errors.Join(errs...))
}

// resourceMetadata is what is read of protected resource metadata (RFC 9728 section 2).
type resourceMetadata struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers"`
}

// fetchResourceMetadata fetches one document, within the bounds of package remote.
func fetchResourceMetadata(ctx context.Context, client *http.Client, address string) (resourceMetadata, error) {
	document := remote.New(remote.Config{URL: address, Client: client, Logger: discard})
	defer document.Close()
	c, err := document.Get(ctx)
	if err != nil {
		return resourceMetadata{}, err
	}
	var m resourceMetadata
	if err := json.Unmarshal(c.Body, &m); err != nil {
		return m, err
	}
	if _, err := resourceWithQuery(m.Resource); err != nil {
		return m, fmt.Errorf("resource %s: %w", quote.String(withoutQuery(m.Resource)), err)
	}
	return m, nil
}

// resourceWithQuery is [wellknown.Resource], except that the resource may have a query, which is a
// part of it (RFC 9728 section 3.1). Gatehouse's own servers have none.
func resourceWithQuery(raw string) (*url.URL, error) {
	base, query, _ := strings.Cut(raw, "?")
	u, err := wellknown.Resource(base)
	if err != nil {
		return nil, err
	}
	u.RawQuery = query
	return u, nil
}

// useTarget makes the server of the explanation from the metadata of the target.
func (e *explainer) useTarget(m resourceMetadata) {
	e.assumed = true
	e.server.Resource = m.Resource
	hasQuery := strings.Contains(m.Resource, "?")
	if hasQuery { // a guard has no such resource, but its provider may have such an audience
		e.server.Resource = unknownResource
	}
	seen := make(map[string]bool)
	for _, issuer := range m.AuthorizationServers[:min(len(m.AuthorizationServers), maxTargetIssuers)] {
		p := e.guessProvider(issuer)
		if wellknown.Issuer(issuer) != nil || p.Err != nil || seen[p.Issuer] {
			continue
		}
		seen[p.Issuer] = true
		if hasQuery {
			p.Tokens.Audiences = append(slices.Clone(p.Tokens.Audiences), m.Resource)
		}
		e.server.Providers = append(e.server.Providers, withoutIntrospection(p))
	}
}

// withoutIntrospection returns p for a server whose settings are not known: whether it can ask the
// provider depends on a secret of its own.
func withoutIntrospection(p gatehouse.Provider) gatehouse.Provider {
	if !p.OpaqueOnly {
		p.Introspect, p.OpaquePrefixes = nil, nil
	}
	return p
}

// isGuess reports whether the rules about the audience compare settings that an issuer does not
// show.
func isGuess(p *gatehouse.Provider) bool {
	return slices.Contains(p.Tokens.BoundClients, unknownSetting) ||
		slices.ContainsFunc(p.Tokens.Audiences, func(a string) bool { return strings.Contains(a, unknownGUID) })
}
