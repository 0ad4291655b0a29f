package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/savedsignin"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// fragmentURL is a file on Windows for a command that opens any URL, and on loopback for a
// check that looks at the host alone.
const fragmentURL = "file://localhost/c:/windows/system32/calc.exe#"

// TestCallRejectsHostileURLs has documents that name URLs that must not be requested or
// opened in a browser. Each case changes one URL of a fixture in which a call succeeds.
func TestCallRejectsHostileURLs(t *testing.T) {
	t.Parallel()
	const metadata = "/.well-known/oauth-authorization-server"
	endpoint := func(name, url string) func(f *fixture) {
		return func(f *fixture) {
			f.editJSON = func(path string, document map[string]any) {
				if path == metadata {
					document[name] = url
				}
			}
		}
	}
	challenge := func(url string) func(f *fixture) {
		return func(f *fixture) {
			f.interceptMCP = func(w http.ResponseWriter, req *http.Request) bool {
				if req.Header.Get("Authorization") != "" {
					return false
				}
				w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="`+url+`"`)
				w.WriteHeader(http.StatusUnauthorized)
				return true
			}
		}
	}
	type test struct {
		name    string
		change  func(f *fixture)
		wantErr string
	}
	tests := []test{
		{"control", func(*fixture) {}, ""},
		{"authorization server", func(f *fixture) { f.metadata.AuthorizationServers[0] = fragmentURL }, "authorization server "},
		{
			"authorization server without TLS",
			func(f *fixture) { f.metadata.AuthorizationServers[0] = "http://issuer.example.com" },
			"authorization_servers[0]: ",
		},
		{"metadata in a file", challenge(fragmentURL), "resource_metadata "},
		{"metadata on another origin", challenge("https://evil.example.com/metadata"), "is on another origin"},
	}
	for _, name := range []string{
		"authorization_endpoint",
		"token_endpoint",
		"registration_endpoint",
		"revocation_endpoint",
		"introspection_endpoint",
		"jwks_uri",
	} {
		for kind, url := range map[string]string{
			"file":       fragmentURL,
			"editor":     "vscode://127.0.0.1/extension",
			"plain http": "http://issuer.example.com/",
			"fragment":   "http://localhost/#",
			"user":       "https://user:password@issuer.example.com/",
		} {
			tests = append(tests, test{name + " " + kind, endpoint(name, url), name})
		}
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			test.change(f)
			got := f.call(t, f.mcpURL, "whoami")
			if test.wantErr == "" {
				got.want(t, exitOK)
				return
			}
			got.want(t, exitFailure, "gatehouse: error: ", test.wantErr, "gatehouse: hint: ")
			if f.opened != 0 {
				t.Errorf("opened the browser %d times, want 0", f.opened)
			}
			for _, request := range []string{"GET /oauth/authorize", "POST /oauth/register", "POST /oauth/token"} {
				if n := f.count(request); n != 0 {
					t.Errorf("%s was sent %d times, want 0", request, n)
				}
			}
		})
	}
}

// TestCallUsesOneCopyOfTheMetadata has a server that shows other metadata when it is asked
// again: the program must not act on metadata that it has not checked.
func TestCallUsesOneCopyOfTheMetadata(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	evil := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		t.Errorf("%s %s was sent to the other server", req.Method, req.URL.Path)
	}))
	t.Cleanup(evil.Close)
	reads := 0
	f.editJSON = func(path string, document map[string]any) {
		if !strings.HasPrefix(path, "/.well-known/") {
			return
		}
		if reads++; reads > 1 {
			document["authorization_endpoint"], document["token_endpoint"] = evil.URL+"/authorize", evil.URL+"/token"
		}
	}
	f.interceptMCP = func(w http.ResponseWriter, req *http.Request) bool {
		if req.Header.Get("Authorization") != "" {
			return false
		}
		// The go-sdk reads resource_metadata from a challenge of any scheme.
		w.Header().Add("WWW-Authenticate", `Other resource_metadata="`+evil.URL+`/metadata"`)
		w.Header().Add("WWW-Authenticate", "Bearer")
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	f.call(t, f.mcpURL, "whoami").want(t, exitOK)
	if reads != 1 {
		t.Errorf("metadata was read %d times, want 1", reads)
	}
}

// TestCallChecksSavedEndpoints has a saved sign-in with endpoints that were not checked.
func TestCallChecksSavedEndpoints(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.call(t, f.mcpURL, "whoami").want(t, exitOK)
	f.edit(t, func(k *savedsignin.SignIn) { k.TokenEndpoint, k.RevocationEndpoint = fragmentURL, fragmentURL })
	f.call(t, f.mcpURL, "whoami").want(t, exitOK, "warning: not using the saved sign-in: token_endpoint ")
	f.edit(t, func(k *savedsignin.SignIn) { k.RevocationEndpoint = fragmentURL })
	f.call(t, f.mcpURL, "--logout").want(t, exitOK, "may still be valid", "revocation_endpoint ", "signed out of ")
}

// TestCallOfANameOfThisMachine calls a name under .localhost. It must reach this machine
// without a look-up, whatever DNS says.
func TestCallOfANameOfThisMachine(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.mcpURL = strings.Replace(f.mcpURL, "127.0.0.1", "mcp.localhost", 1)
	f.interceptMCP = func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "reached", http.StatusTeapot)
		return true
	}
	f.call(t, f.mcpURL, "whoami").want(t, exitFailure, "answered 418: reached")
}

// TestCallBoundsHeaders has a server that sends more headers than any answer needs.
func TestCallBoundsHeaders(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.interceptMCP = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("X-Long", strings.Repeat("x", maxResponseHeader))
		return true
	}
	f.call(t, f.mcpURL, "whoami").want(t, exitFailure, "server response headers exceeded")
}

// TestCallIgnoresForgedAnswers has a page that guesses the port of the callback before the
// user has signed in.
func TestCallIgnoresForgedAnswers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	signIn := f.browser(map[string]string{localclerk.SignInHeader: "ada"})
	f.browse = func(link string) error {
		u, err := url.Parse(link)
		if err != nil {
			return err
		}
		for _, query := range []string{"?error=access_denied", "?code=forged&state=guess", "?error=access_denied&state="} {
			resp, err := http.Get(u.Query().Get("redirect_uri") + query)
			if err != nil {
				return err
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusNotFound {
				t.Errorf("callback%s = %d, want 404", query, resp.StatusCode)
			}
		}
		return signIn(link)
	}
	f.call(t, "-v", f.mcpURL, "whoami").want(t, exitOK, "ignored an answer that does not have the state of this sign-in")
}

// TestCallWithAnIssuerThatEndsInASlash has the issuer of Auth0 or Google (RFC 8414 section
// 3.1: the slash is removed before the well-known path is inserted).
func TestCallWithAnIssuerThatEndsInASlash(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, suffix string
		metadata     string // where the server has its metadata
		requests     []string
	}{
		{
			name:     "control",
			metadata: "/.well-known/oauth-authorization-server",
			requests: []string{"/.well-known/oauth-authorization-server"},
		},
		{
			name:     "slash",
			suffix:   "/",
			metadata: "/.well-known/oauth-authorization-server",
			requests: []string{"/.well-known/oauth-authorization-server"},
		},
		{
			name:     "slash, OpenID Connect alone",
			suffix:   "/",
			metadata: "/.well-known/openid-configuration",
			requests: []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"},
		},
		{
			name:     "path with a slash",
			suffix:   "/realms/one/",
			metadata: "/.well-known/oauth-authorization-server/realms/one",
			requests: []string{"/.well-known/oauth-authorization-server/realms/one"},
		},
		{
			name:     "path with a slash, OpenID Connect alone",
			suffix:   "/realms/one/",
			metadata: "/realms/one/.well-known/openid-configuration",
			requests: []string{
				"/.well-known/oauth-authorization-server/realms/one",
				"/.well-known/openid-configuration/realms/one",
				"/realms/one/.well-known/openid-configuration",
			},
		},
		{
			name:   "no metadata",
			suffix: "/realms/one/",
			requests: []string{
				"/.well-known/oauth-authorization-server/realms/one",
				"/.well-known/openid-configuration/realms/one",
				"/realms/one/.well-known/openid-configuration",
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			issuer := f.clerkURL + test.suffix
			f.metadata.AuthorizationServers[0] = issuer
			f.editResponse(func(q url.Values) { q.Set("iss", issuer) })
			answerWithIssuer := f.interceptClerk
			var requests []string
			f.interceptClerk = func(w http.ResponseWriter, req *http.Request) bool {
				if req.URL.Path == "/oauth/authorize" {
					return answerWithIssuer(w, req)
				}
				if !strings.Contains(req.URL.Path, "/.well-known/") {
					return false
				}
				requests = append(requests, req.URL.Path)
				if req.URL.Path != test.metadata {
					http.NotFound(w, req)
					return true
				}
				w.Header().Set("Content-Type", "application/json")
				json.NewEncoder(w).Encode(map[string]any{
					"issuer":                           issuer,
					"authorization_endpoint":           f.clerkURL + "/oauth/authorize",
					"token_endpoint":                   f.clerkURL + "/oauth/token",
					"registration_endpoint":            f.clerkURL + "/oauth/register",
					"code_challenge_methods_supported": []string{"S256"},
				})
				return true
			}
			got := f.call(t, f.mcpURL, "whoami")
			if test.metadata != "" {
				got.want(t, exitOK)
			} else {
				var urls []string
				for _, path := range test.requests {
					urls = append(urls, f.clerkURL+path)
				}
				got.want(t, exitFailure, "has no metadata at "+strings.Join(urls, " or ")+"\n")
			}
			if diff := cmp.Diff(test.requests, requests); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}
