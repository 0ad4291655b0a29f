// Package wellknown knows the places of OAuth metadata documents (RFC 9728,
// section 3; RFC 8414, section 3) and the form of the identifiers they are
// derived from: the resource (RFC 8707, section 2) and the issuer (RFC 8414,
// section 2). It is pure: nothing here touches the network.
package wellknown

import (
	"net/url"
	"strings"
)

const (
	// ProtectedResourcePath is where RFC 9728 puts the metadata of a resource
	// without a path.
	ProtectedResourcePath = "/.well-known/oauth-protected-resource"

	// AuthorizationServerPath is where RFC 8414 puts the metadata of an issuer
	// without a path.
	AuthorizationServerPath = "/.well-known/oauth-authorization-server"

	// OpenIDConfigurationPath is what OpenID Connect Discovery appends to an issuer.
	OpenIDConfigurationPath = "/.well-known/openid-configuration"

	prefix = "/.well-known/"
)

// ProtectedResource returns the URL path of the metadata document of resource:
// the well-known path, then the resource's own path (RFC 9728, section 3.1).
// The resource is one that [Resource] returned.
func ProtectedResource(resource *url.URL) string {
	if resource.Path == "/" {
		return ProtectedResourcePath
	}
	return ProtectedResourcePath + resource.EscapedPath()
}

// AuthorizationServer returns the URL of the issuer's OAuth metadata: the
// well-known path inserted between the issuer's host and its path (RFC 8414,
// section 3.1). The error is the *[Fault] that [Issuer] finds.
func AuthorizationServer(issuer string) (string, error) {
	origin, path, err := splitIssuer(issuer)
	if err != nil {
		return "", err
	}
	return origin + AuthorizationServerPath + path, nil
}

// OpenIDConfiguration returns the URL of the issuer's OpenID Connect metadata:
// the well-known path appended to the issuer (OpenID Connect Discovery 1.0,
// section 4). The error is the *[Fault] that [Issuer] finds.
func OpenIDConfiguration(issuer string) (string, error) {
	origin, path, err := splitIssuer(issuer)
	if err != nil {
		return "", err
	}
	return origin + path + OpenIDConfigurationPath, nil
}

// Candidates returns every URL at which an MCP client looks for the issuer's
// metadata, in the order in which it tries them (MCP authorization,
// "Authorization Server Metadata Discovery"): OAuth inserted, OpenID Connect
// inserted, OpenID Connect appended. The last two are one for an issuer without
// a path. It returns nil for what [Issuer] refuses.
func Candidates(issuer string) []string {
	origin, path, err := splitIssuer(issuer)
	if err != nil {
		return nil
	}
	urls := []string{
		origin + AuthorizationServerPath + path,
		origin + OpenIDConfigurationPath + path,
	}
	if path != "" {
		urls = append(urls, origin+path+OpenIDConfigurationPath)
	}
	return urls
}

// splitIssuer returns the issuer's origin, and its path without the
// terminating slash, which RFC 8414, section 3.1 has removed.
func splitIssuer(issuer string) (origin, path string, err error) {
	u, err := parse(issuer, issuerExample)
	if err != nil {
		return "", "", err
	}
	return u.Scheme + "://" + u.Host, strings.TrimSuffix(u.EscapedPath(), "/"), nil
}
