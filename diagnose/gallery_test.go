package diagnose_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/diagnose"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/provider/entra"
)

// setup is one row of the gallery: a set-up with one thing wrong, and the finding that names
// it. The first fault of the report, or the first warning if there is no fault, must be it.
type setup struct {
	name    string // for the documentation
	symptom string // what the user of a client sees
	want    string // ID of the finding
	words   string // that the fix contains
	broken  func(r *rig)
}

// gallery has the set-ups that sign-in fails with, in the order of the checks.
var gallery = slices.Concat(
	urlSetups, networkSetups, endpointSetups, challengeSetups, metadataSetups, resourceSetups, issuerSetups, serverSetups,
	registrationSetups, keySetups, tokenSetups, otherSetups, clerkSetups, liveSetups,
)

var urlSetups = []setup{
	{"The URL was typed without https://", "the client says that the URL is invalid", "url.form", mcpURL,
		func(r *rig) { r.target = "mcp.example.com/mcp" }},
	{"The URL is http:// on another machine", "the client says that the URL must be https", "url.plain_http", mcpURL,
		func(r *rig) { r.target = "http://mcp.example.com/mcp" }},
	{"The URL of the metadata was pasted in place of the endpoint's", "the client finds no server", "url.document", mcpURL,
		func(r *rig) { r.target = mcpOrigin + prmPath }},
	{"The URL has a password in it", "the client says that the URL is invalid", "url.form",
		"remove everything between // and @",
		func(r *rig) { r.target = "https://ada:secret@mcp.example.com/mcp" }},
	{"The URL has a fragment", "the client says that the URL is invalid", "url.form", "remove the #",
		func(r *rig) { r.target = mcpURL + "#tools" }},
	{"The Account Portal was pasted in place of the Frontend API URL", "the server does not start", "url.clerk",
		"https://verb-noun-42.clerk.accounts.dev",
		func(r *rig) { r.target = "https://verb-noun-42.accounts.dev" }},
	{"The address of the Dashboard was pasted in place of the Frontend API URL", "the server does not start", "url.clerk",
		"copy the Frontend API URL",
		func(r *rig) { r.target = "https://dashboard.clerk.com/apps/app_1/instances/ins_1/api-keys" }},
	{"The publishable key is cut off", "the server does not start", "url.clerk", "copy all of it",
		func(r *rig) { r.target = "pk_test_Y2xlcmsuZXhhbXBsZ" }},
}

var networkSetups = []setup{
	{"The host name is misspelt", "could not connect", "dns.no_such_host", "spelling",
		func(r *rig) { r.target = "https://mpc.example.com/mcp" }},
	{"The name servers of the domain do not answer", "could not connect", "dns.failed", "name servers",
		func(r *rig) {
			r.server = failing{&net.DNSError{Err: "server misbehaving", Name: "mcp.example.com", IsTemporary: true}}
		}},
	{"The server is not running", "could not connect (ECONNREFUSED)", "connect.refused", "start the server",
		func(r *rig) { r.real(closedPort(r.t) + "/mcp") }},
	{"The server uses http, and the URL says https", "TLS error (wrong version number)", "tls.plain_http", "http://",
		func(r *rig) { r.real("https" + strings.TrimPrefix(listen(r.t, r.guarded()), "http") + "/mcp") }},
	{"The server uses https, and the URL says http", "400, or could not connect", "tls.https_only", "https://",
		func(r *rig) { r.real("http" + strings.TrimPrefix(serveTLS(r.t, nil), "https") + "/mcp") }},
	{"The certificate is self-signed", "self-signed certificate", "tls.untrusted", "Let's Encrypt",
		func(r *rig) { r.real(serveTLS(r.t, nil) + "/mcp") }},
	{"The certificate has expired", "certificate has expired", "tls.expired", "renew",
		func(r *rig) { r.trusting(newChain(r.t, chain{notAfter: time.Now().Add(-time.Hour)})) }},
	{"The certificate is not valid yet", "certificate is not yet valid", "tls.not_yet_valid", "clock",
		func(r *rig) { r.trusting(newChain(r.t, chain{notBefore: time.Now().Add(time.Hour)})) }},
	{"The certificate is for another name", "hostname does not match the certificate", "tls.wrong_name", "certificate",
		func(r *rig) { r.trusting(newChain(r.t, chain{name: "other.example.com"})) }},
	{"The intermediate certificate is missing", "works in the browser; clients: unable to verify the first certificate",
		"tls.incomplete_chain", "fullchain.pem",
		func(r *rig) { r.trusting(newChain(r.t, chain{leafOnly: true})) }},
	{"A firewall drops the packets", "timeout", "connect.timeout", "firewall",
		func(r *rig) {
			r.real(silentServer(r.t) + "/mcp")
			r.config.RequestTimeout = 200 * time.Millisecond
		}},
	{"The network is so slow that the time is up", "timeout", "connect.timeout_run", "--timeout",
		func(r *rig) {
			r.real(silentServer(r.t) + "/mcp")
			r.config.Timeout = 200 * time.Millisecond
		}},
	{"The server supports TLS 1.0 only", "TLS error (protocol version)", "tls.handshake", "TLS 1.2",
		func(r *rig) { r.real(serveOldTLS(r.t) + "/mcp") }},
	{"The server sends a megabyte of headers", "header overflow", "connect.bounds", "headers",
		func(r *rig) {
			r.real(listen(r.t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Large", strings.Repeat("x", 1<<20))
			})) + "/mcp")
		}},
	{"The port belongs to a program that is not a web server", "could not connect (socket hang up)", "connect.broken",
		"an HTTP server listens",
		func(r *rig) { r.real(hangUp(r.t) + "/mcp") }},
}

var endpointSetups = []setup{
	{"The path is wrong", "could not connect (404)", "endpoint.not_found", "use the URL " + mcpURL,
		func(r *rig) { r.target = mcpOrigin + "/api" }},
	{"The user typed a slash at the end, and the server knows the path without it only", "could not connect (404)", "endpoint.not_found",
		"use the URL " + mcpURL,
		func(r *rig) {
			r.front(at(http.NotFound, "/mcp/"))
			r.target = mcpURL + "/"
		}},
	{"The path was left out", "could not connect (404)", "endpoint.not_found", "use the URL " + mcpURL,
		func(r *rig) { r.target = mcpOrigin }},
	{"The web application answers every path with its page", "could not connect; HTML where JSON was expected",
		"endpoint.html", "fallback page",
		func(r *rig) { r.server = http.HandlerFunc(page) }},
	{"The router adds a slash to the path", "could not connect, or the token is lost on the way", "endpoint.slash_redirect",
		mcpURL + "/",
		func(r *rig) { r.front(at(redirect("/mcp/"), "/mcp")) }},
	{"The server moved to another URL", "could not connect, or the token is lost on the way", "endpoint.redirect",
		"https://new.example.com/mcp",
		func(r *rig) { r.front(at(redirect("https://new.example.com/mcp"), "/mcp")) }},
	{"The application does not know that it is behind TLS", "could not connect", "endpoint.downgrade", "X-Forwarded-Proto",
		func(r *rig) { r.front(at(redirect("http://mcp.example.com/mcp/"), "/mcp")) }},
	{"A middleware sends everyone without a session to the sign-in page", "could not connect; HTML where JSON was expected",
		"endpoint.login_page", "exclude the endpoint",
		func(r *rig) { r.front(at(redirect("/sign-in?redirect_url=/mcp"), "/mcp", prmPath, prmRoot)) }},
	{"A proxy asks for a password with a page of its own", "could not connect; HTML where JSON was expected",
		"endpoint.login_page",
		"exclude the endpoint",
		func(r *rig) { r.server = http.HandlerFunc(passwordPage) }},
	{"A proxy turns 401 into 200", "the tools are missing, and no sign-in begins", "endpoint.rewritten_ok", "WWW-Authenticate",
		func(r *rig) { r.front(rewrite(statusTo(401, 200))) }},
	{"A proxy turns 401 into 403", "access denied, and no sign-in begins", "endpoint.rewritten_forbidden", "WWW-Authenticate",
		func(r *rig) { r.front(rewrite(statusTo(401, 403))) }},
	{"A firewall for web applications blocks programs", "access denied", "endpoint.forbidden", "firewall",
		func(r *rig) { r.server = status(http.StatusForbidden) }},
	{"A proxy on the same machine passes its own host on", "access denied (403)", "endpoint.forbidden_host",
		"proxy_set_header Host",
		func(r *rig) {
			r.front(func(next http.Handler) http.Handler {
				return onLoopback(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					req.Host = "backend.internal:8080"
					next.ServeHTTP(w, req)
				}))
			})
		}},
	{"The server behind the proxy is stopped", "server error (502)", "endpoint.gateway", "start the MCP server",
		func(r *rig) { r.server = status(http.StatusBadGateway) }},
	{"The server is starting or in maintenance", "server error (503)", "endpoint.unavailable", "log",
		func(r *rig) { r.server = status(http.StatusServiceUnavailable) }},
	{"The server fails if there is no token", "server error (500)", "endpoint.error", "log",
		func(r *rig) { r.server = status(http.StatusInternalServerError) }},
	{"A rate limit counts all users of a proxy as one", "too many requests (429)", "endpoint.rate_limited", "limit",
		func(r *rig) { r.server = status(http.StatusTooManyRequests) }},
	{"The router allows GET only", "could not connect (405)", "endpoint.method", "methods",
		func(r *rig) { r.front(at(status(http.StatusMethodNotAllowed), "/mcp")) }},
	{"The server asks for a session before it asks for a token", "the client reports a protocol error (400)",
		"endpoint.bad_request",
		"before anything else",
		func(r *rig) { r.front(at(status(http.StatusBadRequest), "/mcp")) }},
	{"The URL is that of a service that is not MCP", "could not connect", "endpoint.not_mcp", "/mcp",
		func(r *rig) {
			r.server = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				sendJSON(w,
					map[string]string{"status": "up"})
			})
		}},
	{"The metadata is served, but the handler is registered without the guard", "everything works, for everyone: no sign-in",
		"endpoint.open_with_metadata", "put the guard around",
		func(r *rig) { r.front(at(answerMCP, "/mcp")) }},
}

var challengeSetups = []setup{
	{"A proxy removes WWW-Authenticate", "could not connect; no sign-in begins", "challenge.stripped", "auth_request_set",
		func(r *rig) { r.front(rewrite(withoutHeader(authHeader))) }},
	{"AWS API Gateway renames WWW-Authenticate", "could not connect; no sign-in begins", "challenge.renamed",
		"response parameter mapping",
		func(r *rig) {
			r.front(rewrite(func(_ *http.Request, status int, h http.Header, body []byte) (int, []byte) {
				h.Set("X-Amzn-Remapped-Www-Authenticate", h.Get(authHeader))
				h.Del(authHeader)
				return status, body
			}))
		}},
	{"The server answers 401 without WWW-Authenticate", "could not connect, in clients of 2025-06-18", "challenge.missing",
		`Bearer resource_metadata="` + mcpOrigin + prmPath + `"`,
		func(r *rig) {
			f := newForeign(issuerURL)
			f.challenge = ""
			r.server = f
		}},
	{"A password (Basic) protects the host", "could not connect; browsers ask for a password", "challenge.not_bearer",
		"turn off the basic",
		func(r *rig) { r.server = challenging(`Basic realm="staging"`) }},
	{"resource_metadata is a path, not a URL", "could not connect: invalid URL", "challenge.relative", mcpOrigin + prmPath,
		func(r *rig) { r.server = challenging(`Bearer resource_metadata="` + prmPath + `"`) }},
	{"The server derives its URL from the request, behind a proxy that ends TLS", "could not connect: metadata is not https",
		"challenge.plain_http", "MCP_URL",
		func(r *rig) {
			r.server = challenging(`Bearer resource_metadata="http://mcp.example.com` + prmPath + `"`)
		}},
	{"The public URL of the server is not set", "could not connect: localhost", "challenge.local", "MCP_URL",
		func(r *rig) {
			r.server = challenging(`Bearer resource_metadata="http://localhost:3000` + prmPath + `"`)
		}},
	{"A gateway passes the challenge of its backend through", "the sign-in is for another server, and its token is rejected",
		"challenge.other_host", "replace the challenge of the backend",
		func(r *rig) {
			r.server = challenging(`Bearer resource_metadata="https://backend.example.org` + prmPath + `"`)
		}},
	{"The challenge is cut off", "could not connect", "challenge.malformed", "WWW-Authenticate: Bearer",
		func(r *rig) { r.server = challenging(`Bearer scope="profile email`) }},
}

var metadataSetups = []setup{
	{"The server has a challenge, but no metadata", "could not connect: no authorization server found", "metadata.missing",
		mcpOrigin + prmPath,
		func(r *rig) {
			f := newForeign(issuerURL)
			f.challenge, f.documents = "Bearer", nil
			r.server = f
		}},
	{"The challenge names a path at which nothing is served", "could not connect: 404", "metadata.hint",
		"serve the metadata at the URL",
		func(r *rig) {
			f := newForeign(issuerURL)
			f.challenge = `Bearer resource_metadata="` + mcpOrigin + `/oauth-metadata"`
			r.server = f
		}},
	{"A middleware protects /.well-known/ too", "could not connect: 401", "metadata.protected", "exclude /.well-known/",
		func(r *rig) { r.front(at(status(http.StatusUnauthorized), prmPath, prmRoot)) }},
	{"The web application answers /.well-known/ with its page", "could not connect: unexpected token '<'", "metadata.html",
		"fallback page",
		func(r *rig) { r.front(at(page, prmPath, prmRoot)) }},
	{"The metadata is a template that was not filled in", "could not connect: invalid JSON", "metadata.not_json", "RFC 9728",
		func(r *rig) {
			r.front(at(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"resource": {{ .URL }}}`) },
				prmPath, prmRoot))
		}},
	{"The metadata fails", "server error", "metadata.error", "log has the cause",
		func(r *rig) { r.front(at(status(http.StatusInternalServerError), prmPath, prmRoot)) }},
	{"The metadata redirects to another host", "could not connect", "metadata.redirect", mcpOrigin + prmPath,
		func(r *rig) { r.front(at(redirect("https://docs.example.com/oauth.json"), prmPath, prmRoot)) }},
	{"The metadata names no issuer", "could not connect: no authorization server", "metadata.no_servers",
		"authorization_servers",
		func(r *rig) {
			r.server = newForeign(issuerURL).document(func(d map[string]any) { delete(d, "authorization_servers") })
		}},
	{"The metadata at the root is that of another version of the server", "some clients sign in, and others do not",
		"metadata.differ",
		"one configuration",
		func(r *rig) {
			f := newForeign(issuerURL)
			f.documents[prmRoot] = map[string]any{"resource": mcpOrigin,
				"authorization_servers": []string{"https://old.example.com"}}
			r.server = f
		}},
}

func resourceIs(resource string) func(r *rig) {
	return func(r *rig) {
		r.server = newForeign(issuerURL).document(func(d map[string]any) { d["resource"] = resource })
	}
}

var resourceSetups = []setup{
	{"The public URL was configured with a slash at the end", "resource does not match", "resource.slash", "without the slash",
		resourceIs(mcpURL + "/")},
	{"The user typed a slash at the end", "resource does not match, or 404", "resource.slash",
		"write the URL without the slash: " + mcpURL,
		func(r *rig) {
			r.target = mcpURL + "/"
			r.server = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				req.URL.Path = strings.TrimSuffix(req.URL.Path, "/")
				newForeign(issuerURL).ServeHTTP(w, req)
			})
		}},
	{"The server derives resource from the request, behind a proxy that ends TLS", "resource does not match",
		"resource.scheme", "MCP_URL",
		resourceIs("http://mcp.example.com/mcp")},
	{"resource has the port that the server listens on", "resource does not match", "resource.port", mcpURL,
		resourceIs("https://mcp.example.com:3000/mcp")},
	{"The user types 127.0.0.1, and the server says localhost", "resource does not match", "resource.loopback",
		"http://localhost:3000/mcp",
		func(r *rig) {
			f := newForeign("http://localhost:4000").document(func(d map[string]any) { d["resource"] = "http://localhost:3000/mcp" })
			f.challenge = `Bearer resource_metadata="http://127.0.0.1:3000` + prmPath + `"`
			r.hosts["http://127.0.0.1:3000"] = f
			r.target = "http://127.0.0.1:3000/mcp"
		}},
	{"The public URL of the server was never set", "resource does not match", "resource.local", "MCP_URL",
		resourceIs("http://localhost:3000/mcp")},
	{"A gateway passes the metadata of its backend through", "resource does not match", "resource.backend", "gateway",
		resourceIs("https://backend.example.org/mcp")},
	{"The public URL has the path already", "resource does not match", "resource.doubled", mcpURL,
		resourceIs(mcpURL + "/mcp")},
	{"The gateway serves the endpoint at another path", "resource does not match", "resource.path", mcpURL,
		resourceIs(mcpOrigin + "/v1/mcp")},
	{"resource is written in other letters than the URL", "resource does not match", "resource.case", mcpURL,
		resourceIs(mcpOrigin + "/MCP")},
	{"The URL has a query that the resource lacks", "resource does not match", "resource.query", "type " + mcpURL,
		func(r *rig) {
			r.target = mcpURL + "?tenant=1"
			r.server = newForeign(issuerURL)
		}},
	{"The metadata has no resource", "the metadata is rejected", "resource.missing", mcpURL, resourceIs("")},
	{"resource is a name, not a URL", "the metadata is rejected", "resource.form", mcpURL, resourceIs("my-mcp-server")},
}

func issuerIs(issuer string) func(r *rig) { return func(r *rig) { r.server = newForeign(issuer) } }

var issuerSetups = []setup{
	{"The issuer was configured without https://", "could not connect: invalid URL", "issuer.form", "write it in full",
		issuerIs("issuer.example.com")},
	{"The discovery URL was configured as the issuer", "the authorization server has no metadata", "issuer.document", issuerURL,
		issuerIs(issuerURL + openidPath)},
	{"The issuer is plain http", "could not connect: not https", "issuer.plain_http", "https",
		issuerIs("http://issuer.example.com")},
	{"The issuer is that of the developer's machine", "could not connect: localhost", "issuer.local",
		"public URL of the provider",
		issuerIs("http://localhost:4000")},
	{"The host of the issuer is misspelt", "could not connect to the authorization server", "issuer.unreachable",
		"Frontend API URL",
		issuerIs("https://isuer.example.com")},
	{"The certificate of the issuer has expired", "could not connect to the authorization server", "issuer.tls",
		"certificate of the provider",
		func(r *rig) {
			r.hosts[issuerURL] = failing{&tls.CertificateVerificationError{
				UnverifiedCertificates: []*x509.Certificate{{}}, Err: x509.CertificateInvalidError{Reason: x509.Expired,
					Cert: &x509.Certificate{}},
			}}
		}},
}

var serverSetups = []setup{
	{"The issuer lacks its path", "the authorization server has no metadata", "server.missing", "many issuers have a path",
		func(r *rig) { r.issuer.url += "/realms/main"; r.server = newForeign(issuerURL) }},
	{"A single-page application answers at the issuer", "could not connect: unexpected token '<'", "server.html", "JSON",
		func(r *rig) { r.issuer.paths[oauthPath] = page; r.issuer.paths[openidPath] = page }},
	{"The issuer serves something else at its metadata path", "could not connect: invalid JSON", "server.not_json", "RFC 8414",
		func(r *rig) {
			text := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }
			r.issuer.paths[oauthPath], r.issuer.paths[openidPath] = text, text
		}},
	{"The provider has an outage", "the authorization server fails", "server.error", "status of the provider",
		func(r *rig) {
			r.issuer.paths[oauthPath], r.issuer.paths[openidPath] = status(http.StatusServiceUnavailable),
				status(http.StatusServiceUnavailable)
		}},
	{"The issuer moved to another domain", "could not connect", "server.redirect", "https://login.example.com",
		func(r *rig) {
			r.issuer.paths[oauthPath] = redirect("https://login.example.com" + oauthPath)
			r.issuer.paths[openidPath] = r.issuer.paths[oauthPath]
		}},
	{"The issuer was configured without the slash that it has", "the client stops at the metadata, or all tokens are rejected",
		"server.issuer_slash", issuerURL + "/", func(r *rig) { r.issuer.metadata["issuer"] = issuerURL + "/" }},
	{"A custom domain serves the metadata of the original domain", "the client stops at the metadata (issuer mismatch)",
		"server.issuer",
		"https://tenant.provider.example", func(r *rig) { r.issuer.metadata["issuer"] = "https://tenant.provider.example" }},
	{"The MCP server serves its provider's metadata with its own name in it",
		"the sign-in seems to work, and then: issuer mismatch (RFC 9207)",
		"server.rewritten", "do not rewrite",
		func(r *rig) {
			f := newForeign(mcpOrigin)
			f.documents[oauthPath] = map[string]any{}
			for name, value := range r.issuer.metadata {
				f.documents[oauthPath][name] = value
			}
			f.documents[oauthPath]["issuer"] = mcpOrigin
			r.server = f
		}},
	{"The metadata is for another kind of client and has no token endpoint", "the client stops at the metadata",
		"server.incomplete",
		"RFC 8414", func(r *rig) { delete(r.issuer.metadata, "token_endpoint") }},
	{"The metadata has no issuer", "the client stops at the metadata", "server.no_issuer", issuerURL,
		func(r *rig) { delete(r.issuer.metadata, "issuer") }},
	{"The token endpoint is plain http", "the client stops at the metadata", "server.endpoint", "https",
		func(r *rig) { r.issuer.metadata["token_endpoint"] = "http://issuer.example.com/token" }},
	{"The metadata names endpoints on the provider's private network", "could not connect", "server.endpoint", "https",
		func(r *rig) { r.issuer.metadata["authorization_endpoint"] = "http://keycloak.internal:8080/authorize" }},
	{"The issuer is for machines only", "the client stops at the metadata", "server.no_code", "code",
		func(r *rig) { r.issuer.metadata["response_types_supported"] = []string{"token"} }},
	{"The issuer does not list PKCE", "the client stops: PKCE is not supported", "pkce.missing", "S256",
		func(r *rig) { delete(r.issuer.metadata, "code_challenge_methods_supported") }},
}

var registrationSetups = []setup{
	{"Dynamic client registration is off at the provider", "does not support dynamic client registration",
		"registration.closed",
		"register a client by hand", func(r *rig) { delete(r.issuer.metadata, "registration_endpoint") }},
	{"Client ID metadata documents are on, without public clients", "the sign-in ends with invalid_client",
		"registration.cimd_only_secret",
		`token_endpoint_auth_method "none"`, func(r *rig) {
			delete(r.issuer.metadata, "registration_endpoint")
			r.issuer.metadata["client_id_metadata_document_supported"] = true
			r.issuer.metadata["token_endpoint_auth_methods_supported"] = []string{"client_secret_basic"}
		}},
	{"The registration endpoint was removed, but not from the metadata", "registration failed (404)", "registration.dead",
		"registration_endpoint", func(r *rig) { r.issuer.paths["/register"] = http.NotFound }},
	{"Only the OpenID Connect document of the issuer has the registration endpoint",
		"does not support dynamic client registration",
		"registration.oidc_only", "both documents",
		func(r *rig) {
			r.issuer.paths[oauthPath] = func(w http.ResponseWriter, _ *http.Request) {
				document := maps.Clone(r.issuer.metadata)
				delete(document, "registration_endpoint")
				sendJSON(w, document)
			}
		}},
	{"A required scope does not exist at the provider", "invalid_scope", "scopes.unknown", "notes:write",
		func(r *rig) { r.guard.Provider = gatehouse.OIDC(issuerURL, "profile", "notes:write") }},
	{"Entra ID: the Application ID URI is api://…", "AADSTS9010010", "entra.app_id_uri", "Application ID URI to " + mcpURL,
		entraScopes("api://0f5a/mcp.access")},
	{"Entra ID: the scope is advertised without the application", "AADSTS650053, or a token for Microsoft Graph",
		"entra.short_scope",
		mcpURL + "/mcp.access", entraScopes("mcp.access")},
}

// entraScopes is a server with Entra ID that advertises one scope.
func entraScopes(scope string) func(r *rig) {
	return func(r *rig) {
		const tenant = "https://login.microsoftonline.com/0a1b2c3d-0000-4000-8000-000000000001/v2.0"
		r.issuer = newIssuer(tenant)
		delete(r.issuer.metadata, "registration_endpoint")
		delete(r.issuer.metadata, "scopes_supported")
		f := newForeign(tenant).document(func(d map[string]any) { d["scopes_supported"] = []string{scope} })
		f.challenge = `Bearer resource_metadata="` + mcpOrigin + prmPath + `", scope="` + scope + `"`
		r.server = f
	}
}

var _ = entra.New // the package whose set-ups these are

var keySetups = []setup{
	{"The provider publishes no keys", "signed in, and then 401 at every call", "keys.missing", "publish its keys",
		func(r *rig) { delete(r.issuer.metadata, "jwks_uri") }},
	{"jwks_uri is on the provider's private network", "signed in, and then 503 at every call", "keys.url", "https",
		func(r *rig) { r.issuer.metadata["jwks_uri"] = "http://10.0.0.7/jwks" }},
	{"The keys of the provider cannot be fetched", "signed in, and then 503 at every call", "keys.unreachable",
		"status of the provider",
		func(r *rig) { r.issuer.paths[keysPath] = status(http.StatusInternalServerError) }},
	{"A web page is at jwks_uri", "signed in, and then 503 at every call", "keys.html", "jwks_uri",
		func(r *rig) { r.issuer.paths[keysPath] = page }},
	{"The key set is a list", "signed in, and then 503 at every call", "keys.not_json", "RFC 7517",
		func(r *rig) { r.issuer.keys = []any{testissuer.NewKey("key-1").JWK()} }},
	{"The key set is empty", "signed in, and then 401 at every call", "keys.empty", "create a signing key",
		func(r *rig) { r.issuer.keys = map[string]any{"keys": []any{}} }},
	{"Access tokens are signed with a shared secret (HS256)", "signed in, and then 401 at every call", "keys.unusable", "RS256",
		func(r *rig) {
			r.issuer.keys = map[string]any{"keys": []any{map[string]string{"kty": "oct", "kid": "1", "alg": "HS256"}}}
		}},
	{"The private key is published", "nothing: everything works, for attackers too", "keys.private", "replace the key at once",
		func(r *rig) {
			key := testissuer.NewKey("key-1").JWK()
			key["d"] = "c2VjcmV0"
			r.issuer.keys = map[string]any{"keys": []any{key}}
		}},
	{"Replicas of the issuer have different keys", "some calls get 401, at random", "keys.differ", "same keys",
		func(r *rig) {
			r.issuer.paths[keysPath] = alternate(keySet("key-1"), keySet("key-2")).ServeHTTP
		}},
}

func keySet(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", jsonType)
		io.WriteString(w, testissuer.JWKS(testissuer.NewKey(name)))
	})
}

// rejecting is a server that answers a token with h.
func rejecting(h http.HandlerFunc) func(r *rig) {
	return func(r *rig) {
		f := newForeign(issuerURL)
		f.reject = h
		r.server = f
	}
}

var tokenSetups = []setup{
	{"Tokens are not verified", "nothing: everything works, for attackers too", "token.accepted", "verify signature",
		rejecting(answerMCP)},
	{"A proxy removes the Authorization header", "the sign-in works, and begins again and again", "token.stripped",
		"CGIPassAuth On",
		func(r *rig) {
			r.front(func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					req.Header.Del(tokenHeader)
					next.ServeHTTP(w, req)
				})
			})
		}},
	{"A firewall keeps the server from its provider", "signed in, and then 503 at every call", "token.unavailable",
		"from the machine of the server",
		func(r *rig) { r.guard.HTTPClient = &http.Client{Transport: network{}} }},
	{"The server verifies tokens of another instance than it advertises", "signed in, and then 401 at every call",
		"token.issuer_differs",
		issuerURL, func(r *rig) {
			r.hosts["https://other.example.com"] = newIssuer("https://other.example.com")
			r.guard.Provider = gatehouse.OIDC("https://other.example.com", "profile", "email")
			r.front(replaceText("https://other.example.com", issuerURL))
		}},
	{"An expired token makes the verifier throw", "server error after an hour, and no new sign-in", "token.server_error",
		"invalid_token",
		rejecting(status(http.StatusInternalServerError))},
	{"An invalid token is answered with 403", "access denied after an hour, and no new sign-in", "token.forbidden",
		"invalid_token",
		rejecting(status(http.StatusForbidden))},
	{"An invalid token is answered with 400", "error after an hour, and no new sign-in", "token.bad_request", "invalid_token",
		rejecting(status(http.StatusBadRequest))},
	{"An invalid token is answered with 200 and an error in the body", "error after an hour, and no new sign-in",
		"token.other_status",
		"invalid_token", rejecting(func(w http.ResponseWriter, _ *http.Request) {
			sendJSON(w,
				map[string]string{"error": "token expired"})
		})},
	{"The 401 for an invalid token has no challenge", "error after an hour, and no new sign-in", "token.no_challenge",
		"WWW-Authenticate",
		rejecting(status(http.StatusUnauthorized))},
}

var otherSetups = []setup{
	{"Only POST is protected", "nothing: everything works, for attackers too", "verbs.open", "the whole handler",
		func(r *rig) {
			open := func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				io.WriteString(w, ": open\n\n")
			}
			r.front(func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					if req.Method == http.MethodGet && req.URL.Path == "/mcp" {
						open(w, req)
						return
					}
					next.ServeHTTP(w, req)
				})
			})
		}},
	{"Only one spelling of the path is protected", "nothing: everything works, for attackers too", "verbs.slash_open",
		"both paths",
		func(r *rig) { r.front(at(answerMCP, "/mcp/")) }},
	{"The router ignores case, and the guard does not", "nothing: everything works, for attackers too", "verbs.case_open",
		"around the handler",
		func(r *rig) { r.front(at(answerMCP, "/MCP")) }},
	{"The router ignores double slashes, and the guard does not", "nothing: everything works, for attackers too",
		"verbs.double_slash_open",
		"around the handler", func(r *rig) { r.front(at(answerMCP, "//mcp")) }},
	{"A client in the browser is not among the allowed origins (--origin)", "CORS error in the browser", "cors.origin",
		"AllowedOrigins",
		func(r *rig) { r.config.Origin = "https://inspector.example.com" }},
	{"The provider does not allow web pages to register (--origin)", "CORS error at the registration", "cors.issuer",
		"allow the origin",
		func(r *rig) {
			r.config.Origin = "https://app.example.com"
			r.issuer.paths["/register"] = func(w http.ResponseWriter,
				_ *http.Request) {
				w.WriteHeader(http.StatusMethodNotAllowed)
			}
		}},
	{"The clock of the server is wrong", "new tokens are rejected, some minutes after each sign-in they work",
		"clock.differs", "NTP",
		func(r *rig) {
			r.front(rewrite(func(_ *http.Request, status int, h http.Header, body []byte) (int, []byte) {
				h.Set("Date", time.Now().Add(-5*time.Minute).UTC().Format(http.TimeFormat))
				return status, body
			}))
		}},
	{"One replica has an old configuration", "some sign-ins fail, at random", "replicas.documents", "same configuration",
		func(r *rig) {
			old := r.guarded()
			r.guard.Provider = gatehouse.OIDC(issuerURL, "profile", "email", "openid")
			r.front(at(alternate(r.guarded(), old).ServeHTTP, prmPath))
		}},
	{"One replica runs without the guard", "some calls need no token", "replicas.statuses", "each replica",
		func(r *rig) {
			var requests atomic.Int32
			guarded := r.guarded()
			r.front(at(func(w http.ResponseWriter, req *http.Request) {
				body, _ := io.ReadAll(req.Body)
				req.Body = io.NopCloser(bytes.NewReader(body))
				plain := req.Header.Get("Origin") == "" && req.Header.Get(tokenHeader) == "" && bytes.Contains(body,
					[]byte(`"initialize"`))
				if plain && requests.Add(1) > 1 {
					status(http.StatusServiceUnavailable)(w, req)
					return
				}
				guarded.ServeHTTP(w, req)
			}, "/mcp"))
		}},
	{"The access token is for another server (--send-token-file)", "signed in, and then 401 at every call",
		"revisions.rejected", "aud names other servers",
		func(r *rig) {
			r.config.Token = gatehouse.Secret(r.issuer.signer.Token("https://other.example.com/mcp"))
		}},
}

// real makes target one that is reached over a socket.
func (r *rig) real(target string) {
	r.target = target
	r.config.HTTPClient = nil
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusTemporaryRedirect) }
}

func passwordPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	io.WriteString(w, `<!doctype html><form><input name=user><input type="password" name=pw></form>`)
}

func statusTo(from, to int) func(*http.Request, int, http.Header, []byte) (int, []byte) {
	return func(_ *http.Request, status int, _ http.Header, body []byte) (int, []byte) {
		if status == from {
			return to, body
		}
		return status, body
	}
}

func withoutHeader(name string) func(*http.Request, int, http.Header, []byte) (int, []byte) {
	return func(_ *http.Request, status int, h http.Header, body []byte) (int, []byte) {
		h.Del(name)
		return status, body
	}
}

// challenging is a foreign server with another challenge.
func challenging(challenge string) http.Handler {
	f := newForeign(issuerURL)
	f.challenge = challenge
	return f
}

// closedPort returns the origin of a port at which no one listens.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	return "http://" + listener.Addr().String()
}

// silentServer returns the origin of a server that accepts connections and never answers.
func silentServer(t *testing.T) string {
	return acceptor(t, func(c net.Conn) { t.Cleanup(func() { c.Close() }) })
}

// hangUp returns the origin of a server that closes each connection.
func hangUp(t *testing.T) string { return acceptor(t, func(c net.Conn) { c.Close() }) }

func acceptor(t *testing.T, accept func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			accept(c)
		}
	}()
	return "http://" + listener.Addr().String()
}

// serveTLS serves the page of an application over TLS. A nil certificate means a self-signed
// one.
func serveTLS(t *testing.T, certificate *tls.Certificate) (origin string) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(page))
	server.Config.ErrorLog = discardLog
	if certificate != nil {
		server.TLS = &tls.Config{Certificates: []tls.Certificate{*certificate}}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// serveOldTLS returns the origin of a server that supports TLS 1.0 only.
func serveOldTLS(t *testing.T) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(page))
	server.Config.ErrorLog = discardLog
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// first returns the finding to look at first.
func first(t *testing.T, report *diagnose.Report) diagnose.Finding {
	t.Helper()
	if f := report.First(); f != nil {
		return *f
	}
	t.Fatalf("no fault and no warning, want one:\n%s", describe(report))
	return diagnose.Finding{}
}

func describe(report *diagnose.Report) string {
	var b strings.Builder
	for _, f := range report.Findings {
		fmt.Fprintf(&b, "%-9s %-26s %s\n", f.Level, f.ID, f.Evidence)
	}
	return b.String()
}

// TestGallery checks that the first fault of each broken set-up names the cause.
func TestGallery(t *testing.T) {
	t.Parallel()
	for _, s := range gallery {
		t.Run(s.want+"/"+s.name, func(t *testing.T) {
			t.Parallel()
			checkSetup(t, s)
		})
	}
}

// checkSetup checks that the first fault of a set-up is the wanted one, and returns it.
func checkSetup(t *testing.T, s setup) diagnose.Finding {
	t.Helper()
	r := newRig(t)
	s.broken(r)
	report := r.run()
	f := first(t, report)
	if f.ID != s.want || f.Level != diagnose.Fault {
		t.Errorf("first is %s %s, want fault %s:\n%s", f.Level, f.ID, s.want, describe(report))
	}
	if !strings.Contains(f.Fix, s.words) {
		t.Errorf("fix is %q, want it to contain %q", f.Fix, s.words)
	}
	checkForm(t, report)
	return f
}

// checkForm checks what holds for every report.
func checkForm(t *testing.T, report *diagnose.Report) {
	t.Helper()
	for _, f := range report.Findings {
		problem := f.Level == diagnose.Warning || f.Level == diagnose.Fault
		switch {
		case f.Title == "" || f.Evidence == "":
			t.Errorf("%s has no title or no evidence: %+v", f.ID, f)
		case problem && (f.Consequence == "" || f.Fix == ""):
			t.Errorf("%s has no consequence or no fix: %+v", f.ID, f)
		case !problem && f.Consequence != "":
			t.Errorf("%s has a consequence: %+v", f.ID, f)
		}
		if placeholder.MatchString(f.Title + f.Consequence + f.Fix) {
			t.Errorf("%s has a placeholder that is not filled in: %+v", f.ID, f)
		}
		for _, text := range []string{f.Title, f.Evidence, f.Consequence, f.Fix} {
			if strings.ContainsAny(text, "\n\r\x1b") {
				t.Errorf("%s has control characters: %q", f.ID, text)
			}
		}
	}
	if u, err := url.Parse(report.Target); err == nil && u.User != nil {
		if _, set := u.User.Password(); set && strings.Contains(report.Target, "secret") {
			t.Errorf("the target shows a password: %s", report.Target)
		}
	}
}
