//go:build providers && unix

package providers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse"
)

// hydraProgram is Ory Hydra. Later releases have tags that are not versions of the module.
var hydraProgram = goProgram{
	name:    "hydra",
	module:  "github.com/ory/hydra/v2@v2.3.0",
	pkg:     "github.com/ory/hydra/v2",
	replace: "replace github.com/gobuffalo/pop/v6 => github.com/ory/pop/v6 v6.2.1-0.20241121111754-e5dfc0f3344b\n",
	tags:    "sqlite,sqlite_omit_load_extension",
}

const (
	hydraStart   = 3 * time.Minute
	hydraSubject = "ada"
	hydraScope   = "notes:read"
	// hydraScopes are what a registered client may request.
	hydraScopes = "openid offline_access " + hydraScope
)

// Values of Hydra's setting strategies.access_token.
const (
	hydraOpaque = "opaque"
	hydraJWT    = "jwt"
)

// hydraConfig is the configuration of a Hydra that keeps everything in memory. default_scope
// is what a client gets that registers without scope. Without client_registration_url, the
// discovery document has no registration_endpoint, even though the endpoint exists.
const hydraConfig = `
dsn: memory
sqa: {opt_out: true}
log: {level: warn}
serve:
  public: {host: 127.0.0.1, port: %[1]s}
  admin: {host: 127.0.0.1, port: %[2]s}
urls:
  self: {issuer: "http://127.0.0.1:%[1]s"}
  login: "%[3]s/login"
  consent: "%[3]s/consent"
secrets: {system: [only-for-tests-only-for-tests]}
strategies: {access_token: %[4]s}
oidc:
  dynamic_client_registration: {enabled: true, default_scope: [openid, offline_access, "notes:read"]}
webfinger:
  oidc_discovery:
    client_registration_url: "http://127.0.0.1:%[1]s/oauth2/register"
    supported_scope: [openid, offline_access, "notes:read"]
`

// hydra is a running Ory Hydra and its login and consent app.
type hydra struct {
	authorizationServer
	admin string // URL of the admin API, which needs no authentication
}

// startHydra starts Hydra with a strategy for access tokens.
func startHydra(t *testing.T, strategy string) hydra {
	t.Helper()
	program := hydraProgram.build(t)
	public, admin := freePort(t), freePort(t)
	h := hydra{admin: "http://127.0.0.1:" + admin + "/admin"}
	app := httptest.NewServer(h.consentApp())
	t.Cleanup(app.Close)
	file := filepath.Join(t.TempDir(), "hydra.yml")
	if err := os.WriteFile(file, fmt.Appendf(nil, hydraConfig, public, admin, app.URL, strategy), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, serverProcess{
		name:   "hydra",
		argv:   []string{program, "serve", "all", "--dev", "--config", file},
		ready:  "http://127.0.0.1:" + public + "/.well-known/jwks.json", // Hydra makes its keys now
		within: hydraStart,
	})
	h.authorizationServer = discover(t, "http://127.0.0.1:"+public+"/.well-known/openid-configuration")
	return h
}

// consentApp returns the login and consent app that Hydra leaves to its operator: a user who
// is signed in already and grants everything. Hydra does not know the parameter resource (RFC
// 8707), but the app sees it in the URL of the request, and grants it as the audience.
func (h hydra) consentApp() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		h.accept(w, r, "login", map[string]any{"subject": hydraSubject})
	})
	mux.HandleFunc("GET /consent", func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Scopes  []string `json:"requested_scope"`
			Request string   `json:"request_url"`
		}
		if err := h.call(r.Context(), http.MethodGet, h.challengeURL(r, "consent", ""), nil, &asked); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		request, err := url.Parse(asked.Request)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		h.accept(w, r, "consent", map[string]any{
			"grant_scope":                 asked.Scopes,
			"grant_access_token_audience": request.Query()["resource"],
			"session":                     map[string]any{"id_token": map[string]any{"email": "ada@example.com"}},
		})
	})
	return mux
}

// accept accepts the login or consent that r is about, and sends the user back to Hydra.
func (h hydra) accept(w http.ResponseWriter, r *http.Request, step string, answer any) {
	var next struct {
		RedirectTo string `json:"redirect_to"`
	}
	if err := h.call(r.Context(), http.MethodPut, h.challengeURL(r, step, "/accept"), answer, &next); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	http.Redirect(w, r, next.RedirectTo, http.StatusSeeOther)
}

func (h hydra) challengeURL(r *http.Request, step, action string) string {
	query := url.Values{step + "_challenge": {r.FormValue(step + "_challenge")}}
	return h.admin + "/oauth2/auth/requests/" + step + action + "?" + query.Encode()
}

// call sends JSON to the admin API. The answer is decoded into out.
func (h hydra) call(ctx context.Context, method, endpoint string, body, out any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, endpoint, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	answer, err := decode[json.RawMessage](resp)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, endpoint, err)
	}
	return json.Unmarshal(answer, out)
}

// machine registers a client for the client credentials grant, which only an administrator
// can, and returns a token of it for the resource.
func (h hydra) machine(t *testing.T, resource string) string {
	t.Helper()
	ctx := within(t, stepTime)
	client := oauthClient{server: h.authorizationServer, ID: "nightly-job", Secret: "only-for-tests"}
	var created json.RawMessage
	err := h.call(ctx, http.MethodPost, h.admin+"/clients", map[string]any{
		"client_id":                  client.ID,
		"client_secret":              client.Secret,
		"grant_types":                []string{"client_credentials"},
		"scope":                      hydraScope,
		"audience":                   []string{resource},
		"token_endpoint_auth_method": "client_secret_basic",
	}, &created)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.grant(ctx, url.Values{
		"grant_type": {"client_credentials"},
		"scope":      {hydraScope},
		"audience":   {resource},
	})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Access
}

// signIn signs a user in for resources, which may be none.
func (h hydra) signIn(t *testing.T, client oauthClient, resources ...string) tokens {
	t.Helper()
	answer, err := client.signIn(within(t, stepTime), newBrowser(t, nil), url.Values{
		"scope":    {hydraScopes},
		"resource": resources,
		"nonce":    {"a-nonce-of-the-client"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// introspect is RFC 7662 introspection at the admin API.
func (h hydra) introspect(ctx context.Context, token string) (json.RawMessage, error) {
	form := strings.NewReader(url.Values{"token": {token}}.Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.admin+"/oauth2/introspect", form)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	return decode[json.RawMessage](resp)
}

// introspectAccessToken is like introspect, but a refresh token is inactive: Hydra describes
// that too, with the same audience.
func (h hydra) introspectAccessToken(ctx context.Context, token string) (json.RawMessage, error) {
	answer, err := h.introspect(ctx, token)
	if err != nil {
		return nil, err
	}
	var kind struct {
		Use string `json:"token_use"`
	}
	if err := json.Unmarshal(answer, &kind); err != nil {
		return nil, err
	}
	if kind.Use != "access_token" {
		return nil, gatehouse.ErrInactive
	}
	return answer, nil
}

// TestHydraOpaque signs in at a Hydra with its default strategy: opaque access tokens.
func TestHydraOpaque(t *testing.T) {
	h := startHydra(t, hydraOpaque)
	e := newEndpoint(t)
	provider := gatehouse.OIDC(h.Issuer, hydraScope)
	provider.Introspect = h.introspectAccessToken
	e.protect(t, provider, nil)
	client := h.registerClient(t)
	h.checkWhoami(t, e, client)

	mine := h.signIn(t, client, e.URL)
	e.wantReason(t, mine.Access, "access token", "")
	e.wantReason(t, mine.ID, "ID token", "wrong_type")
	e.wantReason(t, mine.Refresh, "refresh token", "inactive")
	e.wantReason(t, h.signIn(t, client, otherResource).Access, "token for another server", "wrong_audience")
	e.wantReason(t, h.signIn(t, client).Access, "token without a resource", "wrong_audience")
	machine := h.machine(t, e.URL)
	e.wantReason(t, machine, "token of a machine", "")
	h.record(t, hydraOpaque, e.URL, client, mine, machine)
}

// TestHydraJWT signs in at a Hydra whose access tokens are JWTs.
func TestHydraJWT(t *testing.T) {
	h := startHydra(t, hydraJWT)
	e := newEndpoint(t)
	provider := gatehouse.OIDC(h.Issuer, hydraScope)
	provider.Tokens.Types = []string{"JWT"}
	e.protect(t, provider, nil)
	client := h.registerClient(t)
	h.checkWhoami(t, e, client)

	mine := h.signIn(t, client, e.URL)
	e.wantReason(t, mine.Access, "access token", "")
	e.wantReason(t, mine.ID, "ID token", "wrong_audience")
	e.wantReason(t, mine.Refresh, "refresh token", "opaque")
	machine := h.machine(t, e.URL)
	e.wantReason(t, machine, "token of a machine", "")
	h.record(t, hydraJWT, e.URL, client, mine, machine)
}

// record compares the documents and the tokens of h with those in the file of the strategy.
func (h hydra) record(t *testing.T, strategy, resource string, client oauthClient, issued tokens, machine string) {
	t.Helper()
	r := recording{
		Server: "Ory Hydra " + hydraProgram.version(),
		Documents: map[string]map[string]any{
			"/.well-known/openid-configuration": getJSON[map[string]any](t, h.Issuer+"/.well-known/openid-configuration"),
			"/.well-known/jwks.json":            recordedKeys(t, h.JWKSURI),
		},
		Tokens: map[string]jwt{"ID token": decodeJWT(t, issued.ID)},
	}
	if strategy == hydraJWT {
		r.Tokens["access token"] = decodeJWT(t, issued.Access)
		r.Tokens["token of a machine"] = decodeJWT(t, machine)
	}
	for name, token := range map[string]string{
		"access token":       issued.Access,
		"refresh token":      issued.Refresh,
		"ID token":           issued.ID,
		"token of a machine": machine,
	} {
		answer, err := h.introspect(within(t, stepTime), token)
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]any
		if err := json.Unmarshal(answer, &members); err != nil {
			t.Fatal(err)
		}
		r.Documents["introspection of the "+name] = members
	}
	r.compare(t, "e2e/providers/testdata/recorded-hydra-"+strategy+".json",
		h.Issuer, "https://hydra.example.com", resource, recordedResource, client.ID, "the-client-id")
}

// registerClient registers a client dynamically. The client of go-sdk v1.8 cannot do that at
// Hydra: it expects the member jwks of the answer to be a string, and Hydra sends an object,
// as RFC 7591 section 2 says.
func (h hydra) registerClient(t *testing.T) oauthClient {
	t.Helper()
	client, err := h.register(within(t, stepTime), hydraScopes)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// checkWhoami signs the user in with the client of go-sdk and calls the tool whoami.
func (h hydra) checkWhoami(t *testing.T, e *endpoint, client oauthClient) {
	t.Helper()
	got := whoamiOf(t, e, client.goSDK(newBrowser(t, nil)))
	want := caller{
		Issuer:      h.Issuer,
		Subject:     hydraSubject,
		Client:      client.ID,
		Scopes:      []string{hydraScope},
		Roles:       []string{},
		Permissions: []string{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("whoami (-want +got):\n%s", diff)
	}
}
