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

	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

func TestCallSignsInOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)

	first := r.call(t, "-v", r.mcpURL, "whoami")
	first.want(t, exitOK,
		"1. asked "+r.mcpURL+" without a token: 401, it wants sign-in (resource_metadata=",
		"2. read the protected resource document ",
		"3. read the metadata of the authorization server "+r.clerkURL,
		"4. registered as client ",
		"5. opened the browser at ",
		"6. got the code",
		`7. exchanged it for an access token (scope "email offline_access profile", expires in 24h0m0s)`,
		"9. called whoami: 200",
	)
	if !strings.Contains(first.stdout, `"userId": "user_`) {
		t.Errorf("stdout = %q", first.stdout)
	}
	if page := <-r.pages; !strings.Contains(page, "You are signed in") {
		t.Errorf("page = %s", page)
	}
	if n := r.asked("GET /.well-known/oauth-authorization-server"); n != 1 {
		t.Errorf("metadata was read %d times, want 1", n)
	}

	r.forget()
	r.browse = func(string) error { t.Error("second call opened the browser"); return nil }
	r.call(t, r.mcpURL, "whoami").want(t, exitOK)
	if n := r.asked("POST /oauth/register") + r.asked("POST /oauth/token"); n != 0 {
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
		{"none there", nil, errors.New("no display"), "gatehouse: no browser opened here (no display); open this link to sign in: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			link := make(chan string, 1)
			open := r.signsIn(map[string]string{localclerk.SignInHeader: "ada"})
			go func() { open(<-link) }()
			r.browse = func(string) error { return test.browse }
			r.stderr = writerFunc(func(p []byte) {
				if _, found, ok := strings.Cut(string(p), "open this link to sign in: "); ok {
					link <- strings.TrimSpace(found)
				}
			})
			got := r.call(t, append(test.args, r.mcpURL, "whoami")...)
			got.want(t, exitOK, test.message)
		})
	}
}

type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

// TestCallFailures changes one thing of a rig in which a call succeeds.
func TestCallFailures(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		change   func(t *testing.T, r *rig)
		args     []string // instead of URL whoami
		opened   int      // how often the browser may be, 0 for once
		wantErr  string
		wantHint string
	}{
		{
			name:   "control",
			change: func(*testing.T, *rig) {},
		},
		{
			name:     "nothing listens",
			change:   func(t *testing.T, r *rig) { r.mcpURL = closedPort(t) + "/mcp" },
			wantErr:  `/mcp": connection refused`,
			wantHint: "gatehouse dev",
		},
		{
			name:     "unknown host",
			change:   func(_ *testing.T, r *rig) { r.mcpURL = "http://nobody.invalid/mcp" },
			wantErr:  `no address for host "nobody.invalid"`,
			wantHint: "spelling",
		},
		{
			name:     "no TLS",
			change:   func(_ *testing.T, r *rig) { r.mcpURL = "https" + strings.TrimPrefix(r.mcpURL, "http") },
			wantErr:  "no TLS there",
			wantHint: "http://",
		},
		{
			name: "unknown certificate authority",
			change: func(t *testing.T, r *rig) {
				server := httptest.NewTLSServer(http.NotFoundHandler())
				server.Config.ErrorLog = quiet
				t.Cleanup(server.Close)
				r.mcpURL = server.URL + "/mcp"
			},
			wantErr:  "certificate signed by unknown authority",
			wantHint: "certificate must be valid",
		},
		{
			name:     "wrong path",
			change:   func(_ *testing.T, r *rig) { r.mcpURL += "x" },
			wantErr:  "is no MCP endpoint: it answered 404",
			wantHint: "/mcp",
		},
		{
			name: "HTML",
			change: func(_ *testing.T, r *rig) {
				r.mcpGate = func(w http.ResponseWriter, _ *http.Request) bool {
					w.Header().Set("Content-Type", "text/html")
					io.WriteString(w, "<h1>Hello</h1>")
					return true
				}
			},
			wantErr:  "is no MCP endpoint: it answered 200 with text/html",
			wantHint: "/mcp",
		},
		{
			name: "redirect",
			change: func(_ *testing.T, r *rig) {
				r.mcpGate = func(w http.ResponseWriter, req *http.Request) bool {
					http.Redirect(w, req, "/mcp/", http.StatusTemporaryRedirect)
					return true
				}
			},
			wantErr:  `/mcp" redirects to "http`,
			wantHint: "call that URL",
		},
		{
			name: "no hint and no document",
			change: func(_ *testing.T, r *rig) {
				r.noHint, r.prm = true, nil
			},
			wantErr:  "does not say where to sign in: its challenge has no resource_metadata",
			wantHint: "/.well-known/oauth-protected-resource",
		},
		{
			name:     "hint without document",
			change:   func(_ *testing.T, r *rig) { r.prm = nil },
			wantErr:  "reading the protected resource document: ",
			wantHint: "public JSON",
		},
		{
			name:     "document for another resource",
			change:   func(_ *testing.T, r *rig) { r.prm.Resource += "/" },
			wantErr:  `protected resource document is for "http`,
			wantHint: "call it by the name it has for itself",
		},
		{
			name:     "document without authorization server",
			change:   func(_ *testing.T, r *rig) { r.prm.AuthorizationServers = nil },
			wantErr:  "names no authorization server",
			wantHint: "authorization_servers",
		},
		{
			name:     "authorization server down",
			change:   func(t *testing.T, r *rig) { r.prm.AuthorizationServers = []string{closedPort(t)} },
			wantErr:  `reading the metadata of the authorization server "http`,
			wantHint: "is that authorization server running",
		},
		{
			name:     "no authorization server there",
			change:   func(_ *testing.T, r *rig) { r.prm.AuthorizationServers[0] += "/nowhere" },
			wantErr:  "has no metadata document at ",
			wantHint: "Frontend API URL",
		},
		{
			name: "another issuer",
			change: func(_ *testing.T, r *rig) {
				r.editJSON = func(_ string, document map[string]any) { document["issuer"] = "https://clerk.example.com" }
			},
			wantErr:  `metadata issuer "https://clerk.example.com" does not match`,
			wantHint: "spelt right",
		},
		{
			name: "no registration endpoint",
			change: func(t *testing.T, r *rig) {
				r.restartClerk(t, &localclerk.Settings{OAuthJWTAccessTokens: true})
			},
			wantErr:  "its metadata has no registration_endpoint",
			wantHint: "Clerk: Dashboard → Configure → OAuth applications → Settings",
		},
		{
			name: "registration switched off",
			change: func(t *testing.T, r *rig) {
				r.restartClerk(t, &localclerk.Settings{OAuthJWTAccessTokens: true})
				r.editJSON = func(_ string, document map[string]any) {
					document["registration_endpoint"] = r.clerkURL + "/oauth/register"
				}
			},
			wantErr:  "takes no registrations: 422: feature_requires_dynamic_oauth_client_registration: dynamic client registration is not enabled",
			wantHint: "enable Dynamic Client Registration (Clerk: Dashboard",
		},
		{
			name:     "scope that the authorization server does not have",
			change:   func(_ *testing.T, r *rig) { r.prm.ScopesSupported = []string{"notes:write"} },
			wantErr:  "refuses to register a client: 400: invalid_client_metadata",
			wantHint: "every scope",
		},
		{
			name: "scope that the client does not hold",
			change: func(_ *testing.T, r *rig) {
				r.editAnswer(func(q url.Values) {
					q.Del("code")
					q.Set("error", "invalid_scope")
					q.Set("error_description", "The OAuth 2.0 Client is not allowed to request scope 'openid'.")
				})
			},
			wantErr:  "does not give this client the scopes: invalid_scope: The OAuth 2.0 Client is not allowed to request scope 'openid'.",
			wantHint: "a client holds only the scopes it registered",
		},
		{
			name: "denied",
			change: func(_ *testing.T, r *rig) {
				r.browse = r.signsIn(map[string]string{localclerk.SignInHeader: "ada", localclerk.ConsentHeader: "deny"})
			},
			wantErr:  "you were not let in: access_denied",
			wantHint: "choose Allow",
		},
		{
			name:     "wrong state",
			change:   func(_ *testing.T, r *rig) { r.editAnswer(func(q url.Values) { q.Set("state", "of another sign-in") }) },
			wantErr:  "state of the answer is not the one that was sent",
			wantHint: "start over",
		},
		{
			name:     "no state",
			change:   func(_ *testing.T, r *rig) { r.editAnswer(func(q url.Values) { q.Del("state") }) },
			wantErr:  "state of the answer is not the one that was sent",
			wantHint: "start over",
		},
		{
			name: "wrong issuer",
			change: func(_ *testing.T, r *rig) {
				r.editAnswer(func(q url.Values) { q.Set("iss", "https://evil.example.com") })
			},
			wantErr:  `answer comes from issuer "https://evil.example.com", want "http`,
			wantHint: "do not go on",
		},
		{
			name:     "no issuer",
			change:   func(_ *testing.T, r *rig) { r.editAnswer(func(q url.Values) { q.Del("iss") }) },
			wantErr:  "answer names no issuer",
			wantHint: "RFC 9207",
		},
		{
			name:     "code of nobody",
			change:   func(_ *testing.T, r *rig) { r.editAnswer(func(q url.Values) { q.Set("code", "made-up") }) },
			wantErr:  "token endpoint refuses the code: 400: invalid_grant",
			wantHint: "run the command again",
		},
		{
			name: "nobody signs in",
			change: func(_ *testing.T, r *rig) {
				r.browse = func(string) error { return nil }
			},
			args:     []string{"URL", "whoami", "--timeout", "2s"},
			wantErr:  "nobody signed in within 2s",
			wantHint: "--timeout waits longer",
		},
		{
			name: "server that never answers",
			change: func(_ *testing.T, r *rig) {
				r.mcpGate = func(_ http.ResponseWriter, req *http.Request) bool {
					io.Copy(io.Discard, req.Body) // the server sees a client go only after that
					<-req.Context().Done()
					return true
				}
			},
			args:     []string{"URL", "whoami", "--timeout", "50ms"},
			wantErr:  "no answer within 50ms",
			wantHint: "--timeout waits longer",
		},
		{
			name: "token refused",
			change: func(_ *testing.T, r *rig) {
				r.mcpGate = func(w http.ResponseWriter, req *http.Request) bool {
					if req.Header.Get("Authorization") == "" {
						return false
					}
					w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token", error_description="the token is for another audience"`)
					w.WriteHeader(http.StatusUnauthorized)
					return true
				}
			},
			wantErr:  "refuses the token that it was just given: the token is for another audience",
			wantHint: "compare the issuer, the audience and the clock",
		},
		{
			name:     "scope that is not granted",
			change:   func(_ *testing.T, r *rig) { r.mcpGate = stepUp("profile notes:write", "notes:write", nil) },
			wantErr:  "refuses to register a client: 400: invalid_client_metadata",
			wantHint: "every scope",
		},
		{
			name:     "scope that does not help",
			change:   func(_ *testing.T, r *rig) { r.mcpGate = stepUp("profile email", "nothing", nil) },
			wantErr:  `wants scope "profile email", and the sign-in holds "email offline_access profile"`,
			wantHint: "--logout and sign in again",
		},
		{
			name:     "scope that does not help after stepping up",
			opened:   2,
			change:   func(_ *testing.T, r *rig) { r.mcpGate = stepUp("profile public_metadata", "nothing", nil) },
			wantErr:  `wants scope "profile public_metadata", and the sign-in holds "email offline_access profile public_metadata"`,
			wantHint: "--logout and sign in again",
		},
		{
			name: "scope that is granted in name only",
			change: func(_ *testing.T, r *rig) {
				r.mcpGate = func(w http.ResponseWriter, req *http.Request) bool {
					if req.Header.Get("Authorization") == "" {
						return false
					}
					w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="public_metadata"`)
					w.WriteHeader(http.StatusForbidden)
					return true
				}
				r.editJSON = func(path string, document map[string]any) {
					if path == "/oauth/token" {
						document["scope"] = "profile"
					}
				}
			},
			opened:   2,
			wantErr:  `wants scope "public_metadata", and the sign-in holds "profile"`,
			wantHint: "--logout and sign in again",
		},
		{
			name: "role that is missing",
			change: func(_ *testing.T, r *rig) {
				r.mcpGate = answerCall(http.StatusForbidden, "forbidden", "needs the role admin")
			},
			wantErr:  "refuses the request with 403: forbidden: needs the role admin",
			wantHint: "may not do this",
		},
		{
			name: "issuer of the server out of reach",
			change: func(_ *testing.T, r *rig) {
				r.mcpGate = answerCall(http.StatusServiceUnavailable, "temporarily_unavailable", "keys are out of reach")
			},
			wantErr:  "cannot answer just now: 503: temporarily_unavailable: keys are out of reach",
			wantHint: "Retry-After: 7",
		},
		{
			name: "server falls over",
			change: func(_ *testing.T, r *rig) {
				r.mcpGate = answerCall(http.StatusInternalServerError, "server_error", "oops")
			},
			wantErr:  "answered 500: server_error: oops",
			wantHint: "log",
		},
		{
			name:     "no such tool",
			args:     []string{"URL", "whoamy"},
			wantErr:  `has no tool "whoamy"`,
			wantHint: `did you mean "whoami"? there are: fall, forecast, whoami`,
		},
		{
			name:     "no such tool, with pairs",
			args:     []string{"URL", "x", "a=b"},
			wantErr:  `has no tool "x"`,
			wantHint: "there are: fall, forecast, whoami",
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
			name: "user of an authorization server elsewhere",
			change: func(_ *testing.T, r *rig) {
				r.editJSON = func(path string, document map[string]any) {
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
			name: "user of another authorization server here",
			change: func(_ *testing.T, r *rig) {
				r.clerkGate = func(w http.ResponseWriter, req *http.Request) bool {
					if req.URL.Path == "/oauth/authorize" {
						http.Redirect(w, req, "/login?next=secret", http.StatusFound)
						return true
					}
					return false
				}
			},
			args:     []string{"URL", "whoami", "--user", "ada"},
			wantErr:  `authorization server answered 302 to /login, want a redirect back`,
			wantHint: "gatehouse dev",
		},
		{
			name:     "client that nobody registered",
			args:     []string{"URL", "whoami", "--client-id", "unknown", "--user", "ada"},
			wantErr:  "authorization server does not know the client: 400: invalid_client",
			wantHint: "check --client-id",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			if test.change != nil {
				test.change(t, r)
			}
			args := test.args
			if args == nil {
				args = []string{"URL", "whoami"}
			}
			got := r.call(t, append([]string{r.mcpURL}, args[1:]...)...)
			if test.wantErr == "" {
				got.want(t, exitOK)
				return
			}
			got.want(t, exitFailure, "gatehouse: error: ", test.wantErr, "gatehouse: hint: ", test.wantHint)
			if r.opened > max(test.opened, 1) {
				t.Errorf("opened the browser %d times, want at most %d:\n%s", r.opened, max(test.opened, 1), got.stderr)
			}
		})
	}
}

// TestCallAsksOnceForATokenThatIsRefused has a server that refuses every token:
// a second one would fare no better.
func TestCallAsksOnceForATokenThatIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.mcpGate = func(w http.ResponseWriter, req *http.Request) bool {
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	r.call(t, r.mcpURL, "whoami").want(t, exitFailure, "refuses the token that it was just given")
	if r.opened != 1 || len(r.tokens) != 1 {
		t.Errorf("opened the browser %d times and asked for %d tokens, want 1 and 1", r.opened, len(r.tokens))
	}
}

// TestCallTriesAgainWhenAsked has a server that is not ready for the first session.
func TestCallTriesAgainWhenAsked(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		busy   int // requests that are answered with 503
		status int
	}{
		{"control", 0, exitOK},
		{"busy at first", 2, exitOK}, // server/discover and initialize
		{"busy for long", 100, exitFailure},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			var requests atomic.Int64
			r.mcpGate = func(w http.ResponseWriter, req *http.Request) bool {
				if requests.Add(1) > int64(test.busy) {
					return false
				}
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			}
			r.call(t, r.mcpURL, "whoami").want(t, test.status)
			if n := requests.Load(); n > 5 {
				t.Errorf("asked %d times, want 5 at most", n)
			}
		})
	}
}

// TestCallPageTellsTheProblem has the page of the browser say what the terminal
// says.
func TestCallPageTellsTheProblem(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.editAnswer(func(q url.Values) { q.Set("code", "made-up") })
	r.call(t, r.mcpURL, "whoami").want(t, exitFailure)
	page := <-r.pages
	for _, text := range []string{"Not signed in", "token endpoint refuses the code", "run the command again"} {
		if !strings.Contains(page, text) {
			t.Errorf("page has no %q:\n%s", text, page)
		}
	}
}

// stepUp is a gate that asks for wanted before a tool is called, until the token
// has the scope that satisfies it.
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

// answerCall is a gate that answers every call of a tool with an OAuth error.
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

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

func TestCallStepsUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.mcpGate = stepUp("profile email public_metadata", "public_metadata", func(token string) []string {
		info, err := r.verify(t.Context(), token, nil)
		if err != nil {
			t.Error(err)
			return nil
		}
		return info.Scopes
	})
	r.call(t, "-v", r.mcpURL, "whoami").want(t, exitOK,
		`called whoami: 403, it wants scope "profile email public_metadata"`, "called whoami: 200")
	if n := r.asked("POST /oauth/register"); n != 2 {
		t.Errorf("registered %d clients, want 2: the first does not hold the scope", n)
	}
	r.forget()
	r.call(t, r.mcpURL, "whoami").want(t, exitOK)
	if n := r.asked("POST /oauth/token"); n != 0 {
		t.Errorf("asked for %d tokens with the wider sign-in at hand, want 0", n)
	}
}

// TestCallStepsUpForEachReason needs one scope to list the tools, and another to
// call one.
func TestCallStepsUpForEachReason(t *testing.T) {
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
		{"one scope, granted in name only", "public_metadata", "public_metadata", false, exitFailure, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.mcpGate = func(w http.ResponseWriter, req *http.Request) bool {
				scope := map[string]string{"tools/list": test.listing, "tools/call": test.calling}[req.Header.Get("Mcp-Method")]
				token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
				if !ok || scope == "" {
					return false
				}
				info, err := r.verify(t.Context(), token, nil)
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
			r.editJSON = func(path string, document map[string]any) {
				if path == "/oauth/token" && !test.granted {
					document["scope"] = "profile"
				}
			}
			r.call(t, r.mcpURL, "forecast", "city=Rome").want(t, test.wantCode)
			if r.opened != test.opened {
				t.Errorf("opened the browser %d times, want %d", r.opened, test.opened)
			}
		})
	}
}

func TestCallRefreshes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(t *testing.T, r *rig)
		want   []string // grant types that the token endpoint sees
	}{
		{
			name:   "control",
			change: func(*testing.T, *rig) {},
			want:   nil,
		},
		{
			name:   "expired",
			change: func(t *testing.T, r *rig) { r.edit(t, func(k *kept) { k.Tokens.Expiry = longAgo }) },
			want:   []string{"refresh_token"},
		},
		{
			name:   "refused by the server",
			change: func(t *testing.T, r *rig) { r.edit(t, func(k *kept) { k.Tokens.Access = "not.a.token" }) },
			want:   []string{"refresh_token"},
		},
		{
			name: "refused by the server, refreshed too",
			change: func(t *testing.T, r *rig) {
				r.mcpGate = func(w http.ResponseWriter, req *http.Request) bool {
					r.mu.Lock()
					defer r.mu.Unlock()
					if slices.ContainsFunc(r.tokens, func(form url.Values) bool { return form.Get("grant_type") == "authorization_code" }) {
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
			change: func(t *testing.T, r *rig) {
				r.edit(t, func(k *kept) { k.Tokens.Expiry, k.Tokens.Refresh = longAgo, "" })
			},
			want: []string{"authorization_code"},
		},
		{
			name: "refresh token dead",
			change: func(t *testing.T, r *rig) {
				r.edit(t, func(k *kept) { k.Tokens.Expiry, k.Tokens.Refresh = longAgo, "dead" })
			},
			want: []string{"refresh_token", "authorization_code"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.call(t, r.mcpURL, "whoami").want(t, exitOK)
			test.change(t, r)
			r.forget()
			r.call(t, r.mcpURL, "whoami").want(t, exitOK)
			var got []string
			for _, form := range r.tokens {
				got = append(got, form.Get("grant_type"))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("grants (-want +got):\n%s", diff)
			}
			if n := r.asked("POST /oauth/register"); n != 0 {
				t.Errorf("registered %d clients, want 0: the kept one is good", n)
			}
			r.forget()
			r.mcpGate = nil
			r.call(t, r.mcpURL, "whoami").want(t, exitOK)
			if n := len(r.tokens); n != 0 {
				t.Errorf("the call after it asked for %d tokens, want 0", n)
			}
		})
	}
}

// TestCallKeepsTheSignInThroughAnOutage has the token endpoint down: that is no
// reason to give up the refresh token.
func TestCallKeepsTheSignInThroughAnOutage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.call(t, r.mcpURL, "whoami").want(t, exitOK)
	r.edit(t, func(k *kept) { k.Tokens.Expiry = longAgo })
	r.clerkGate = func(w http.ResponseWriter, req *http.Request) bool {
		http.Error(w, "down", http.StatusBadGateway)
		return true
	}
	r.call(t, r.mcpURL, "whoami").want(t, exitFailure, "refreshing the sign-in at ", "the sign-in is kept")
	r.clerkGate = nil
	r.forget()
	r.browse = func(string) error { t.Error("opened the browser"); return nil }
	r.call(t, r.mcpURL, "whoami").want(t, exitOK)
}

// TestCallsAtOnceRefreshOnce has several programs find one expired token. A
// second refresh with the same refresh token would end the sign-in.
func TestCallsAtOnceRefreshOnce(t *testing.T) {
	t.Parallel()
	const programs = 8
	r := newRig(t)
	r.call(t, r.mcpURL, "whoami").want(t, exitOK)
	r.edit(t, func(k *kept) { k.Tokens.Expiry = longAgo })
	r.forget()
	r.browse = func(string) error { t.Error("opened the browser"); return nil }

	// The first one is held up until all have read the expired token.
	var reading sync.WaitGroup
	reading.Add(programs)
	r.stderr = writerFunc(func(p []byte) {
		if strings.Contains(string(p), "took up the sign-in kept") {
			reading.Done()
		}
	})
	r.clerkGate = func(_ http.ResponseWriter, req *http.Request) bool {
		if req.URL.Path == "/oauth/token" {
			reading.Wait()
		}
		return false
	}
	outcomes := make(chan outcome, programs)
	for range programs {
		go func() { outcomes <- r.call(t, "-v", r.mcpURL, "whoami") }()
	}
	for range programs {
		(<-outcomes).want(t, exitOK)
	}
	if n := r.asked("POST /oauth/token"); n != 1 {
		t.Errorf("refreshed %d times, want 1", n)
	}
}

// TestCallsAtOnceSignIn has several programs sign in together: the last one's
// sign-in is kept, whole.
func TestCallsAtOnceSignIn(t *testing.T) {
	t.Parallel()
	const programs = 4
	r := newRig(t)
	outcomes := make(chan outcome, programs)
	for range programs {
		go func() { outcomes <- r.call(t, r.mcpURL, "whoami") }()
	}
	for range programs {
		(<-outcomes).want(t, exitOK)
	}
	if n := len(r.files(t)); n != 1 {
		t.Errorf("%d sign-ins are kept, want 1", n)
	}
	r.forget()
	r.call(t, r.mcpURL, "whoami").want(t, exitOK)
	if n := r.asked("POST /oauth/token"); n != 0 {
		t.Errorf("asked for %d tokens after it, want 0", n)
	}
}

// TestCallAfterARestart has an authorization server that has forgotten its
// clients and its tokens, as "gatehouse dev" has each time.
func TestCallAfterARestart(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--user", "ada"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			args := append([]string{"-v", r.mcpURL, "whoami"}, args...)
			r.call(t, args...).want(t, exitOK)
			r.restartClerk(t, nil)
			r.forget()
			r.call(t, args...).want(t, exitOK,
				"the refresh token is of no use any more",
				"the authorization server does not know this client, or its redirect URI: 400")
			if n := r.asked("POST /oauth/register"); n != 1 {
				t.Errorf("registered %d clients, want 1", n)
			}
			if n := len(r.files(t)); n != 1 {
				t.Errorf("%d sign-ins are kept, want 1", n)
			}
		})
	}
}

// TestCallOnAnotherPort has the port of the registered redirect URI taken.
func TestCallOnAnotherPort(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.call(t, r.mcpURL, "whoami").want(t, exitOK)
	r.edit(t, func(k *kept) {
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
	r.forget()
	r.call(t, r.mcpURL, "whoami").want(t, exitOK)
	if n := r.asked("POST /oauth/register"); n != 1 {
		t.Errorf("registered %d clients, want 1", n)
	}
}

func TestCallReusesTheClientOfAFailedSignIn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.browse = r.signsIn(map[string]string{localclerk.SignInHeader: "ada", localclerk.ConsentHeader: "deny"})
	r.call(t, r.mcpURL, "whoami").want(t, exitFailure, "access_denied")
	r.browse = nil
	r.call(t, r.mcpURL, "whoami").want(t, exitOK)
	if n := r.asked("POST /oauth/register"); n != 1 {
		t.Errorf("registered %d clients, want 1", n)
	}
}

func TestCallUsersApart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.browse = func(string) error { t.Error("opened the browser"); return nil }
	ada := r.call(t, r.mcpURL, "whoami", "--user", "ada")
	ada.want(t, exitOK)
	grace := r.call(t, r.mcpURL, "whoami", "--user", "grace")
	grace.want(t, exitOK)
	if ada.stdout == grace.stdout {
		t.Errorf("ada and grace are both %s", ada.stdout)
	}
	r.forget()
	for user, want := range map[string]outcome{"ada": ada, "grace": grace} {
		got := r.call(t, r.mcpURL, "whoami", "--user", user)
		got.want(t, exitOK)
		if got.stdout != want.stdout {
			t.Errorf("%s became %s", user, got.stdout)
		}
	}
	if n := r.asked("POST /oauth/token"); n != 0 {
		t.Errorf("asked for %d tokens, want 0", n)
	}
}

func TestCallOrganization(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.prm.ScopesSupported = []string{"profile", localclerk.ScopeOrganization}
	org := localclerk.SeedOrganizations()[0]
	got := r.call(t, r.mcpURL, "whoami", "--user", "ada", "--org", org.Slug)
	got.want(t, exitOK)
	if !strings.Contains(got.stdout, org.ID) {
		t.Errorf("stdout has no %q: %s", org.ID, got.stdout)
	}
}

func TestCallWiderScope(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.call(t, r.mcpURL, "whoami").want(t, exitOK)
	r.call(t, "-v", r.mcpURL, "whoami", "--scope", "public_metadata").want(t, exitOK,
		`left the kept sign-in aside: it lacks scope "public_metadata"`, "public_metadata")
	r.forget()
	r.call(t, r.mcpURL, "whoami", "--scope", "public_metadata").want(t, exitOK)
	r.call(t, r.mcpURL, "whoami").want(t, exitOK)
	if n := r.asked("POST /oauth/token"); n != 0 {
		t.Errorf("asked for %d tokens with the wider sign-in at hand, want 0", n)
	}
}

func TestCallAsARegisteredClient(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	registered, err := oauthex.RegisterClient(t.Context(), r.clerkURL+"/oauth/register", &oauthex.ClientRegistrationMetadata{
		RedirectURIs:            []string{"http://127.0.0.1:8976/callback"},
		TokenEndpointAuthMethod: "client_secret_post",
		Scope:                   "profile email",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(registered.ClientSecret+"\n"), privateFile); err != nil {
		t.Fatal(err)
	}
	port := closedPort(t)
	args := []string{r.mcpURL, "whoami", "-v", "--client-id", registered.ClientID, "--callback-port", port[strings.LastIndex(port, ":")+1:]}

	r.forget()
	r.call(t, append(args, "--client-secret-file", file)...).want(t, exitOK, "the client must have http://127.0.0.1:", "/callback among its redirect URIs")
	if n := r.asked("POST /oauth/register"); n != 0 {
		t.Errorf("registered %d clients, want 0", n)
	}
	r.edit(t, func(k *kept) { k.Tokens.Expiry = longAgo })
	r.call(t, append(args, "--client-secret-file", file)...).want(t, exitOK, "refreshed the access token")

	r.edit(t, func(k *kept) { k.Tokens = nil })
	if err := os.WriteFile(file, []byte("wrong"), privateFile); err != nil {
		t.Fatal(err)
	}
	r.call(t, append(args, "--client-secret-file", file)...).want(t, exitFailure,
		"token endpoint refuses the client: invalid_client", "check --client-id and --client-secret-file")
}

// TestCallOldRevision has a server of the 2025-03-26 revision: no protected
// resource document, and its origin is the authorization server.
func TestCallOldRevision(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.prm, r.noHint = nil, true
	r.clerkURL = r.mcpOrigin()
	r.restartClerk(t, nil)
	r.call(t, r.mcpURL, "whoami", "--user", "ada").want(t, exitOK)
}

// TestCallFindsTheDocument leaves out what the specification does not demand.
func TestCallFindsTheDocument(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(r *rig)
		scope  string // that is asked for
	}{
		{"control", func(*rig) {}, "email offline_access profile"},
		{"query in the URL", func(r *rig) { r.mcpURL += "?tenant=7"; r.prm.Resource = r.mcpURL }, "email offline_access profile"},
		{"server with sessions", func(r *rig) { r.stateful = true }, "email offline_access profile"},
		{"no hint", func(r *rig) { r.noHint = true }, "email offline_access profile"},
		{"no scopes", func(r *rig) { r.prm.ScopesSupported = nil }, "email offline_access profile"},
		{"scope in the challenge", func(r *rig) {
			r.mcpGate = func(w http.ResponseWriter, req *http.Request) bool {
				if req.Header.Get("Authorization") != "" {
					return false
				}
				w.Header().Set("WWW-Authenticate", `Bearer scope="email"`)
				w.WriteHeader(http.StatusUnauthorized)
				return true
			}
		}, "email offline_access"},
		{"no iss", func(r *rig) {
			r.editAnswer(func(q url.Values) { q.Del("iss") })
			r.editJSON = func(_ string, document map[string]any) {
				delete(document, "authorization_response_iss_parameter_supported")
			}
		}, "email offline_access profile"},
		{"iss unannounced", func(r *rig) {
			r.editJSON = func(_ string, document map[string]any) {
				delete(document, "authorization_response_iss_parameter_supported")
			}
		}, "email offline_access profile"},
		{"scope of the token not told", func(r *rig) {
			r.editJSON = func(path string, document map[string]any) {
				if path == "/oauth/token" {
					delete(document, "scope")
				}
			}
		}, "email offline_access profile"},
		{"confidential clients only", func(r *rig) {
			r.editJSON = func(path string, document map[string]any) {
				if path == "/.well-known/oauth-authorization-server" {
					document["token_endpoint_auth_methods_supported"] = []string{"client_secret_basic"}
				}
			}
		}, "email offline_access profile"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			test.change(r)
			r.call(t, r.mcpURL, "whoami").want(t, exitOK)
			for _, k := range r.files(t) {
				if got := sortedScope(k.Tokens.Scope); got != test.scope {
					t.Errorf("scope = %q, want %q", got, test.scope)
				}
			}
		})
	}
}

func TestLogout(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.call(t, r.mcpURL, "whoami", "--user", "ada").want(t, exitOK)
	r.call(t, r.mcpURL, "whoami", "--user", "grace").want(t, exitOK)
	var stolen *kept
	for _, k := range r.files(t) {
		if k.Account.User == "ada" {
			stolen = k
		}
	}

	r.call(t, "--logout", "-v", r.mcpURL, "--user", "ada").want(t, exitOK,
		"revoked a token at "+r.clerkURL+"/oauth/token/revoke: 200", "signed out of "+r.mcpURL)
	for _, k := range r.files(t) {
		if k.Account.User != "grace" {
			t.Errorf("the sign-in of %q is left, want only grace's", k.Account.User)
		}
	}
	source := &tokenSource{ctx: t.Context(), http: http.DefaultClient, kept: stolen}
	if _, err := source.ask(stolen.Tokens); !refusedForGood(err) {
		t.Errorf("the refresh token of ada still works: %v", err)
	}

	r.call(t, r.mcpURL, "--logout").want(t, exitOK, "signed out of ")
	if n := len(r.files(t)); n != 0 {
		t.Errorf("%d sign-ins are left, want 0", n)
	}
	r.call(t, r.mcpURL, "--logout").want(t, exitOK, "nobody is signed in at ")
}

func TestLogoutWithoutAnAuthorizationServer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.call(t, r.mcpURL, "whoami").want(t, exitOK)
	r.edit(t, func(k *kept) { k.RevocationEndpoint = closedPort(t) })
	r.call(t, "--logout", r.mcpURL).want(t, exitOK, "warning: forgetting a sign-in that may still be good", "signed out of ")
	if n := len(r.files(t)); n != 0 {
		t.Errorf("%d sign-ins are left, want 0", n)
	}
}

func TestCallInterrupted(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(r *rig, interrupt func())
		args   []string
		want   string
	}{
		{
			name: "in the browser",
			change: func(r *rig, interrupt func()) {
				r.browse = func(string) error { interrupt(); return nil }
			},
			want: "gatehouse: error: interrupted while waiting for the sign-in in the browser",
		},
		{
			name: "at the token endpoint",
			change: func(r *rig, interrupt func()) {
				r.clerkGate = func(_ http.ResponseWriter, req *http.Request) bool {
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
			change: func(r *rig, interrupt func()) {
				r.mcpGate = func(_ http.ResponseWriter, req *http.Request) bool {
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
			r := newRig(t)
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			test.change(r, interrupt)
			r.callContext(t, ctx, r.mcpURL, "whoami").want(t, exitInterrupted, test.want)
			for path := range r.files(t) {
				if filepath.Ext(path) != ".json" {
					t.Errorf("%q is left behind", path)
				}
			}
			r.browse, r.clerkGate, r.mcpGate = nil, nil, nil
			r.call(t, r.mcpURL, "whoami").want(t, exitOK)
		})
	}
}

func TestCallRepairsPermissions(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no such permissions here")
	}
	r := newRig(t)
	r.call(t, r.mcpURL, "whoami").want(t, exitOK)
	dir := filepath.Join(r.config, "gatehouse")
	for path := range r.files(t) {
		wantMode(t, path, privateFile)
		chmod(t, path, 0o644)
	}
	wantMode(t, dir, privateDir)
	chmod(t, dir, 0o755)
	r.call(t, r.mcpURL, "whoami").want(t, exitOK, "had mode 0755, which lets other users in; made it 0700", "had mode 0644, which lets other users in; made it 0600")
	for path := range r.files(t) {
		wantMode(t, path, privateFile)
	}
	wantMode(t, dir, privateDir)
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

func TestCallBadFiles(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		spoil func(path string) error
		want  string
	}{
		{"garbage", func(path string) error { return os.WriteFile(path, []byte("{"), privateFile) }, "not the JSON that gatehouse writes"},
		{"empty object", func(path string) error { return os.WriteFile(path, []byte("{}"), privateFile) }, "names no resource, issuer or client"},
		{"too long", func(path string) error { return os.WriteFile(path, make([]byte, maxSignInFile+1), privateFile) }, "file is longer than"},
		{"symbolic link", func(path string) error {
			return errors.Join(os.Rename(path, path+".moved"), os.Symlink(path+".moved", path))
		}, "want a plain file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.call(t, r.mcpURL, "whoami").want(t, exitOK)
			for path := range r.files(t) {
				if err := test.spoil(path); err != nil {
					t.Fatal(err)
				}
			}
			r.call(t, r.mcpURL, "whoami").want(t, exitOK, "warning: leaving out the sign-in in ", test.want)
			got := r.call(t, r.mcpURL, "whoami")
			got.want(t, exitOK)
			if got.stderr != "" {
				t.Errorf("stderr of the next call = %q, want none", got.stderr)
			}
		})
	}
}

// TestCallWithoutAPlaceForFiles signs in although nothing can be kept.
func TestCallWithoutAPlaceForFiles(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.config = filepath.Join(r.config, "file")
	if err := os.WriteFile(r.config, nil, privateFile); err != nil {
		t.Fatal(err)
	}
	r.call(t, r.mcpURL, "whoami").want(t, exitOK, "warning: the next call has to sign in again: ")
}

func TestCallOutput(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.call(t, r.mcpURL, "whoami", "--user", "ada").want(t, exitOK)
	for _, test := range []struct {
		name, stdin string
		args        []string
		want        string
	}{
		{name: "text", args: []string{"forecast", `{"city": "Rome", "days": 2}`}, want: "sun in Rome for 2 days\n"},
		{name: "pairs", args: []string{"forecast", "city=7", "days=2"}, want: "sun in 7 for 2 days\n"},
		{name: "standard input", stdin: ` {"city": "Bari"}`, args: []string{"forecast", "-"}, want: "sun in Bari for 0 days\n"},
		{name: "list", args: []string{"list"}, want: `fall

forecast
  Says what the weather will be
    city (string, required): where
    days (integer)

whoami
  Says who is signed in
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			r.stdin = test.stdin
			got := r.call(t, append([]string{r.mcpURL, "--user", "ada"}, test.args...)...)
			got.want(t, exitOK)
			if diff := cmp.Diff(test.want, got.stdout); diff != "" {
				t.Errorf("stdout (-want +got):\n%s", diff)
			}
		})
	}
	whole := r.call(t, "--json", r.mcpURL, "forecast", "city=Rome", "--user", "ada")
	whole.want(t, exitOK)
	var result struct{ Content []struct{ Type, Text string } }
	if err := json.Unmarshal([]byte(whole.stdout), &result); err != nil || len(result.Content) != 1 || result.Content[0].Text != "sun in Rome for 0 days" {
		t.Errorf("--json: %v, %s", err, whole.stdout)
	}
	listed := r.call(t, r.mcpURL, "list", "--json", "--user", "ada")
	listed.want(t, exitOK)
	var tools struct {
		Tools []struct {
			Name        string
			InputSchema map[string]any
		}
	}
	if err := json.Unmarshal([]byte(listed.stdout), &tools); err != nil || len(tools.Tools) != 3 || tools.Tools[1].InputSchema["type"] != "object" {
		t.Errorf("list --json: %v, %s", err, listed.stdout)
	}
}
