package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/savedsignin"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
	"github.com/gatehouse-mcp/gatehouse/diagnose"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

func TestCallSignsInOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)

	first := f.call(t, "-v", f.mcpURL, "whoami")
	first.want(t, exitOK,
		"1. asked "+f.mcpURL+" without a token: 401, the server asks for sign-in (resource_metadata=",
		"2. read the protected resource metadata ",
		"3. read the authorization server metadata "+f.clerkURL,
		"4. registered client ",
		"5. opened the browser",
		"6. got the authorization code",
		`7. exchanged the code for an access token (scope "email offline_access profile", expires in 24h0m0s)`,
		"9. called whoami: 200",
	)
	if !strings.Contains(first.stdout, `"userId": "user_`) {
		t.Errorf("stdout = %q", first.stdout)
	}
	if page := <-f.pages; !strings.Contains(page, "You are signed in") {
		t.Errorf("page = %s", page)
	}
	if n := f.count("GET /.well-known/oauth-authorization-server"); n != 1 {
		t.Errorf("metadata was read %d times, want 1", n)
	}

	f.resetCounts()
	f.browse = func(string) error { t.Error("second call opened the browser"); return nil }
	f.call(t, f.mcpURL, "whoami").want(t, exitOK)
	if n := f.count("POST /oauth/register") + f.count("POST /oauth/token"); n != 0 {
		t.Errorf("second call asked the local Clerk %d times, want 0", n)
	}
}

func TestCallNoBrowser(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		args    []string
		browse  error
		message string
	}{
		{"asked for", []string{"--no-browser"}, nil, "gatehouse: open this link to sign in: "},
		{
			"no browser",
			nil,
			errors.New("no display"),
			"gatehouse: no browser opened (no display); open this link to sign in: ",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			link := make(chan string, 1)
			open := f.browser(map[string]string{localclerk.SignInHeader: "ada"})
			go func() { open(<-link) }()
			f.browse = func(string) error { return test.browse }
			f.stderr = writerFunc(func(p []byte) {
				if _, found, ok := strings.Cut(string(p), "open this link to sign in: "); ok {
					link <- strings.TrimSpace(found)
				}
			})
			got := f.call(t, append(test.args, f.mcpURL, "whoami")...)
			got.want(t, exitOK, test.message)
		})
	}
}

type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

// TestCallFailures changes one thing of a fixture in which a call succeeds.
func TestCallFailures(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		change   func(t *testing.T, f *fixture)
		args     []string // instead of URL whoami
		opened   int      // how often the browser may be opened; 0 means once
		wantErr  string
		wantHint string
		wantID   string // of the table of package diagnose, if that explains it
	}{
		{
			name:   "control",
			change: func(*testing.T, *fixture) {},
		},
		{
			name:     "nothing listens",
			change:   func(t *testing.T, f *fixture) { f.mcpURL = closedPort(t) + "/mcp" },
			wantErr:  `connect: connection refused`,
			wantHint: "gatehouse dev",
			wantID:   "connect.refused",
		},
		{
			name:     "unknown host",
			change:   func(_ *testing.T, f *fixture) { f.mcpURL = "https://nobody.invalid/mcp" },
			wantErr:  `no such host`,
			wantHint: "spelling",
			wantID:   "dns.no_such_host",
		},
		{
			name:     "no TLS",
			change:   func(_ *testing.T, f *fixture) { f.mcpURL = "https" + strings.TrimPrefix(f.mcpURL, "http") },
			wantErr:  "HTTP response to HTTPS client",
			wantHint: "http://",
			wantID:   "tls.plain_http",
		},
		{
			name: "unknown certificate authority",
			change: func(t *testing.T, f *fixture) {
				server := httptest.NewTLSServer(http.NotFoundHandler())
				server.Config.ErrorLog = discardLog
				t.Cleanup(server.Close)
				f.mcpURL = server.URL + "/mcp"
			},
			wantErr:  "certificate signed by unknown authority",
			wantHint: "Let's Encrypt",
			wantID:   "tls.untrusted",
		},
		{
			name:     "wrong path",
			change:   func(_ *testing.T, f *fixture) { f.mcpURL += "x" },
			wantErr:  "answered 404",
			wantHint: "/mcp",
			wantID:   "endpoint.not_found",
		},
		{
			name: "HTML",
			change: func(_ *testing.T, f *fixture) {
				f.interceptMCP = func(w http.ResponseWriter, _ *http.Request) bool {
					w.Header().Set("Content-Type", "text/html")
					io.WriteString(w, "<h1>Hello</h1>")
					return true
				}
			},
			wantErr:  "answered 200 with text/html",
			wantHint: "/mcp",
			wantID:   "endpoint.html",
		},
		{
			name: "redirect",
			change: func(_ *testing.T, f *fixture) {
				f.interceptMCP = func(w http.ResponseWriter, req *http.Request) bool {
					http.Redirect(w, req, "/mcp/", http.StatusTemporaryRedirect)
					return true
				}
			},
			wantErr:  `/mcp" redirects to "http`,
			wantHint: "call that URL",
			wantID:   "endpoint.slash_redirect",
		},
		{
			name: "no metadata URL and no metadata",
			change: func(_ *testing.T, f *fixture) {
				f.noMetadataURL, f.metadata = true, nil
			},
			wantErr:  "does not say where to sign in: its challenge has no resource_metadata",
			wantHint: "/.well-known/oauth-protected-resource",
			wantID:   "metadata.missing",
		},
		{
			name:     "metadata URL without metadata",
			change:   func(_ *testing.T, f *fixture) { f.metadata = nil },
			wantErr:  "reading the protected resource metadata at ",
			wantHint: "guard.Mount",
			wantID:   "metadata.missing",
		},
		{
			name:     "metadata of another resource",
			change:   func(_ *testing.T, f *fixture) { f.metadata.Resource += "/" },
			wantErr:  `protected resource metadata is for "http`,
			wantHint: "call the server by the URL in its metadata",
			wantID:   "resource.slash",
		},
		{
			name:     "metadata without authorization server",
			change:   func(_ *testing.T, f *fixture) { f.metadata.AuthorizationServers = nil },
			wantErr:  "names no authorization server",
			wantHint: "authorization_servers",
			wantID:   "metadata.no_servers",
		},
		{
			name:     "authorization server down",
			change:   func(t *testing.T, f *fixture) { f.metadata.AuthorizationServers = []string{closedPort(t)} },
			wantErr:  `reading the metadata of the authorization server "http`,
			wantHint: "check the issuer",
			wantID:   "issuer.unreachable",
		},
		{
			name:     "no authorization server at the URL",
			change:   func(_ *testing.T, f *fixture) { f.metadata.AuthorizationServers[0] += "/nowhere" },
			wantErr:  "has no metadata at ",
			wantHint: "character by character",
			wantID:   "server.missing",
		},
		{
			name: "another issuer",
			change: func(_ *testing.T, f *fixture) {
				f.editJSON = func(_ string, document map[string]any) { document["issuer"] = "https://clerk.example.com" }
			},
			wantErr:  `metadata issuer "https://clerk.example.com" does not match`,
			wantHint: "https://clerk.example.com",
			wantID:   "server.issuer",
		},
		{
			name: "no registration endpoint",
			change: func(t *testing.T, f *fixture) {
				f.restartClerk(t, &localclerk.Settings{OAuthJWTAccessTokens: true})
			},
			wantErr:  "its metadata has no registration_endpoint",
			wantHint: "Clerk Dashboard → Configure → OAuth applications → Settings",
			wantID:   "registration.closed_clerk",
		},
		{
			name: "registration disabled",
			change: func(t *testing.T, f *fixture) {
				f.restartClerk(t, &localclerk.Settings{OAuthJWTAccessTokens: true})
				f.editJSON = func(_ string, document map[string]any) {
					document["registration_endpoint"] = f.clerkURL + "/oauth/register"
				}
			},
			wantErr: "does not register clients: 422: feature_requires_dynamic_oauth_client_registration: " +
				"dynamic client registration is not enabled",
			wantHint: "in the Clerk Dashboard",
			wantID:   "registration.closed_clerk",
		},
		{
			name: "HTML in place of the issuer's metadata",
			change: func(_ *testing.T, f *fixture) {
				f.interceptClerk = func(w http.ResponseWriter, _ *http.Request) bool {
					w.Header().Set("Content-Type", "text/html")
					io.WriteString(w, "<!doctype html><title>Welcome</title>")
					return true
				}
			},
			wantErr:  "reading the metadata of the authorization server \"http",
			wantHint: "/.well-known/oauth-authorization-server as JSON",
			wantID:   "server.html",
		},
		{
			name: "registration rejected because of the redirect URI, at an issuer without the scope",
			change: func(_ *testing.T, f *fixture) {
				f.metadata.ScopesSupported = []string{"notes:write"}
				f.rejectRegistration(http.StatusBadRequest, "invalid_redirect_uri", "want https")
			},
			wantErr:  "rejects the client registration: 400: invalid_redirect_uri: want https",
			wantHint: "allow redirect URIs on loopback",
		},
		{
			name: "registration rejected because of another member, at an issuer without the scope",
			change: func(_ *testing.T, f *fixture) {
				f.metadata.ScopesSupported = []string{"notes:write"}
				f.rejectRegistration(http.StatusBadRequest, "invalid_client_metadata", "client_name is too long")
			},
			wantErr:  "rejects the client registration: 400: invalid_client_metadata: client_name is too long",
			wantHint: "the log of the authorization server has the cause; or register a client by hand",
		},
		{
			name: "registration needs a token",
			change: func(_ *testing.T, f *fixture) {
				f.metadata.ScopesSupported = []string{"notes:write"}
				f.rejectRegistration(http.StatusForbidden, "access_denied", "host not trusted")
			},
			wantErr:  "rejects the client registration: 403: access_denied: host not trusted",
			wantHint: "does not let everyone register",
		},
		{
			name: "registration fails",
			change: func(_ *testing.T, f *fixture) {
				f.rejectRegistration(http.StatusServiceUnavailable, "temporarily_unavailable", "")
			},
			wantErr:  "rejects the client registration: 503",
			wantHint: "try again in a moment",
		},
		{
			name: "invalid_scope at the registration",
			change: func(_ *testing.T, f *fixture) {
				f.metadata.ScopesSupported = []string{"notes:write"}
				f.rejectRegistration(http.StatusBadRequest, "invalid_scope", "")
			},
			wantErr:  "rejects the client registration: 400: invalid_scope",
			wantHint: "create notes:write",
			wantID:   "scopes.unknown",
		},
		{
			name:     "scope that the authorization server does not have",
			change:   func(_ *testing.T, f *fixture) { f.metadata.ScopesSupported = []string{"notes:write"} },
			wantErr:  "rejects the client registration: 400: invalid_client_metadata",
			wantHint: "create notes:write",
			wantID:   "scopes.unknown",
		},
		{
			name: "scope that the client does not hold",
			change: func(_ *testing.T, f *fixture) {
				f.editResponse(func(q url.Values) {
					q.Del("code")
					q.Set("error", "invalid_scope")
					q.Set("error_description", "The OAuth 2.0 Client is not allowed to request scope 'email'.")
				})
			},
			wantErr: "authorization server rejects the sign-in: invalid_scope: " +
				"The OAuth 2.0 Client is not allowed to request scope 'email'.",
			wantHint: "so that it asks for email then",
			wantID:   "signin.invalid_scope",
		},
		{
			name: "denied",
			change: func(_ *testing.T, f *fixture) {
				f.browse = f.browser(map[string]string{localclerk.SignInHeader: "ada", localclerk.ConsentHeader: "deny"})
			},
			wantErr:  "access was denied: access_denied",
			wantHint: "choose Allow",
		},
		{
			name: "wrong state",
			change: func(_ *testing.T, f *fixture) {
				f.editResponse(func(q url.Values) { q.Set("state", "of another sign-in") })
			},
			args:     []string{"URL", "whoami", "--timeout", "1s"},
			wantErr:  "no sign-in within 1s; answers ignored because their state is of another sign-in: 1",
			wantHint: "run the command again",
		},
		{
			name:     "no state",
			change:   func(_ *testing.T, f *fixture) { f.editResponse(func(q url.Values) { q.Del("state") }) },
			args:     []string{"URL", "whoami", "--timeout", "1s"},
			wantErr:  "no sign-in within 1s; answers ignored because their state is of another sign-in: 1",
			wantHint: "run the command again",
		},
		{
			name: "wrong state, without a browser",
			change: func(_ *testing.T, f *fixture) {
				f.editResponse(func(q url.Values) { q.Set("state", "of another sign-in") })
			},
			args:     []string{"URL", "whoami", "--user", "ada"},
			wantErr:  "authorization response has another state than the request",
			wantHint: "run the same command again",
		},
		{
			name: "wrong issuer",
			change: func(_ *testing.T, f *fixture) {
				f.editResponse(func(q url.Values) { q.Set("iss", "https://evil.example.com") })
			},
			wantErr:  `authorization response has issuer "https://evil.example.com", want "http`,
			wantHint: "do not continue",
		},
		{
			name:     "no issuer",
			change:   func(_ *testing.T, f *fixture) { f.editResponse(func(q url.Values) { q.Del("iss") }) },
			wantErr:  "authorization response has no issuer",
			wantHint: "RFC 9207",
		},
		{
			name:     "invalid code",
			change:   func(_ *testing.T, f *fixture) { f.editResponse(func(q url.Values) { q.Set("code", "made-up") }) },
			wantErr:  "token endpoint rejects the code: 400: invalid_grant",
			wantHint: "run the command again",
		},
		{
			name: "broken token endpoint",
			change: func(_ *testing.T, f *fixture) {
				f.interceptClerk = func(w http.ResponseWriter, req *http.Request) bool {
					broken := req.URL.Path == "/oauth/token"
					if broken {
						http.Error(w, "out of order", http.StatusInternalServerError)
					}
					return broken
				}
			},
			wantErr:  "token endpoint could not answer: 500",
			wantHint: "try again in a moment",
		},
		{
			name: "no sign-in",
			change: func(_ *testing.T, f *fixture) {
				f.browse = func(string) error { return nil }
			},
			args:     []string{"URL", "whoami", "--timeout", "2s"},
			wantErr:  "no sign-in within 2s",
			wantHint: "--timeout waits longer",
		},
		{
			name: "server that never answers",
			change: func(_ *testing.T, f *fixture) {
				f.interceptMCP = func(_ http.ResponseWriter, req *http.Request) bool {
					io.Copy(io.Discard, req.Body) // only then does the server notice that the client is gone
					<-req.Context().Done()
					return true
				}
			},
			args:     []string{"URL", "whoami", "--timeout", "50ms"},
			wantErr:  "no answer within 50ms",
			wantHint: "--timeout waits longer",
		},
		{
			name: "token rejected",
			change: func(_ *testing.T, f *fixture) {
				f.interceptMCP = func(w http.ResponseWriter, req *http.Request) bool {
					if req.Header.Get("Authorization") == "" {
						return false
					}
					w.Header().Set("WWW-Authenticate",
						`Bearer error="invalid_token", error_description="the token is for another audience"`)
					w.WriteHeader(http.StatusUnauthorized)
					return true
				}
			},
			wantErr:  "rejects the token of the new sign-in: the token is for another audience",
			wantHint: "compare the issuer, the audience and the clocks",
		},
		{
			name: "token rejected by Gatehouse's guard",
			change: func(_ *testing.T, f *fixture) {
				f.interceptMCP = func(w http.ResponseWriter, req *http.Request) bool {
					if req.Header.Get("Authorization") == "" {
						return false
					}
					w.Header().Set("Content-Type", "application/json")
					w.Header().Set("WWW-Authenticate",
						`Bearer error="invalid_token", error_description="the token was issued for another server"`)
					w.WriteHeader(http.StatusUnauthorized)
					io.WriteString(w,
						`{"error":"invalid_token","error_description":"the token was issued for another server","reason":"wrong_audience"}`)
					return true
				}
			},
			wantErr: "rejects the request with 401: wrong_audience: the token was issued for another server " +
				"(aud names other servers and not this resource)",
			wantHint: "what the operator of the server can do: compare Resource with the URL that users type",
		},
		{
			name:     "scope that is not granted",
			change:   func(_ *testing.T, f *fixture) { f.interceptMCP = stepUp("profile notes:write", "notes:write", nil) },
			wantErr:  "rejects the client registration: 400: invalid_client_metadata",
			wantHint: "create notes:write",
			wantID:   "scopes.unknown",
		},
		{
			name:     "scope that does not help",
			change:   func(_ *testing.T, f *fixture) { f.interceptMCP = stepUp("profile email", "nothing", nil) },
			wantErr:  `asks for scope "profile email", and the sign-in has "email offline_access profile"`,
			wantHint: "--logout and sign in again",
		},
		{
			name:     "scope that does not help after stepping up",
			opened:   2,
			change:   func(_ *testing.T, f *fixture) { f.interceptMCP = stepUp("profile public_metadata", "nothing", nil) },
			wantErr:  `asks for scope "profile public_metadata", and the sign-in has "email offline_access profile public_metadata"`,
			wantHint: "--logout and sign in again",
		},
		{
			name: "scope that is granted without effect",
			change: func(_ *testing.T, f *fixture) {
				f.interceptMCP = func(w http.ResponseWriter, req *http.Request) bool {
					if req.Header.Get("Authorization") == "" {
						return false
					}
					w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="public_metadata"`)
					w.WriteHeader(http.StatusForbidden)
					return true
				}
				f.editJSON = func(path string, document map[string]any) {
					if path == "/oauth/token" {
						document["scope"] = "profile"
					}
				}
			},
			opened:   2,
			wantErr:  `asks for scope "public_metadata", and the sign-in has "profile"`,
			wantHint: "--logout and sign in again",
		},
		{
			name: "missing role",
			change: func(_ *testing.T, f *fixture) {
				f.interceptMCP = answerCall(http.StatusForbidden, "forbidden", "needs the role admin")
			},
			wantErr:  "rejects the request with 403: forbidden: needs the role admin",
			wantHint: "not allowed to do this",
		},
		{
			name: "missing role, as a JSON-RPC error of Gatehouse's guard",
			change: func(_ *testing.T, f *fixture) {
				f.interceptMCP = rejectCall(http.StatusForbidden, "", "forbidden", "insufficient_permission")
			},
			wantErr:  "rejects the request with 403: insufficient_permission: forbidden: in other words (",
			wantHint: "sign in as another user",
		},
		{
			name:   "scope that is granted without effect, as a JSON-RPC error of Gatehouse's guard",
			opened: 2,
			change: func(_ *testing.T, f *fixture) {
				f.interceptMCP = rejectCall(http.StatusForbidden, `Bearer error="insufficient_scope", scope="public_metadata"`,
					"insufficient_scope", "insufficient_scope")
			},
			wantErr:  `asks for scope "public_metadata", and the sign-in has`,
			wantHint: "--logout and sign in again",
		},
		{
			name: "issuer of the server unavailable",
			change: func(_ *testing.T, f *fixture) {
				f.interceptMCP = answerCall(http.StatusServiceUnavailable, "temporarily_unavailable", "keys are unavailable")
			},
			wantErr:  "is unavailable: 503: temporarily_unavailable: keys are unavailable",
			wantHint: "Retry-After: 7",
		},
		{
			name: "server error",
			change: func(_ *testing.T, f *fixture) {
				f.interceptMCP = answerCall(http.StatusInternalServerError, "server_error", "oops")
			},
			wantErr:  "answered 500: server_error: oops",
			wantHint: "log",
		},
		{
			name:     "no such tool",
			args:     []string{"URL", "whoamy"},
			wantErr:  `has no tool "whoamy"`,
			wantHint: `did you mean "whoami"? its tools are fall, forecast, whoami`,
		},
		{
			name:     "no such tool, with pairs",
			args:     []string{"URL", "x", "a=b"},
			wantErr:  `has no tool "x"`,
			wantHint: "its tools are fall, forecast, whoami",
		},
		{
			name:     "tool that fails",
			args:     []string{"URL", "fall"},
			wantErr:  `tool "fall" reports an error`,
			wantHint: "standard output",
		},
		{
			name:     "no such user",
			args:     []string{"URL", "whoami", "--user", "nobody"},
			wantErr:  `signing in as "nobody": authorization server answered 400: Localclerk-Sign-In: `,
			wantHint: "local Clerk",
		},
		{
			name: "user of a remote authorization server",
			change: func(_ *testing.T, f *fixture) {
				f.editJSON = func(path string, document map[string]any) {
					if path == "/.well-known/oauth-authorization-server" {
						document["authorization_endpoint"] = "https://clerk.example.com/oauth/authorize"
					}
				}
			},
			args:     []string{"URL", "whoami", "--user", "ada"},
			wantErr:  `the authorization endpoint is "https://clerk.example.com/oauth/authorize", want one on localhost`,
			wantHint: "leave --user out",
		},
		{
			name: "user of another local authorization server",
			change: func(_ *testing.T, f *fixture) {
				f.interceptClerk = func(w http.ResponseWriter, req *http.Request) bool {
					if req.URL.Path == "/oauth/authorize" {
						http.Redirect(w, req, "/login?next=secret", http.StatusFound)
						return true
					}
					return false
				}
			},
			args:     []string{"URL", "whoami", "--user", "ada"},
			wantErr:  `authorization server answered 302 to /login, want a redirect to this program`,
			wantHint: "gatehouse dev",
		},
		{
			name:     "unknown client",
			args:     []string{"URL", "whoami", "--client-id", "unknown", "--user", "ada"},
			wantErr:  "authorization server does not know the client: 400: invalid_client",
			wantHint: "check --client-id",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			if test.change != nil {
				test.change(t, f)
			}
			args := test.args
			if args == nil {
				args = []string{"URL", "whoami"}
			}
			got := f.call(t, append([]string{f.mcpURL}, args[1:]...)...)
			if test.wantErr == "" {
				got.want(t, exitOK)
				return
			}
			got.want(t, exitFailure, "gatehouse: error: ", test.wantErr, "gatehouse: hint: ", test.wantHint)
			if test.wantID != "" {
				got.want(t, exitFailure, fromTable(test.wantID)...)
			}
			if f.opened > max(test.opened, 1) {
				t.Errorf("opened the browser %d times, want at most %d:\n%s", f.opened, max(test.opened, 1), got.stderr)
			}
		})
	}
}

// fromTable returns how error and hint begin for a problem of the table of package diagnose: with
// its title and its fix, up to their first placeholder.
func fromTable(id string) []string {
	e := diagnose.Explain(id)
	title, _, placeholder := strings.Cut(e.Clause(), "{")
	if !placeholder {
		title += ": "
	}
	fix, _, _ := strings.Cut(e.Fix, "{")
	return []string{"gatehouse: error: " + title, "gatehouse: hint: " + fix}
}

// TestCallSignsInOnceForRejectedTokens has a server that rejects every token: another
// token would not help.
func TestCallSignsInOnceForRejectedTokens(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.interceptMCP = func(w http.ResponseWriter, req *http.Request) bool {
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	f.call(t, f.mcpURL, "whoami").want(t, exitFailure, "rejects the token of the new sign-in")
	if f.opened != 1 || len(f.tokens) != 1 {
		t.Errorf("opened the browser %d times and asked for %d tokens, want 1 and 1", f.opened, len(f.tokens))
	}
}

// TestCallRetries has a server that is unavailable at first.
func TestCallRetries(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		busy   int // how many requests are answered with 503
		status int
	}{
		{"control", 0, exitOK},
		{"busy at first", 2, exitOK}, // server/discover and initialize
		{"always busy", 100, exitFailure},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			var requests atomic.Int64
			f.interceptMCP = func(w http.ResponseWriter, req *http.Request) bool {
				if requests.Add(1) > int64(test.busy) {
					return false
				}
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			}
			f.call(t, f.mcpURL, "whoami").want(t, test.status)
			if n := requests.Load(); n > 5 {
				t.Errorf("sent %d requests, want at most 5", n)
			}
		})
	}
}

// TestCallPageShowsTheProblem checks that the browser shows the error of the terminal.
func TestCallPageShowsTheProblem(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.editResponse(func(q url.Values) { q.Set("code", "made-up") })
	f.call(t, f.mcpURL, "whoami").want(t, exitFailure)
	page := <-f.pages
	for _, text := range []string{"You are not signed in", "Token endpoint rejects the code", "Run the command again"} {
		if !strings.Contains(page, text) {
			t.Errorf("page has no %q:\n%s", text, page)
		}
	}
}

// stepUp intercepts calls of tools: it asks for the scopes wanted until the token has the
// scope satisfies.
func stepUp(wanted, satisfies string, scopes func(token string) []string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, req *http.Request) bool {
		token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
		if !ok || req.Header.Get("Mcp-Method") != "tools/call" {
			return false
		}
		if scopes != nil && slices.Contains(scopes(token), satisfies) {
			return false
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer error="insufficient_scope", scope=%q`, wanted))
		w.WriteHeader(http.StatusForbidden)
		return true
	}
}

// answerCall intercepts calls of tools and answers with an OAuth error.
func answerCall(status int, code, description string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, req *http.Request) bool {
		if req.Header.Get("Mcp-Method") != "tools/call" {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": description})
		return true
	}
}

// rejectCall intercepts calls of tools and answers as Gatehouse's guard does.
func rejectCall(status int, challenge, code, reason string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, req *http.Request) bool {
		if req.Header.Get("Mcp-Method") != "tools/call" {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		if challenge != "" {
			w.Header().Set("WWW-Authenticate", challenge)
		}
		var message struct {
			ID json.RawMessage `json:"id"`
		}
		json.NewDecoder(req.Body).Decode(&message)
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]any{"jsonrpc": "2.0", "id": message.ID, "error": map[string]any{
			"code": -32040, "message": "in other words", "data": map[string]any{
				"error": code, "error_description": "in other words", "reason": reason,
			},
		}})
		return true
	}
}

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// TestCallStepUpDenied denies the sign-in for one more scope. The earlier one stays saved.
func TestCallStepUpDenied(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.call(t, f.mcpURL, "whoami").want(t, exitOK)
	before := f.files(t)
	f.interceptMCP = stepUp("profile email public_metadata", "public_metadata", func(string) []string { return nil })
	f.browse = f.browser(map[string]string{localclerk.SignInHeader: "ada", localclerk.ConsentHeader: "deny"})
	f.call(t, f.mcpURL, "whoami").want(t, exitFailure,
		"access was denied: access_denied",
		`run the command again and choose Allow, if you want to use scope "public_metadata"; the sign-in without it stays saved`)
	after := f.files(t)
	for name, saved := range before {
		if after[name] == nil || after[name].Tokens == nil || after[name].Tokens.Access != saved.Tokens.Access {
			t.Errorf("%s: the earlier sign-in is not saved any more", name)
		}
	}
	f.interceptMCP = nil
	f.resetCounts()
	f.call(t, f.mcpURL, "whoami").want(t, exitOK)
	if n := f.count("GET /oauth/authorize"); n != 0 {
		t.Errorf("got %d sign-ins for a call that needs no more scopes, want 0", n)
	}
}

func TestCallStepsUp(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.interceptMCP = stepUp("profile email public_metadata", "public_metadata", func(token string) []string {
		info, err := f.verify(t.Context(), token, nil)
		if err != nil {
			t.Error(err)
			return nil
		}
		return info.Scopes
	})
	f.call(t, "-v", f.mcpURL, "whoami").want(t, exitOK,
		`called whoami: 403, the server asks for scope "profile email public_metadata"`, "called whoami: 200")
	if n := f.count("POST /oauth/register"); n != 2 {
		t.Errorf("registered %d clients, want 2: the first does not hold the scope", n)
	}
	f.resetCounts()
	f.call(t, f.mcpURL, "whoami").want(t, exitOK)
	if n := f.count("POST /oauth/token"); n != 0 {
		t.Errorf("requested %d tokens although a sign-in with more scopes is saved, want 0", n)
	}
}

// TestCallStepsUpTwice needs one scope to list the tools, and another to
// call one.
func TestCallStepsUpTwice(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		listing  string
		calling  string
		granted  bool
		wantCode int
		opened   int
	}{
		{"control", "profile", "email", true, exitOK, 1},
		{"two scopes", "public_metadata", "private_metadata", true, exitOK, 3},
		{"one scope, granted without effect", "public_metadata", "public_metadata", false, exitFailure, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.interceptMCP = func(w http.ResponseWriter, req *http.Request) bool {
				scope := map[string]string{"tools/list": test.listing, "tools/call": test.calling}[req.Header.Get("Mcp-Method")]
				token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
				if !ok || scope == "" {
					return false
				}
				info, err := f.verify(t.Context(), token, nil)
				if err != nil {
					t.Error(err)
					return false
				}
				if slices.Contains(info.Scopes, scope) && (test.granted || req.Header.Get("Mcp-Method") == "tools/list") {
					return false
				}
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer error="insufficient_scope", scope=%q`, scope))
				w.WriteHeader(http.StatusForbidden)
				return true
			}
			f.editJSON = func(path string, document map[string]any) {
				if path == "/oauth/token" && !test.granted {
					document["scope"] = "profile"
				}
			}
			f.call(t, f.mcpURL, "forecast", "city=Rome").want(t, test.wantCode)
			if f.opened != test.opened {
				t.Errorf("opened the browser %d times, want %d", f.opened, test.opened)
			}
		})
	}
}

func TestCallRefreshes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(t *testing.T, f *fixture)
		want   []string // grant types that the token endpoint sees
	}{
		{
			name:   "control",
			change: func(*testing.T, *fixture) {},
			want:   nil,
		},
		{
			name:   "expired",
			change: func(t *testing.T, f *fixture) { f.edit(t, func(k *savedsignin.SignIn) { k.Tokens.Expiry = longAgo }) },
			want:   []string{"refresh_token"},
		},
		{
			name: "rejected by the server",
			change: func(t *testing.T, f *fixture) {
				f.edit(t, func(k *savedsignin.SignIn) { k.Tokens.Access = "not.a.token" })
			},
			want: []string{"refresh_token"},
		},
		{
			name: "rejected by the server, also after a refresh",
			change: func(t *testing.T, f *fixture) {
				f.interceptMCP = func(w http.ResponseWriter, req *http.Request) bool {
					f.mu.Lock()
					defer f.mu.Unlock()
					if slices.ContainsFunc(f.tokens, func(form url.Values) bool { return form.Get("grant_type") == "authorization_code" }) {
						return false
					}
					w.Header().Set("WWW-Authenticate", "Bearer")
					w.WriteHeader(http.StatusUnauthorized)
					return true
				}
			},
			want: []string{"refresh_token", "authorization_code"},
		},
		{
			name: "expired, without refresh token",
			change: func(t *testing.T, f *fixture) {
				f.edit(t, func(k *savedsignin.SignIn) { k.Tokens.Expiry, k.Tokens.Refresh = longAgo, "" })
			},
			want: []string{"authorization_code"},
		},
		{
			name: "invalid refresh token",
			change: func(t *testing.T, f *fixture) {
				f.edit(t, func(k *savedsignin.SignIn) { k.Tokens.Expiry, k.Tokens.Refresh = longAgo, "invalid" })
			},
			want: []string{"refresh_token", "authorization_code"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.call(t, f.mcpURL, "whoami").want(t, exitOK)
			test.change(t, f)
			f.resetCounts()
			f.call(t, f.mcpURL, "whoami").want(t, exitOK)
			var got []string
			for _, form := range f.tokens {
				got = append(got, form.Get("grant_type"))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("grants (-want +got):\n%s", diff)
			}
			if n := f.count("POST /oauth/register"); n != 0 {
				t.Errorf("registered %d clients, want 0: the saved client is valid", n)
			}
			f.resetCounts()
			f.interceptMCP = nil
			f.call(t, f.mcpURL, "whoami").want(t, exitOK)
			if n := len(f.tokens); n != 0 {
				t.Errorf("the next call requested %d tokens, want 0", n)
			}
		})
	}
}

// TestCallKeepsTheSignInDuringAnOutage has a token endpoint that is unavailable. The
// refresh token must not be dropped.
func TestCallKeepsTheSignInDuringAnOutage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.call(t, f.mcpURL, "whoami").want(t, exitOK)
	f.edit(t, func(k *savedsignin.SignIn) { k.Tokens.Expiry = longAgo })
	f.interceptClerk = func(w http.ResponseWriter, req *http.Request) bool {
		http.Error(w, "down", http.StatusBadGateway)
		return true
	}
	f.call(t, f.mcpURL, "whoami").want(t, exitFailure, "refreshing the sign-in at ", "the sign-in stays saved")
	f.interceptClerk = nil
	f.resetCounts()
	f.browse = func(string) error { t.Error("opened the browser"); return nil }
	f.call(t, f.mcpURL, "whoami").want(t, exitOK)
}

// TestConcurrentCallsRefreshOnce has several programs that find one expired token. A
// second refresh with the same refresh token would end the sign-in.
func TestConcurrentCallsRefreshOnce(t *testing.T) {
	t.Parallel()
	const programs = 8
	f := newFixture(t)
	f.call(t, f.mcpURL, "whoami").want(t, exitOK)
	f.edit(t, func(k *savedsignin.SignIn) { k.Tokens.Expiry = longAgo })
	f.resetCounts()
	f.browse = func(string) error { t.Error("opened the browser"); return nil }

	// The first refresh waits until all programs have read the expired token.
	var reading sync.WaitGroup
	reading.Add(programs)
	f.stderr = writerFunc(func(p []byte) {
		if strings.Contains(string(p), "using the saved sign-in") {
			reading.Done()
		}
	})
	f.interceptClerk = func(_ http.ResponseWriter, req *http.Request) bool {
		if req.URL.Path == "/oauth/token" {
			reading.Wait()
		}
		return false
	}
	outcomes := make(chan outcome, programs)
	for range programs {
		go func() { outcomes <- f.call(t, "-v", f.mcpURL, "whoami") }()
	}
	for range programs {
		(<-outcomes).want(t, exitOK)
	}
	if n := f.count("POST /oauth/token"); n != 1 {
		t.Errorf("refreshed %d times, want 1", n)
	}
}

// TestConcurrentCallsSignIn has several programs that sign in at once: the last sign-in is
// saved completely.
func TestConcurrentCallsSignIn(t *testing.T) {
	t.Parallel()
	const programs = 4
	f := newFixture(t)
	outcomes := make(chan outcome, programs)
	for range programs {
		go func() { outcomes <- f.call(t, f.mcpURL, "whoami") }()
	}
	for range programs {
		(<-outcomes).want(t, exitOK)
	}
	if n := len(f.files(t)); n != 1 {
		t.Errorf("%d sign-ins are saved, want 1", n)
	}
	f.resetCounts()
	f.call(t, f.mcpURL, "whoami").want(t, exitOK)
	if n := f.count("POST /oauth/token"); n != 0 {
		t.Errorf("the next call requested %d tokens, want 0", n)
	}
}

// TestCallAfterARestart has an authorization server without its former clients and
// tokens, like "gatehouse dev" after a restart.
func TestCallAfterARestart(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--user", "ada"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			args := append([]string{"-v", f.mcpURL, "whoami"}, args...)
			f.call(t, args...).want(t, exitOK)
			f.restartClerk(t, nil)
			f.resetCounts()
			f.call(t, args...).want(t, exitOK,
				"the refresh token is not valid any more",
				"the authorization server does not know this client or its redirect URI: 400")
			if n := f.count("POST /oauth/register"); n != 1 {
				t.Errorf("registered %d clients, want 1", n)
			}
			if n := len(f.files(t)); n != 1 {
				t.Errorf("%d sign-ins are saved, want 1", n)
			}
		})
	}
}

// TestCallOnAnotherPort finds the port of the registered redirect URI in use.
func TestCallOnAnotherPort(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.call(t, f.mcpURL, "whoami").want(t, exitOK)
	f.edit(t, func(k *savedsignin.SignIn) {
		k.Tokens = nil
		u, err := url.Parse(k.Client.RedirectURI)
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
	})
	f.resetCounts()
	f.call(t, f.mcpURL, "whoami").want(t, exitOK)
	if n := f.count("POST /oauth/register"); n != 1 {
		t.Errorf("registered %d clients, want 1", n)
	}
}

func TestCallReusesTheClientOfAFailedSignIn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.browse = f.browser(map[string]string{localclerk.SignInHeader: "ada", localclerk.ConsentHeader: "deny"})
	f.call(t, f.mcpURL, "whoami").want(t, exitFailure, "access_denied")
	f.browse = nil
	f.call(t, f.mcpURL, "whoami").want(t, exitOK)
	if n := f.count("POST /oauth/register"); n != 1 {
		t.Errorf("registered %d clients, want 1", n)
	}
}

func TestCallSeparatesUsers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.browse = func(string) error { t.Error("opened the browser"); return nil }
	ada := f.call(t, f.mcpURL, "whoami", "--user", "ada")
	ada.want(t, exitOK)
	grace := f.call(t, f.mcpURL, "whoami", "--user", "grace")
	grace.want(t, exitOK)
	if ada.stdout == grace.stdout {
		t.Errorf("the calls of ada and grace both returned %s", ada.stdout)
	}
	f.resetCounts()
	for user, want := range map[string]outcome{"ada": ada, "grace": grace} {
		got := f.call(t, f.mcpURL, "whoami", "--user", user)
		got.want(t, exitOK)
		if got.stdout != want.stdout {
			t.Errorf("the call of %s returned %s", user, got.stdout)
		}
	}
	if n := f.count("POST /oauth/token"); n != 0 {
		t.Errorf("requested %d tokens, want 0", n)
	}
}

// TestCallUsesTheOnlySavedSignIn has a sign-in that was saved with a flag, and a call
// without it.
func TestCallUsesTheOnlySavedSignIn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		users  []string // who signed in with --user
		args   []string // of the next call
		opened int      // how often that opens the browser
		tokens int      // how many tokens it requests
		stderr string
	}{
		{name: "control", users: nil, opened: 1, tokens: 1},
		{name: "one user", users: []string{"grace"}, stderr: "gatehouse: using the saved sign-in of --user grace\n"},
		{
			name:   "two users",
			users:  []string{"grace", "ada"},
			opened: 1,
			tokens: 1,
			stderr: "to use a saved one, add --user ada or --user grace\n",
		},
		{name: "another user", users: []string{"grace"}, args: []string{"--user", "ada"}, tokens: 1},
		{name: "another client", users: []string{"grace"}, args: []string{"--client-id", "unknown"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			for _, user := range test.users {
				f.call(t, f.mcpURL, "whoami", "--user", user).want(t, exitOK)
			}
			f.resetCounts()
			got := f.call(t, append([]string{f.mcpURL, "whoami"}, test.args...)...)
			if test.name != "another client" {
				got.want(t, exitOK, test.stderr)
			}
			if used := strings.Contains(got.stderr, "using the saved sign-in"); used != (test.stderr != "" && test.opened == 0) {
				t.Errorf("used the saved sign-in: %v\n%s", used, got.stderr)
			}
			if f.opened != test.opened || len(f.tokens) != test.tokens {
				t.Errorf("opened the browser %d times and requested %d tokens, want %d and %d",
					f.opened, len(f.tokens), test.opened, test.tokens)
			}
		})
	}
}

// TestCallUsesTheOnlySavedSignInAfterItsEnd has a sign-in that was saved with --user and is
// not valid any more. The user signs in again as before, without a browser.
func TestCallUsesTheOnlySavedSignInAfterItsEnd(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.call(t, f.mcpURL, "whoami", "--user", "grace").want(t, exitOK)
	f.edit(t, func(k *savedsignin.SignIn) { k.Tokens.Expiry, k.Tokens.Refresh = longAgo, "" })
	f.browse = func(string) error { t.Error("opened the browser"); return nil }
	f.call(t, f.mcpURL, "whoami").want(t, exitOK, "using the saved sign-in of --user grace")
	if n := len(f.files(t)); n != 1 {
		t.Errorf("%d sign-ins are saved, want 1", n)
	}
}

func TestCallOrganization(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.metadata.ScopesSupported = []string{"profile", localclerk.ScopeOrganization}
	org := localclerk.SeedOrganizations()[0]
	got := f.call(t, f.mcpURL, "whoami", "--user", "ada", "--org", org.Slug)
	got.want(t, exitOK)
	if !strings.Contains(got.stdout, org.ID) {
		t.Errorf("stdout has no %q: %s", org.ID, got.stdout)
	}
}

func TestCallWiderScope(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.call(t, f.mcpURL, "whoami").want(t, exitOK)
	f.call(t, "-v", f.mcpURL, "whoami", "--scope", "public_metadata").want(t, exitOK,
		`ignoring the saved sign-in: it lacks scope "public_metadata"`, "public_metadata")
	f.resetCounts()
	f.call(t, f.mcpURL, "whoami", "--scope", "public_metadata").want(t, exitOK)
	f.call(t, f.mcpURL, "whoami").want(t, exitOK)
	if n := f.count("POST /oauth/token"); n != 0 {
		t.Errorf("requested %d tokens although a sign-in with more scopes is saved, want 0", n)
	}
}

func TestCallAsARegisteredClient(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	registered, err := oauthex.RegisterClient(t.Context(), f.clerkURL+"/oauth/register", &oauthex.ClientRegistrationMetadata{
		RedirectURIs:            []string{"http://127.0.0.1:8976/callback"},
		TokenEndpointAuthMethod: "client_secret_post",
		Scope:                   "profile email",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(registered.ClientSecret+"\n"), fileMode); err != nil {
		t.Fatal(err)
	}
	port := closedPort(t)
	port = port[strings.LastIndex(port, ":")+1:]
	args := []string{f.mcpURL, "whoami", "-v", "--client-id", registered.ClientID, "--callback-port", port, "--client-secret-file", file}

	f.resetCounts()
	f.call(t, args...).want(t, exitOK, "the client must have http://127.0.0.1:", "/callback among its redirect URIs")
	if n := f.count("POST /oauth/register"); n != 0 {
		t.Errorf("registered %d clients, want 0", n)
	}
	f.edit(t, func(k *savedsignin.SignIn) { k.Tokens.Expiry = longAgo })
	f.call(t, args...).want(t, exitOK, "refreshed the access token")

	f.edit(t, func(k *savedsignin.SignIn) { k.Tokens = nil })
	if err := os.WriteFile(file, []byte("wrong"), fileMode); err != nil {
		t.Fatal(err)
	}
	f.call(t, args...).want(t, exitFailure,
		"token endpoint rejects the client: invalid_client", "check --client-id and --client-secret-file")
}

// TestCallOldRevision has a server of the 2025-03-26 revision: it has no protected resource
// metadata, and its origin is the authorization server.
func TestCallOldRevision(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.metadata, f.noMetadataURL = nil, true
	f.clerkURL = f.mcpOrigin()
	f.restartClerk(t, nil)
	f.call(t, f.mcpURL, "whoami", "--user", "ada").want(t, exitOK)
}

// TestCallWithMinimalServers leaves out what the specification does not require.
func TestCallWithMinimalServers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(f *fixture)
		scope  string // that is granted
	}{
		{"control", func(*fixture) {}, "email offline_access profile"},
		{
			"query in the URL",
			func(f *fixture) { f.mcpURL += "?tenant=7"; f.metadata.Resource = f.mcpURL },
			"email offline_access profile",
		},
		{"server with sessions", func(f *fixture) { f.stateful = true }, "email offline_access profile"},
		{"no metadata URL", func(f *fixture) { f.noMetadataURL = true }, "email offline_access profile"},
		{"no scopes", func(f *fixture) { f.metadata.ScopesSupported = nil }, "email offline_access profile"},
		{"scope in the challenge", func(f *fixture) {
			f.interceptMCP = func(w http.ResponseWriter, req *http.Request) bool {
				if req.Header.Get("Authorization") != "" {
					return false
				}
				w.Header().Set("WWW-Authenticate", `Bearer scope="email"`)
				w.WriteHeader(http.StatusUnauthorized)
				return true
			}
		}, "email offline_access"},
		{"no iss", func(f *fixture) {
			f.editResponse(func(q url.Values) { q.Del("iss") })
			f.editJSON = func(_ string, document map[string]any) {
				delete(document, "authorization_response_iss_parameter_supported")
			}
		}, "email offline_access profile"},
		{"iss not announced", func(f *fixture) {
			f.editJSON = func(_ string, document map[string]any) {
				delete(document, "authorization_response_iss_parameter_supported")
			}
		}, "email offline_access profile"},
		{"token response without scope", func(f *fixture) {
			f.editJSON = func(path string, document map[string]any) {
				if path == "/oauth/token" {
					delete(document, "scope")
				}
			}
		}, "email offline_access profile"},
		{"confidential clients only", func(f *fixture) {
			f.editJSON = func(path string, document map[string]any) {
				if path == "/.well-known/oauth-authorization-server" {
					document["token_endpoint_auth_methods_supported"] = []string{"client_secret_basic"}
				}
			}
		}, "email offline_access profile"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			test.change(f)
			f.call(t, f.mcpURL, "whoami").want(t, exitOK)
			for _, k := range f.files(t) {
				if got := trace.SortedScope(k.Tokens.Scope); got != test.scope {
					t.Errorf("scope = %q, want %q", got, test.scope)
				}
			}
		})
	}
}

func TestLogout(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.call(t, f.mcpURL, "whoami", "--user", "ada").want(t, exitOK)
	f.call(t, f.mcpURL, "whoami", "--user", "grace").want(t, exitOK)
	var revoked *savedsignin.SignIn
	for _, k := range f.files(t) {
		if k.Account.User == "ada" {
			revoked = k
		}
	}

	f.call(t, "--logout", "-v", f.mcpURL, "--user", "ada").want(t, exitOK,
		"revoked a token at "+f.clerkURL+"/oauth/token/revoke: 200", "signed out of "+f.mcpURL)
	for _, k := range f.files(t) {
		if k.Account.User != "grace" {
			t.Errorf("the sign-in of %q is still saved, want only grace's", k.Account.User)
		}
	}
	config := &oauth2.Config{ClientID: revoked.Client.ID, Endpoint: oauth2.Endpoint{TokenURL: revoked.TokenEndpoint}}
	_, err := config.TokenSource(t.Context(), &oauth2.Token{RefreshToken: string(revoked.Tokens.Refresh)}).Token()
	if rejected := (*oauth2.RetrieveError)(nil); !errors.As(err, &rejected) || rejected.ErrorCode != "invalid_grant" {
		t.Errorf("using the refresh token of ada: %v, want invalid_grant", err)
	}

	f.call(t, f.mcpURL, "--logout").want(t, exitOK, "signed out of ")
	if n := len(f.files(t)); n != 0 {
		t.Errorf("%d sign-ins are still saved, want 0", n)
	}
	f.call(t, f.mcpURL, "--logout").want(t, exitOK, "no one is signed in to ")
}

func TestLogoutWithoutAnAuthorizationServer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.call(t, f.mcpURL, "whoami").want(t, exitOK)
	f.edit(t, func(k *savedsignin.SignIn) { k.RevocationEndpoint = closedPort(t) })
	f.call(t, "--logout", f.mcpURL).want(t, exitOK, "warning: deleting a sign-in that may still be valid", "signed out of ")
	if n := len(f.files(t)); n != 0 {
		t.Errorf("%d sign-ins are still saved, want 0", n)
	}
}

func TestCallInterrupted(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(f *fixture, interrupt func())
		args   []string
		want   string
	}{
		{
			name: "in the browser",
			change: func(f *fixture, interrupt func()) {
				f.browse = func(string) error { interrupt(); return nil }
			},
			want: "gatehouse: error: interrupted while waiting for the sign-in in the browser",
		},
		{
			name: "at the token endpoint",
			change: func(f *fixture, interrupt func()) {
				f.interceptClerk = func(_ http.ResponseWriter, req *http.Request) bool {
					if req.URL.Path == "/oauth/token" {
						io.Copy(io.Discard, req.Body)
						interrupt()
						<-req.Context().Done()
						return true
					}
					return false
				}
			},
			want: "gatehouse: error: interrupted while exchanging the code for a token",
		},
		{
			name: "in the tool",
			change: func(f *fixture, interrupt func()) {
				f.interceptMCP = func(_ http.ResponseWriter, req *http.Request) bool {
					if req.Header.Get("Mcp-Method") == "tools/call" {
						io.Copy(io.Discard, req.Body)
						interrupt()
						<-req.Context().Done()
						return true
					}
					return false
				}
			},
			want: "gatehouse: error: interrupted while calling whoami",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			test.change(f, interrupt)
			f.callContext(t, ctx, f.mcpURL, "whoami").want(t, exitInterrupted, test.want)
			for path := range f.files(t) {
				if filepath.Ext(path) != ".json" {
					t.Errorf("%q was not removed", path)
				}
			}
			f.browse, f.interceptClerk, f.interceptMCP = nil, nil, nil
			f.call(t, f.mcpURL, "whoami").want(t, exitOK)
		})
	}
}

// The permissions of the saved sign-ins.
const (
	fileMode os.FileMode = 0o600
	dirMode  os.FileMode = 0o700
)

func TestCallRestrictsPermissions(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such permissions")
	}
	f := newFixture(t)
	f.call(t, f.mcpURL, "whoami").want(t, exitOK)
	dir := filepath.Join(f.config, "gatehouse")
	for path := range f.files(t) {
		wantMode(t, path, fileMode)
		chmod(t, path, 0o644)
	}
	wantMode(t, dir, dirMode)
	chmod(t, dir, 0o755)
	f.call(t, f.mcpURL, "whoami").want(t, exitOK, "had mode 0755, which gives other users access; changed it to 0700",
		"had mode 0644, which gives other users access; changed it to 0600")
	for path := range f.files(t) {
		wantMode(t, path, fileMode)
	}
	wantMode(t, dir, dirMode)
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func wantMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("mode of %q is %04o, want %04o", path, got, want)
	}
}

func TestCallIgnoresInvalidFiles(t *testing.T) {
	t.Parallel()
	const tooLarge = 1 << 20 // bytes
	for _, test := range []struct {
		name  string
		spoil func(path string) error
		want  string
	}{
		{
			"garbage",
			func(path string) error { return os.WriteFile(path, []byte("{"), fileMode) },
			"does not have the JSON that gatehouse writes",
		},
		{
			"empty object",
			func(path string) error { return os.WriteFile(path, []byte("{}"), fileMode) },
			"does not name a resource, an issuer and a client",
		},
		{
			"too long",
			func(path string) error { return os.WriteFile(path, make([]byte, tooLarge), fileMode) },
			"file is longer than",
		},
		{"symbolic link", func(path string) error {
			return errors.Join(os.Rename(path, path+".moved"), os.Symlink(path+".moved", path))
		}, "want a regular file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.call(t, f.mcpURL, "whoami").want(t, exitOK)
			for path := range f.files(t) {
				if err := test.spoil(path); err != nil {
					t.Fatal(err)
				}
			}
			f.call(t, f.mcpURL, "whoami").want(t, exitOK, "warning: ignoring the sign-in in ", test.want)
			got := f.call(t, f.mcpURL, "whoami")
			got.want(t, exitOK)
			if got.stderr != "" {
				t.Errorf("stderr of the next call = %q, want none", got.stderr)
			}
		})
	}
}

// TestCallWithoutDirectory signs in although nothing can be saved.
func TestCallWithoutDirectory(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.config = filepath.Join(f.config, "file")
	if err := os.WriteFile(f.config, nil, fileMode); err != nil {
		t.Fatal(err)
	}
	f.call(t, f.mcpURL, "whoami").want(t, exitOK, "warning: the next call has to sign in again: ")
}

func TestCallOutput(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.call(t, f.mcpURL, "whoami", "--user", "ada").want(t, exitOK)
	for _, test := range []struct {
		name, stdin string
		args        []string
		want        string
	}{
		{name: "text", args: []string{"forecast", `{"city": "Rome", "days": 2}`}, want: "sun in Rome for 2 days\n"},
		{name: "pairs", args: []string{"forecast", "city=7", "days=2"}, want: "sun in 7 for 2 days\n"},
		{
			name:  "standard input",
			stdin: ` {"city": "Bari"}`,
			args:  []string{"forecast", "-"},
			want:  "sun in Bari for 0 days\n",
		},
		{name: "list", args: []string{"list"}, want: `fall

forecast
  Returns the weather forecast
    city (string, required): where
    days (integer)

whoami
  Returns the signed-in user
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			f.stdin = test.stdin
			got := f.call(t, append([]string{f.mcpURL, "--user", "ada"}, test.args...)...)
			got.want(t, exitOK)
			if diff := cmp.Diff(test.want, got.stdout); diff != "" {
				t.Errorf("stdout (-want +got):\n%s", diff)
			}
		})
	}
	whole := f.call(t, "--json", f.mcpURL, "forecast", "city=Rome", "--user", "ada")
	whole.want(t, exitOK)
	var result struct{ Content []struct{ Type, Text string } }
	err := json.Unmarshal([]byte(whole.stdout), &result)
	if err != nil || len(result.Content) != 1 || result.Content[0].Text != "sun in Rome for 0 days" {
		t.Errorf("--json: %v, %s", err, whole.stdout)
	}
	listed := f.call(t, f.mcpURL, "list", "--json", "--user", "ada")
	listed.want(t, exitOK)
	var tools struct {
		Tools []struct {
			Name        string
			InputSchema map[string]any
		}
	}
	err = json.Unmarshal([]byte(listed.stdout), &tools)
	if err != nil || len(tools.Tools) != 3 || tools.Tools[1].InputSchema["type"] != "object" {
		t.Errorf("list --json: %v, %s", err, listed.stdout)
	}
}

// TestCallTokenResponses has a token endpoint that answers 200 with something else than a
// token of RFC 6749, for the code and for the refresh token.
func TestCallTokenResponses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, contentType string
		body              string // "" for the response of the local Clerk
		expiresIn         any
		wantErr           string
	}{
		{name: "control"},
		{name: "fraction of a second", expiresIn: 3599.5},
		{name: "text", expiresIn: "3599"},
		{name: "fraction as text", expiresIn: "3599.5"},
		{name: "exponent", expiresIn: 1e30},
		{name: "word", expiresIn: "soon", wantErr: `expires_in is "soon", want a number of seconds`},
		{
			name:        "HTML",
			contentType: "text/html; charset=utf-8",
			body:        "<h1>Hello</h1>",
			wantErr:     "200 with text/html, but the body is not",
		},
		{name: "no content type", contentType: "", body: "hello", wantErr: "but the body "},
		{name: "text without a token", contentType: "text/plain", body: "hello", wantErr: "but the body has no access_token"},
		{name: "array", contentType: "application/json", body: "[1]", wantErr: "but the body is not a JSON object"},
		{name: "null", contentType: "application/json", body: "null", wantErr: "but the body is not a JSON object"},
		{
			name:        "no token",
			contentType: "application/json",
			body:        `{"token_type":"Bearer"}`,
			wantErr:     "but the body has no access_token",
		},
		{name: "number", contentType: "application/json", body: `{"access_token":7}`, wantErr: "but the body has no access_token"},
		{
			name:        "token of another type",
			contentType: "application/json",
			body:        `{"access_token":"t","token_type":"DPoP"}`,
			wantErr:     `but token_type is "DPoP", want "Bearer"`,
		},
		{
			name:        "refresh token that is not a string",
			contentType: "application/json",
			body:        `{"access_token":"t","token_type":"Bearer","refresh_token":{}}`,
			wantErr:     "but the refresh token is an object, want a string",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			spoil := func() {
				f.interceptClerk = func(w http.ResponseWriter, req *http.Request) bool {
					if req.URL.Path != "/oauth/token" || test.body == "" {
						return false
					}
					w.Header().Set("Content-Type", test.contentType)
					io.WriteString(w, test.body)
					return true
				}
				f.editJSON = func(path string, document map[string]any) {
					if path == "/oauth/token" && test.expiresIn != nil {
						document["expires_in"] = test.expiresIn
					}
				}
			}
			spoil()
			call := func(wantErr string) {
				t.Helper()
				got := f.call(t, "-v", f.mcpURL, "whoami")
				if test.wantErr == "" {
					got.want(t, exitOK)
					return
				}
				got.want(t, exitFailure, wantErr, test.wantErr, "gatehouse: hint: report this to the operator of the authorization server")
				if strings.Contains(got.stderr, "run the command again") {
					t.Errorf("the hint does not help:\n%s", got.stderr)
				}
				if n := f.count("POST /oauth/token"); n != 1 {
					t.Errorf("requested %d tokens, want 1", n)
				}
			}
			call("gatehouse: error: token endpoint ")
			f.interceptClerk, f.editJSON = nil, nil
			f.call(t, f.mcpURL, "whoami").want(t, exitOK)
			f.edit(t, func(k *savedsignin.SignIn) { k.Tokens.Expiry = longAgo })
			f.resetCounts()
			spoil()
			call("gatehouse: error: refreshing the sign-in at ")
		})
	}
}

// TestCallHintsAboutMetadata changes one member of valid metadata. The hint names who must
// change what.
func TestCallHintsAboutMetadata(t *testing.T) {
	t.Parallel()
	const serverPath = "/.well-known/oauth-authorization-server"
	const operator = "hint: do not sign in there before its operator has "
	for _, test := range []struct {
		name, path, member string
		value              any
		wantErr, wantHint  string
	}{
		{name: "control"},
		{
			name:     "endpoint of another scheme",
			path:     serverPath,
			member:   "authorization_endpoint",
			value:    "javascript:alert(1)",
			wantErr:  `disallowed scheme "javascript"`,
			wantHint: operator + "changed the metadata",
		},
		{
			name:     "endpoint without TLS",
			path:     serverPath,
			member:   "token_endpoint",
			value:    "http://issuer.example.com/token",
			wantErr:  "does not use HTTPS",
			wantHint: operator + "changed the metadata",
		},
		{
			name:     "another issuer",
			path:     serverPath,
			member:   "issuer",
			value:    "https://issuer.example.com",
			wantErr:  "does not match issuer URL",
			wantHint: "set the issuer in the configuration of the server to https://issuer.example.com",
		},
		{
			name:     "PKCE without S256",
			path:     serverPath,
			member:   "code_challenge_methods_supported",
			value:    []string{"plain"},
			wantErr:  `is "plain", want it to contain "S256"`,
			wantHint: "hint: turn on PKCE",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.editJSON = func(path string, document map[string]any) {
				if path == test.path {
					document[test.member] = test.value
				}
			}
			got := f.call(t, f.mcpURL, "whoami")
			if test.path == "" {
				got.want(t, exitOK)
				return
			}
			got.want(t, exitFailure, test.wantErr, test.wantHint)
		})
	}
}

// TestCallEndsWithItsError checks that nothing is sent after the request that failed.
func TestCallEndsWithItsError(t *testing.T) {
	t.Parallel()
	deny := func(f *fixture) {
		f.browse = f.browser(map[string]string{localclerk.SignInHeader: "ada", localclerk.ConsentHeader: "deny"})
	}
	for _, test := range []struct {
		name   string
		change func(t *testing.T, f *fixture)
		args   []string
		last   string // step
	}{
		{"denied", func(_ *testing.T, f *fixture) { deny(f) }, nil, "5. opened the browser"},
		{"unknown user", func(*testing.T, *fixture) {}, []string{"--user", "bob"}, "4. registered client "},
		{
			"server that is not running",
			func(t *testing.T, f *fixture) { f.mcpURL = closedPort(t) + "/mcp" },
			nil,
			"1. asked ",
		},
		{
			"redirect",
			func(_ *testing.T, f *fixture) {
				f.interceptMCP = func(w http.ResponseWriter, req *http.Request) bool {
					http.Redirect(w, req, "/mcp/", http.StatusTemporaryRedirect)
					return true
				}
			},
			nil,
			"1. asked ",
		},
		{
			"rejected token",
			func(_ *testing.T, f *fixture) {
				f.interceptMCP = func(w http.ResponseWriter, req *http.Request) bool {
					w.WriteHeader(http.StatusUnauthorized)
					return true
				}
			},
			nil,
			"8. asked ",
		},
		{
			"no refresh",
			func(t *testing.T, f *fixture) {
				f.call(t, f.mcpURL, "whoami").want(t, exitOK)
				f.edit(t, func(k *savedsignin.SignIn) { k.Tokens.Expiry = longAgo })
				f.interceptClerk = func(w http.ResponseWriter, _ *http.Request) bool {
					http.Error(w, "down", http.StatusBadGateway)
					return true
				}
			},
			nil,
			"2. asked ",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			test.change(t, f)
			got := f.call(t, append([]string{"-v", f.mcpURL, "whoami"}, test.args...)...)
			got.want(t, exitFailure)
			last := ""
			for line := range strings.Lines(got.stderr) {
				if !strings.HasPrefix(line, "gatehouse: ") {
					last = line
				}
			}
			if !strings.HasPrefix(last, test.last) {
				t.Errorf("last step = %q, want %q:\n%s", last, test.last, got.stderr)
			}
		})
	}
}

// TestCallUnknownOrganization names an organization that the user cannot choose.
func TestCallUnknownOrganization(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	got := f.call(t, "--user", "ada", "--org", "none", f.mcpURL, "whoami")
	got.want(t, exitFailure, `cannot choose "none"`, "; --org names one of the user's organizations")
}

// TestCallLogoutWithoutASignIn deletes the client of a sign-in that failed.
func TestCallLogoutWithoutASignIn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.call(t, f.mcpURL, "whoami", "--user", "bob").want(t, exitFailure)
	f.call(t, f.mcpURL, "--logout").want(t, exitOK, "no one was signed in to ", "; its registered client is deleted")
	f.call(t, f.mcpURL, "--logout").want(t, exitOK, "no one is signed in to ")
	f.call(t, f.mcpURL, "whoami", "--user", "ada").want(t, exitOK)
	f.call(t, f.mcpURL, "--logout").want(t, exitOK, "signed out of ")
}
