//go:build providers && sources && unix

package providers

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	supabaseprovider "github.com/gatehouse-mcp/gatehouse/provider/supabase"
)

// supabaseProgram is Supabase Auth, the server behind /auth/v1 of every Supabase project.
var supabaseProgram = gitProgram{
	name:       "supabase-auth",
	repository: "https://github.com/supabase/auth",
	tag:        "v2.196.0",
	pkg:        ".",
	ldflags:    "-X github.com/supabase/auth/internal/utilities.Version=v2.196.0",
}

const (
	supabaseStart = 2 * time.Minute
	// supabasePath is where the gateway of a project serves Supabase Auth.
	supabasePath = "/auth/v1"
	// supabaseSecret is the legacy secret of the project, with which API keys are signed.
	supabaseSecret = "only-for-tests-only-for-tests-only-for-tests"
	supabaseScopes = "openid email"
)

// supabaseSchema is the account and the schema that Supabase Auth expects.
const supabaseSchema = `
create user supabase_auth_admin noinherit createrole login noreplication password 'only-for-tests';
create schema auth authorization supabase_auth_admin;
grant create on database postgres to supabase_auth_admin;
alter user supabase_auth_admin set search_path = 'auth';`

// supabaseHook is a custom access token hook that binds the tokens of OAuth clients to a
// resource, which Supabase Auth itself does not do. Tokens of sessions stay as they are.
const supabaseHook = `
create function public.bind_tokens(event jsonb) returns jsonb language sql as $$
  select jsonb_build_object('claims', case
    when event->'claims'->>'client_id' is null then event->'claims'
    else jsonb_set(event->'claims', '{aud}', '%q')
  end)
$$;
grant usage on schema public to supabase_auth_admin;
grant execute on function public.bind_tokens to supabase_auth_admin;`

// supabase is a running Supabase Auth, and the consent page of its project.
type supabase struct {
	authorizationServer
	signedIn atomic.Pointer[supabaseUser] // at the consent page
}

// supabaseUser is a user who is signed in at the project.
type supabaseUser struct {
	id      string
	session string // the session token
}

// supabaseProject are the settings of a project.
type supabaseProject struct {
	// bind is the resource to which a hook binds the tokens of OAuth clients; empty for no hook.
	bind string
	// legacy says that the project signs with the legacy secret (HS256).
	legacy bool
}

// startSupabase starts Supabase Auth behind a gateway with a path, as on the platform.
func startSupabase(t *testing.T, project supabaseProject) *supabase {
	t.Helper()
	program := supabaseProgram.build(t)
	database := startPostgres(t)
	database.exec(t, supabaseSchema)
	port := freePort(t)
	s := &supabase{}
	gateway := httptest.NewServer(supabaseGateway("127.0.0.1:" + port))
	t.Cleanup(gateway.Close)
	site := httptest.NewServer(http.HandlerFunc(s.consent))
	t.Cleanup(site.Close)

	issuer := gateway.URL + supabasePath
	env := supabaseEnv(t, issuer, site.URL, port, database)
	if !project.legacy {
		env = append(env, "GOTRUE_JWT_KEYS="+supabaseKeys(t))
	}
	if project.bind != "" {
		database.exec(t, fmt.Sprintf(supabaseHook, project.bind))
		env = append(env, "GOTRUE_HOOK_CUSTOM_ACCESS_TOKEN_ENABLED=true",
			"GOTRUE_HOOK_CUSTOM_ACCESS_TOKEN_URI=pg-functions://postgres/public/bind_tokens")
	}
	run(t, "/", append(append([]string{"env"}, env...), program, "migrate")...)
	start(t, serverProcess{
		name:   "supabase-auth",
		argv:   []string{program, "serve"},
		env:    env,
		ready:  "http://127.0.0.1:" + port + "/health",
		within: supabaseStart,
	})
	s.authorizationServer = discover(t, issuer+"/.well-known/openid-configuration")
	return s
}

// supabaseGateway returns the part of a project's gateway that leads to Supabase Auth: its
// path, and the metadata at the place of RFC 8414 section 3.1.
func supabaseGateway(host string) http.Handler {
	server := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host})
	mux := http.NewServeMux()
	mux.Handle(supabasePath+"/", http.StripPrefix(supabasePath, server))
	const metadata = "/.well-known/oauth-authorization-server"
	mux.HandleFunc("GET "+metadata+supabasePath, func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.URL.Path = metadata
		server.ServeHTTP(w, r)
	})
	return mux
}

// supabaseEnv returns the settings of Supabase Auth as environment variables.
func supabaseEnv(t *testing.T, issuer, site, port string, database postgres) []string {
	t.Helper()
	return []string{
		"API_EXTERNAL_URL=" + issuer,
		"GOTRUE_API_HOST=127.0.0.1",
		"PORT=" + port,
		"GOTRUE_DB_DRIVER=postgres",
		"DB_NAMESPACE=auth",
		"DATABASE_URL=postgres://supabase_auth_admin:only-for-tests@127.0.0.1:" + database.port + "/postgres?sslmode=disable",
		"GOTRUE_DB_MIGRATIONS_PATH=" + filepath.Join(supabaseProgram.source(t), "migrations"),
		"GOTRUE_JWT_ISSUER=" + issuer,
		"GOTRUE_JWT_SECRET=" + supabaseSecret,
		"GOTRUE_JWT_AUD=authenticated",
		"GOTRUE_JWT_DEFAULT_GROUP_NAME=authenticated",
		"GOTRUE_SITE_URL=" + site,
		"GOTRUE_MAILER_AUTOCONFIRM=true",
		"GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED=true",
		"GOTRUE_OAUTH_SERVER_ENABLED=true",
		"GOTRUE_OAUTH_SERVER_ALLOW_DYNAMIC_REGISTRATION=true",
		"GOTRUE_OAUTH_SERVER_AUTHORIZATION_PATH=/oauth/consent",
	}
}

// supabaseKeys returns the signing key of a project, a new one, as Supabase Auth reads it.
func supabaseKeys(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := key.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	const coordinate = 32 // bytes
	public := private.PublicKey().Bytes()[1:]
	encode := base64.RawURLEncoding.EncodeToString
	keys, err := json.Marshal([]map[string]any{{
		"kty":     "EC",
		"crv":     "P-256",
		"alg":     "ES256",
		"use":     "sig",
		"kid":     "0b5ae4c0-5a1a-4e35-8d1b-0e1c1f1a2b3c",
		"key_ops": []string{"sign", "verify"},
		"x":       encode(public[:coordinate]),
		"y":       encode(public[coordinate:]),
		"d":       encode(private.Bytes()),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return string(keys)
}

// signUp makes a user and signs the user in at the consent page.
func (s *supabase) signUp(t *testing.T) supabaseUser {
	t.Helper()
	return s.signUpWith(t, map[string]any{
		"email":    "ada@example.com",
		"password": "only-for-tests",
		"data":     map[string]any{"name": "Ada Lovelace"},
	})
}

// signUpAnonymously is like signUp, for a user without any name.
func (s *supabase) signUpAnonymously(t *testing.T) supabaseUser {
	t.Helper()
	return s.signUpWith(t, map[string]any{})
}

func (s *supabase) signUpWith(t *testing.T, body map[string]any) supabaseUser {
	t.Helper()
	var answer struct {
		Access string `json:"access_token"`
		User   struct {
			ID string `json:"id"`
		} `json:"user"`
	}
	if err := s.call(within(t, stepTime), http.MethodPost, "/signup", "", body, &answer); err != nil {
		t.Fatal(err)
	}
	user := supabaseUser{id: answer.User.ID, session: answer.Access}
	s.signedIn.Store(&user)
	return user
}

// consent is the consent page of the project, on which the user who is signed in grants
// everything.
func (s *supabase) consent(w http.ResponseWriter, r *http.Request) {
	session := s.signedIn.Load().session
	path := "/oauth/authorizations/" + url.PathEscape(r.FormValue("authorization_id"))
	var answer struct {
		RedirectURL string `json:"redirect_url"` // in the first answer, if the user consented before
	}
	err := s.call(r.Context(), http.MethodGet, path, session, nil, &answer)
	if err == nil && answer.RedirectURL == "" {
		err = s.call(r.Context(), http.MethodPost, path+"/consent", session, map[string]any{"action": "approve"}, &answer)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	http.Redirect(w, r, answer.RedirectURL, http.StatusSeeOther)
}

// call sends JSON to Supabase Auth as the user of a session, who may be none. The answer is
// decoded into out.
func (s *supabase) call(ctx context.Context, method, path, session string, body, out any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, s.Issuer+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if session != "" {
		req.Header.Set("Authorization", "Bearer "+session)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	answer, err := decode[json.RawMessage](resp)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return json.Unmarshal(answer, out)
}

// signIn signs a user in for a resource.
func (s *supabase) signIn(t *testing.T, client oauthClient, resource string) tokens {
	t.Helper()
	answer, err := client.signIn(within(t, stepTime), newBrowser(t, nil), url.Values{
		"scope":    {supabaseScopes},
		"resource": {resource},
		"nonce":    {"a-nonce-of-the-client"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// apiKey returns a legacy API key of a project: a JWT that the project's secret signs.
func apiKey(t *testing.T, role string) string {
	t.Helper()
	part := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(data)
	}
	now := time.Now()
	signed := part(map[string]any{"alg": "HS256", "typ": "JWT"}) + "." + part(map[string]any{
		"iss":  "supabase",
		"ref":  "abcdefghijklmnopqrst",
		"role": role,
		"iat":  now.Unix(),
		"exp":  now.Add(time.Hour).Unix(),
	})
	mac := hmac.New(sha256.New, []byte(supabaseSecret))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// TestSupabase signs in at a project without a hook. The audience of a token is the project.
func TestSupabase(t *testing.T) {
	e := newEndpoint(t)
	s := startSupabase(t, supabaseProject{})
	e.protect(t, supabaseprovider.New(s.config()), nil)
	user := s.signUp(t)
	s.checkWhoami(t, e, user)

	client, err := s.register(within(t, stepTime), supabaseScopes)
	if err != nil {
		t.Fatal(err)
	}
	mine := s.signIn(t, client, e.URL)
	other := s.signIn(t, client, otherResource)
	anonymous := s.signUpAnonymously(t)
	theirs := s.signIn(t, client, e.URL)
	e.wantReasons(t, []lookalike{
		{"access token", mine.Access, ""},
		{"access token after a refresh", client.refresh(t, mine).Access, ""},
		{"session token", user.session, "missing_claim"},
		{"ID token", mine.ID, "wrong_type"},
		{"refresh token", mine.Refresh, "opaque"},
		{"legacy API key", apiKey(t, "service_role"), "wrong_algorithm"},
		{"session token of an anonymous user", anonymous.session, "missing_claim"},
		{"access token of an anonymous user", theirs.Access, "wrong_type"},
		// Supabase does not say in a token for which server it is.
		{"access token for another server", other.Access, ""},
	})
	config := s.config()
	config.AllowAnonymous = true
	e.protect(t, supabaseprovider.New(config), nil)
	e.wantReason(t, theirs.Access, "access token of an anonymous user, who is allowed", "")
	s.record(t, "recorded-project.json", e.URL, client, map[string]string{
		"access token":                       mine.Access,
		"ID token":                           mine.ID,
		"session token":                      user.session,
		"session token of an anonymous user": anonymous.session,
		"access token of an anonymous user":  theirs.Access,
	})
}

// TestSupabaseBound signs in at a project with a hook that binds tokens to the MCP server.
func TestSupabaseBound(t *testing.T) {
	e := newEndpoint(t)
	s := startSupabase(t, supabaseProject{bind: e.URL})
	config := s.config()
	config.RequireAudience = true
	provider := supabaseprovider.New(config)
	e.protect(t, provider, nil)
	user := s.signUp(t)
	s.checkWhoami(t, e, user)

	client, err := s.register(within(t, stepTime), supabaseScopes)
	if err != nil {
		t.Fatal(err)
	}
	mine := s.signIn(t, client, e.URL)
	e.wantReasons(t, []lookalike{
		{"access token", mine.Access, ""},
		{"access token after a refresh", client.refresh(t, mine).Access, ""},
		{"session token", user.session, "missing_claim"},
		{"ID token", mine.ID, "wrong_type"},
	})
	s.record(t, "recorded-hook.json", e.URL, client, map[string]string{
		"access token":  mine.Access,
		"ID token":      mine.ID,
		"session token": user.session,
	})

	// The same token at another MCP server of the project.
	next := newEndpoint(t)
	next.protect(t, provider, nil)
	next.wantReason(t, mine.Access, "access token for another server", "wrong_audience")
}

// TestSupabaseLegacy signs in at a project that still signs with its legacy secret. Supabase
// Auth then has no keys to publish, and fails if a client requests openid.
func TestSupabaseLegacy(t *testing.T) {
	e := newEndpoint(t)
	s := startSupabase(t, supabaseProject{legacy: true})
	config := s.config()
	config.JWTSecret = supabaseSecret
	e.protect(t, supabaseprovider.New(config), nil)
	user := s.signUp(t)
	s.checkWhoami(t, e, user)

	client, err := s.register(within(t, stepTime), "email")
	if err != nil {
		t.Fatal(err)
	}
	parameters := url.Values{"scope": {"email"}, "resource": {e.URL}}
	mine, err := client.signIn(within(t, stepTime), newBrowser(t, nil), parameters)
	if err != nil {
		t.Fatal(err)
	}
	e.wantReasons(t, []lookalike{
		{"access token", mine.Access, ""},
		{"session token", user.session, "missing_claim"},
		{"refresh token", mine.Refresh, "opaque"},
		{"legacy API key, which the same secret signs", apiKey(t, "service_role"), "wrong_issuer"},
	})
	s.record(t, "recorded-legacy.json", e.URL, client, map[string]string{
		"access token":  mine.Access,
		"session token": user.session,
	})
	parameters.Set("scope", supabaseScopes)
	if _, err := client.signIn(within(t, stepTime), newBrowser(t, nil), parameters); err == nil {
		t.Error("a sign-in with openid works without signing keys, want an error of Supabase Auth")
	}

	// Without the secret, the server is never ready, because the project publishes no key.
	withoutSecret := supabaseprovider.New(s.config())
	guard, err := gatehouse.New(gatehouse.Config{Resource: e.URL, Provider: withoutSecret, Logger: e.log.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close()
	if err := guard.Ready(within(t, stepTime)); err == nil {
		t.Error("a guard without the secret is ready, want an error")
	}
}

// config returns the settings for the project.
func (s *supabase) config() supabaseprovider.Config {
	return supabaseprovider.Config{
		URL:             strings.TrimSuffix(s.Issuer, supabasePath),
		ScopesSupported: []string{"email"},
	}
}

// checkWhoami signs the user in with clients that register dynamically, and calls the tool
// whoami.
func (s *supabase) checkWhoami(t *testing.T, e *endpoint, user supabaseUser) {
	t.Helper()
	callers := map[string]caller{
		"go-sdk":         whoamiOfGoSDK(t, e, newBrowser(t, nil)),
		"gatehouse call": whoamiOfCall(t, e, newBrowser(t, nil)),
	}
	for name, argv := range scriptClients {
		callers[name] = whoamiOfScript(t, e, newBrowser(t, nil), argv(t))
	}
	for name, got := range callers {
		if got.Issuer != s.Issuer || got.Subject != user.id || got.Client == "" || !slices.Contains(got.Scopes, "email") {
			t.Errorf("whoami of %s: got %+v, want the user %s", name, got, user.id)
		}
	}
}

// record compares documents and tokens with those in a file.
func (s *supabase) record(t *testing.T, file, resource string, client oauthClient, issued map[string]string) {
	t.Helper()
	document := s.Issuer + "/.well-known/openid-configuration"
	r := recording{
		Server: "Supabase Auth " + supabaseProgram.tag,
		Documents: map[string]map[string]any{
			document:  getDocument(t, document),
			s.JWKSURI: getDocument(t, s.JWKSURI),
		},
		Tokens: map[string]jwt{},
	}
	for name, token := range issued {
		r.Tokens[name] = decodeJWT(t, token)
	}
	gateway := strings.TrimSuffix(s.Issuer, supabasePath)
	r.compare(t, "provider/supabase/testdata/"+file,
		gateway, "https://abcdefghijklmnopqrst.supabase.co", resource, recordedResource, client.ID, "the-client-id")
}
