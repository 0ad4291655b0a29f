// Package wellknown returns the URLs of OAuth metadata documents (RFC 9728, section 3;
// RFC 8414, section 3) and checks the identifiers from which they are derived: the
// resource (RFC 8707, section 2) and the issuer (RFC 8414, section 2). [IsLoopback] is
// the one definition of a loopback host in this repository; localclerk, which imports
// nothing of it, has its own. Nothing here does I/O.
package wellknown

import (
	"net/url"
	"strings"
)

const (
	// ProtectedResourcePath is the path of the metadata of a resource without a path
	// (RFC 9728).
	ProtectedResourcePath = "/.well-known/oauth-protected-resource"

	// AuthorizationServerPath is the path of the metadata of an issuer without a path
	// (RFC 8414).
	AuthorizationServerPath = "/.well-known/oauth-authorization-server"

	// OpenIDConfigurationPath is appended to an issuer by OpenID Connect Discovery.
	OpenIDConfigurationPath = "/.well-known/openid-configuration"

	prefix = "/.well-known/"
)

// ProtectedResource returns the URL path of the metadata document of resource:
// the well-known path, then the resource's own path (RFC 9728, section 3.1).
// The resource must be one that [Resource] returned.
func ProtectedResource(resource *url.URL) string {
	if resource.Path == "/" {
		return ProtectedResourcePath
	}
	return ProtectedResourcePath + resource.EscapedPath()
}

// AuthorizationServer returns the URL of the issuer's OAuth metadata: the
// well-known path inserted between the issuer's host and its path (RFC 8414,
// section 3.1). The error is that of [Issuer].
func AuthorizationServer(issuer string) (string, error) {
	origin, path, err := splitIssuer(issuer)
	if err != nil {
		return "", err
	}
	return origin + AuthorizationServerPath + path, nil
}

// OpenIDConfiguration returns the URL of the issuer's OpenID Connect metadata:
// the well-known path appended to the issuer (OpenID Connect Discovery 1.0,
// section 4). The error is that of [Issuer].
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
// inserted, OpenID Connect appended. For an issuer without a path, the last two
// are the same URL, which is returned once. It returns nil for an issuer that [Issuer]
// rejects.
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

// splitIssuer returns the issuer's origin, and its path without the trailing slash, as
// RFC 8414, section 3.1 requires.
func splitIssuer(issuer string) (origin, path string, err error) {
	u, err := parse(issuer, issuerExample)
	if err != nil {
		return "", "", err
	}
	return u.Scheme + "://" + u.Host, strings.TrimSuffix(u.EscapedPath(), "/"), nil
}
