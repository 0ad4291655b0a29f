package diagnose_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/diagnose"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
)

// warnings are set-ups with which some clients, or some users, have a problem.
var warnings = slices.Concat([]setup{
	{"The certificate expires next week", "nothing yet", "tls.expires_soon", "renew",
		func(r *rig) {
			i := newChain(r.t, chain{notAfter: time.Now().Add(7 * 24 * time.Hour)})
			r.trusting(i)
			r.server = newForeign(issuerURL)
			r.target = r.overTLS(i)
		}},
	{"The name of the server leads to a private address",
		"claude.ai and ChatGPT could not connect; clients on this network can", "dns.private",
		"public DNS record", func(r *rig) { r.named(newChain(r.t, chain{name: "mcp.example.com"})) }},
	{"The server has no sign-in", "everyone can call every tool", "endpoint.open", "add sign-in",
		func(r *rig) { r.server = http.HandlerFunc(answerMCP) }},
	{"Another challenge comes first", "clients with the TypeScript SDKs find no metadata", "challenge.not_first", "first",
		func(r *rig) {
			r.server = challenging(`Basic realm="x", Bearer resource_metadata="` + mcpOrigin + prmPath + `", scope="profile email"`)
		}},
	{"resource_metadata has no quotes (@clerk/mcp-tools)", "strict clients find no metadata", "challenge.unquoted",
		"write resource_metadata=",
		func(r *rig) { r.server = challenging(`Bearer resource_metadata=` + mcpOrigin + prmPath) }},
	{"The challenge does not say where the metadata is", "clients of 2025-06-18 find no metadata", "challenge.no_metadata",
		mcpOrigin + prmPath,
		func(r *rig) { r.server = challenging(`Bearer scope="profile email"`) }},
	{"Every 401 says invalid_token, even without one", "clients cannot distinguish a missing token from a rejected one",
		"challenge.error", "only if a token was sent",
		func(r *rig) {
			f := newForeign(issuerURL)
			f.challenge += `, error="invalid_token"`
			f.reject = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set(authHeader, f.challenge)
				w.WriteHeader(http.StatusUnauthorized)
			}
			r.server = f
		}},
	{"The description in the challenge looks like a parameter", "clients with the TypeScript SDKs ask for a wrong scope",
		"challenge.confusing",
		"put error_description last",
		func(r *rig) {
			r.server = challenging(`Bearer error_description="no scope=admin here", resource_metadata="` + mcpOrigin + prmPath +
				`", scope="profile email"`)
		}},
	{"The metadata is at the root of the host only", "mcp-go finds no metadata", "metadata.not_at_path", mcpOrigin + prmPath,
		func(r *rig) {
			f := newForeign(issuerURL)
			f.challenge = `Bearer resource_metadata="` + mcpOrigin + prmRoot + `", scope="profile email"`
			delete(f.documents, prmPath)
			r.server = f
		}},
	{"The metadata is served as text/plain", "clients with the Go SDK reject it", "metadata.type", jsonType,
		func(r *rig) { r.front(rewrite(plainText(prmPath, prmRoot))) }},
	{"scopes_supported is []", "some clients ask for no scope", "metadata.empty_scopes", "leave scopes_supported out",
		func(r *rig) {
			f := newForeign(issuerURL).document(func(d map[string]any) { d["scopes_supported"] = []string{} })
			f.challenge = `Bearer resource_metadata="` + mcpOrigin + prmPath + `"`
			r.server = f
		}},
	{"resource is the origin", "some clients discard the metadata", "resource.origin", mcpURL, resourceIs(mcpOrigin)},
	{"The issuer's metadata is served as text/plain", "clients with the Go SDK reject it", "server.type", jsonType,
		func(r *rig) {
			text := func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				json.NewEncoder(w).Encode(r.issuer.metadata)
			}
			r.issuer.paths[oauthPath], r.issuer.paths[openidPath] = text, text
		}},
	{"The MCP server has metadata of an issuer that it does not name",
		"old clients sign in at another issuer than new ones", "server.copy", "unchanged",
		func(r *rig) {
			f := newForeign(issuerURL)
			f.documents[oauthPath] = map[string]any{"issuer": mcpOrigin, "authorization_endpoint": issuerURL + "/authorize"}
			r.server = f
		}},
	{"The web application answers old clients with its page", "clients of 2025-03-26: unexpected token '<'",
		"server.copy_html", "404",
		func(r *rig) { r.front(at(page, oauthPath)) }},
	{"Entra ID: the issuer is common", "clients that compare the issuer stop", "server.tenant", "<tenant ID>",
		func(r *rig) {
			const common = "https://login.microsoftonline.com/common/v2.0"
			entraScopes(mcpURL + "/mcp.access")(r)
			r.issuer = newIssuer(common)
			r.issuer.metadata["issuer"] = "https://login.microsoftonline.com/{tenantid}/v2.0"
			f := newForeign(common).document(func(d map[string]any) { d["scopes_supported"] = []string{mcpURL + "/mcp.access"} })
			f.challenge = `Bearer resource_metadata="` + mcpOrigin + prmPath + `", scope="` + mcpURL + `/mcp.access"`
			r.server = f
		}},
	{"Entra ID does not list S256", "clients that follow MCP strictly stop", "pkce.unlisted", "client ID that you registered",
		func(r *rig) {
			entraScopes(mcpURL + "/mcp.access")(r)
			delete(r.issuer.metadata, "code_challenge_methods_supported")
		}},
	{"Entra ID: clients cannot register", "the client asks for a client ID", "registration.by_hand", "docs/entra.md",
		entraScopes(mcpURL + "/mcp.access")},
	{"Client ID metadata documents are advertised, without public clients", "clients that prefer a document may stop",
		"registration.cimd_secret", "none",
		func(r *rig) {
			r.issuer.metadata["client_id_metadata_document_supported"] = true
			r.issuer.metadata["token_endpoint_auth_methods_supported"] = []string{"client_secret_basic"}
		}},
	{"Clients can use only client ID metadata documents", "mcp-go and others: does not support dynamic client registration",
		"registration.cimd_only",
		"dynamic client registration",
		func(r *rig) {
			delete(r.issuer.metadata, "registration_endpoint")
			r.issuer.metadata["client_id_metadata_document_supported"] = true
		}},
	{"Clerk: the server asks for openid", "ChatGPT: invalid_scope", "scopes.openid", "remove openid",
		clerkScopes("openid", "profile")},
	{"Clerk: the server asks for an organization", "ChatGPT: invalid_scope", "scopes.default",
		"user:org:read is among the default scopes",
		clerkScopes("profile", "user:org:read")},
	{"Clerk: the server names no scopes", "mcp-remote: invalid_scope", "scopes.none", "profile and email",
		func(r *rig) {
			*r = *newClerkRig(r.t)
			f := newForeign(clerkURL).document(func(d map[string]any) { delete(d, "scopes_supported") })
			f.challenge = `Bearer resource_metadata="` + mcpOrigin + prmPath + `"`
			r.server = f
		}},
	{"The server asks for offline_access", "issuers that do not know it: invalid_scope", "scopes.offline",
		"remove offline_access",
		func(r *rig) {
			f := newForeign(issuerURL).document(func(d map[string]any) {
				d["scopes_supported"] = []string{"profile",
					"offline_access"}
			})
			f.challenge = `Bearer resource_metadata="` + mcpOrigin + prmPath + `", scope="profile offline_access"`
			r.server = f
		}},
	{"The challenge asks for more than the metadata lists", "clients that read only the metadata are rejected",
		"scopes.hidden", "openid",
		func(r *rig) {
			r.server = challenging(`Bearer resource_metadata="` + mcpOrigin + prmPath + `", scope="profile openid"`)
		}},
	{"The key set has a shared secret in it", "nothing, except for attackers", "keys.symmetric", "remove it",
		keysAre(map[string]any{"kty": "oct", "kid": "2", "k": "c2VjcmV0"})},
	{"A key has 1024 bits", "tokens that are signed with it are rejected", "keys.small", "2048",
		keysAre(map[string]any{"kty": "RSA", "kid": "2", "e": "AQAB", "n": strings.Repeat("x", 171), "alg": "RS256"})},
	{"Two keys have the same ID", "some tokens are rejected", "keys.duplicate", "its own kid",
		keysAre(testissuer.NewKey("key-1").JWK())},
	{"The keys have no IDs", "some libraries reject all tokens", "keys.no_kid", "its own kid",
		func(r *rig) {
			one, two := testissuer.NewKey("key-1").JWK(), testissuer.NewKey("key-2").JWK()
			delete(one, "kid")
			delete(two, "kid")
			r.issuer.keys = map[string]any{"keys": []any{one, two}}
		}},
	{"The key set may be cached for a week", "after a change of keys, 401 for a week", "keys.cached", "max-age of an hour",
		func(r *rig) {
			r.issuer.paths[keysPath] = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Cache-Control", "public, max-age=604800")
				sendJSON(w, r.issuer.keys)
			}
		}},
	{"The challenge for an invalid token has no error (go-sdk's own middleware)",
		"clients cannot distinguish a rejected token from a lost one",
		"token.no_error", `error="invalid_token"`,
		func(r *rig) {
			f := newForeign(issuerURL)
			f.reject = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set(authHeader, f.challenge)
				w.WriteHeader(http.StatusUnauthorized)
			}
			r.server = f
		}},
	{"The answer to an invalid token shows the verifier's error", "nothing", "token.details", "fixed phrase",
		func(r *rig) {
			f := newForeign(issuerURL)
			f.reject = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set(authHeader, f.challenge+`, error="invalid_token"`)
				w.WriteHeader(http.StatusUnauthorized)
				io.WriteString(w,
					`{"error":"JWKSNoMatchingKey: no applicable key; at Object.verify (/app/node_modules/jose/index.js:1)"}`)
			}
			r.server = f
		}},
	{"A local server accepts requests of any web page", "nothing, except for attackers", "origin.any", "Origin header",
		func(r *rig) { r.localForeign(func(req *http.Request) bool { return req.Host == "attacker.example" }) }},
	{"A local server accepts any Host", "nothing, except for attackers", "origin.host", "Host header",
		func(r *rig) { r.localForeign(func(req *http.Request) bool { return req.Header.Get("Origin") != "" }) }},
	{"The token is checked before the preflight", "CORS error in the browser", "cors.preflight", "OPTIONS before the token",
		func(r *rig) {
			f := newForeign(issuerURL)
			f.guardsPreflight = true
			r.server = f
		}},
	{"The preflight allows every header but Authorization", "CORS error in the browser", "cors.headers",
		"does not cover Authorization",
		corsHeaders(func(h http.Header) { h.Set("Access-Control-Allow-Headers", "*") })},
	{"The preflight does not allow POST", "CORS error in the browser", "cors.method", "POST",
		corsHeaders(func(h http.Header) { h.Set("Access-Control-Allow-Methods", "GET, OPTIONS") })},
	{"The 401 lacks the CORS headers", "CORS error in the browser, and no sign-in", "cors.unauthorized", "rejections included",
		corsHeaders(func(h http.Header) {
			if h.Get(authHeader) != "" {
				h.Del("Access-Control-Allow-Origin")
			}
		})},
	{"WWW-Authenticate is not exposed", "a client in the browser does not learn where to sign in", "cors.expose",
		"Access-Control-Expose-Headers",
		corsHeaders(func(h http.Header) { h.Del("Access-Control-Expose-Headers") })},
	{"The metadata lacks the CORS headers (--origin)", "CORS error in the browser", "cors.documents",
		"Access-Control-Allow-Origin: *",
		func(r *rig) {
			r.config.Origin = "https://app.example.com"
			r.front(rewrite(func(req *http.Request, status int, h http.Header, body []byte) (int, []byte) {
				if req.URL.Path != "/mcp" {
					h.Del("Access-Control-Allow-Origin")
				}
				return status, body
			}))
		}},
	{"The first request of MCP 2026-07-28 is rejected before the token is checked",
		"clients fall back to an older revision, or stop",
		"revisions.modern", "before anything else",
		func(r *rig) {
			next := newForeign(issuerURL)
			r.server = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if req.Header.Get("Mcp-Protocol-Version") == "2026-07-28" {
					status(http.StatusBadRequest)(w, req)
					return
				}
				next.ServeHTTP(w, req)
			})
		}},
	{"The clock of this machine is wrong", "nothing", "clock.machine", "NTP",
		func(r *rig) { r.config.Now = func() time.Time { return time.Now().Add(time.Hour) } }},
	{"Clerk: access tokens are opaque, and the server asks Clerk about them", "slow calls", "clerk.opaque",
		"Generate access tokens as JWTs",
		func(r *rig) {
			key := ""
			c := r.local(func(s *localclerk.Settings) { s.OAuthJWTAccessTokens, s.AudClaimEnabled = false, true })
			key = c.SecretKey()
			r.real(startServer(r.t, clerk.New(clerk.Config{FrontendAPIURL: c.Issuer(), SecretKey: clerk.Secret(key),
				BackendAPIURL: c.Issuer()})))
			r.config.ClerkSecretKey = gatehouse.Secret(key)
		}},
	{"Clerk: a scope of the server is not among the default scopes", "ChatGPT: invalid_scope", "clerk.default_scopes", "openid",
		func(r *rig) {
			c := r.local(func(s *localclerk.Settings) { s.AudClaimEnabled = true },
				func(c *clerk.Config) { c.ScopesSupported = []string{"openid", "profile"} })
			r.config.ClerkSecretKey = gatehouse.Secret(c.SecretKey())
		}},
	{"Clerk: a client registered before the server asked for a new scope", "invalid_scope, for its users only",
		"clerk.client_scopes",
		"remove the server and add it again",
		func(r *rig) {
			c := r.local(func(s *localclerk.Settings) { s.AudClaimEnabled = true })
			r.config.ClerkSecretKey = gatehouse.Secret(c.SecretKey())
			register(r.t, c.Issuer(), "profile")
		}},
	{"Clerk: tokens do not name the server that they are for", "nothing", "clerk.no_audience", "aud_claim_enabled",
		func(r *rig) {
			c := r.local(nil)
			r.config.ClerkSecretKey = gatehouse.Secret(c.SecretKey())
		}},
}, liveWarnings)

// clerkScopes is a server with Clerk that asks for the scopes, all of which the instance has.
func clerkScopes(scopes ...string) func(r *rig) {
	return func(r *rig) {
		*r = *newClerkRig(r.t)
		r.issuer.metadata["scopes_supported"] = []string{"openid", "profile", "email", "offline_access", "user:org:read"}
		r.guard.Provider = clerk.New(clerk.Config{FrontendAPIURL: clerkURL, ScopesSupported: scopes})
	}
}

// register registers a client with the scopes at a local Clerk.
func register(t *testing.T, issuer, scope string) {
	t.Helper()
	resp, err := http.Post(issuer+"/oauth/register", jsonType, strings.NewReader(
		`{"redirect_uris":["http://127.0.0.1:9/callback"],"token_endpoint_auth_method":"none",`+
			`"client_name":"Old client","scope":"`+scope+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("registration: %s", resp.Status)
	}
}

// keysAre adds a key to the issuer's.
func keysAre(key map[string]any) func(r *rig) {
	return func(r *rig) { r.issuer.keys = map[string]any{"keys": []any{testissuer.NewKey("key-1").JWK(), key}} }
}

func plainText(paths ...string) func(*http.Request, int, http.Header, []byte) (int, []byte) {
	return func(r *http.Request, status int, h http.Header, body []byte) (int, []byte) {
		if slices.Contains(paths, r.URL.Path) {
			h.Set("Content-Type", "text/plain")
		}
		return status, body
	}
}

// corsHeaders is a server that allows every page, with a change of its answers to pages.
func corsHeaders(change func(h http.Header)) func(r *rig) {
	return func(r *rig) {
		r.guard.AllowedOrigins = []string{"*"}
		r.front(rewrite(func(req *http.Request, status int, h http.Header, body []byte) (int, []byte) {
			if req.URL.Path == "/mcp" {
				change(h)
			}
			return status, body
		}))
	}
}

// localForeign makes the target a foreign server on this machine that rejects some requests.
func (r *rig) localForeign(rejects func(*http.Request) bool) {
	const origin = "http://localhost:3000"
	f := newForeign("http://localhost:4000").document(func(d map[string]any) { d["resource"] = origin + "/mcp" })
	f.challenge = `Bearer resource_metadata="` + origin + prmPath + `", scope="profile email"`
	r.hosts["http://localhost:4000"] = newIssuer("http://localhost:4000")
	r.hosts[origin] = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if rejects(req) || req.Method == http.MethodOptions {
			status(http.StatusForbidden)(w, req)
			return
		}
		f.ServeHTTP(w, req)
	})
	r.target = origin + "/mcp"
}

// TestWarnings checks that a set-up with which most clients work gets a warning and no fault.
func TestWarnings(t *testing.T) {
	t.Parallel()
	for _, s := range warnings {
		t.Run(s.want+"/"+s.name, func(t *testing.T) {
			t.Parallel()
			checkWarning(t, s)
		})
	}
}

// checkWarning checks that a set-up has the wanted warning and no fault, and returns it.
func checkWarning(t *testing.T, s setup) diagnose.Finding {
	t.Helper()
	r := newRig(t)
	s.broken(r)
	report := r.run()
	if n := report.Count(diagnose.Fault); n > 0 {
		t.Errorf("%d faults, want none:\n%s", n, describe(report))
	}
	checkForm(t, report)
	for _, f := range report.Findings {
		if f.ID == s.want && f.Level == diagnose.Warning {
			if !strings.Contains(f.Fix, s.words) {
				t.Errorf("fix is %q, want it to contain %q", f.Fix, s.words)
			}
			return f
		}
	}
	t.Errorf("no warning %s:\n%s", s.want, describe(report))
	return diagnose.Finding{}
}
