package gatehouse_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

// A fault of a provider names the field that the user wrote, and the fix.
func TestProviderFaults(t *testing.T) {
	introspect := func(context.Context, string) (json.RawMessage, error) { return nil, gatehouse.ErrInactive }
	secret := gatehouse.Secret("a secret of at least thirty-two bytes")
	for _, test := range []struct {
		name   string
		change func(*gatehouse.Provider)
		want   string // the beginning of the error; empty means that the provider is valid
	}{
		{"control", func(*gatehouse.Provider) {}, ""},
		{"tenants", func(p *gatehouse.Provider) {
			p.Issuer, p.Tenants = "https://login.example.com/{tenantid}/v2.0", []string{"a", "b-1"}
		}, ""},
		{"no tenants", func(p *gatehouse.Provider) { p.Issuer = "https://login.example.com/{tenantid}/v2.0" },
			`Provider.Tenants is empty, although an issuer has {tenantid}; list the IDs`},
		{"tenants without a variable", func(p *gatehouse.Provider) { p.Tenants = []string{"a"} },
			`Provider.Tenants has no effect, because no issuer has {tenantid}; write {tenantid}`},
		{"tenant that changes the path", func(p *gatehouse.Provider) {
			p.Issuer, p.Tenants = "https://login.example.com/{tenantid}", []string{"a/../b"}
		}, `Provider.Tenants "a/../b" is not the ID of a tenant`},
		{"tenant of dots", func(p *gatehouse.Provider) {
			p.Issuer, p.Tenants = "https://login.example.com/{tenantid}", []string{".."}
		}, `Provider.Tenants ".." is not the ID of a tenant`},
		{"token issuers", func(p *gatehouse.Provider) {
			p.TokenIssuers = []string{"https://a.example.com", "https://b.example.com/"}
		}, ""},
		{"token issuer with http", func(p *gatehouse.Provider) { p.TokenIssuers = []string{"http://a.example.com"} },
			`Provider.TokenIssuers "http://a.example.com" is not https`},
		{"authorization server", func(p *gatehouse.Provider) { p.AuthorizationServers = []string{"a.example.com"} },
			`Provider.AuthorizationServers "a.example.com" is not an absolute URL`},
		{"public keys", func(p *gatehouse.Provider) { p.PublicKeys = []byte("hello") },
			`Provider.PublicKeys cannot be used: neither a JSON Web Key Set nor PEM; set it to`},
		{"shared secret", func(p *gatehouse.Provider) { p.SharedSecret = secret }, ""},
		{"short secret", func(p *gatehouse.Provider) { p.SharedSecret = secret[:31] }, `Provider.SharedSecret has 31 bytes, want at least 32`},
		{"secret and algorithms", func(p *gatehouse.Provider) {
			p.SharedSecret, p.Tokens.Algorithms = secret, []string{"RS256"}
		}, `Provider.Tokens.Algorithms "RS256" has no effect with SharedSecret; remove it`},
		{"two sources of keys", func(p *gatehouse.Provider) {
			p.JWKSURL, p.SharedSecret = "https://issuer.example.com/keys", secret
		}, `Provider.JWKSURL is set in addition to SharedSecret; set one of them`},
		{"opaque only", func(p *gatehouse.Provider) { p.OpaqueOnly, p.Introspect = true, introspect }, ""},
		{"opaque only without introspection", func(p *gatehouse.Provider) { p.OpaqueOnly = true }, `Provider.OpaqueOnly is set without Introspect`},
		{"prefixes without introspection", func(p *gatehouse.Provider) { p.OpaquePrefixes = []string{"oat_"} }, `Provider.OpaquePrefixes is set without Introspect`},
		{"empty prefix", func(p *gatehouse.Provider) { p.OpaquePrefixes, p.Introspect = []string{""}, introspect }, `Provider.OpaquePrefixes has an empty prefix; remove it`},
		{"prefix of JWTs", func(p *gatehouse.Provider) { p.OpaquePrefixes, p.Introspect = []string{"eyJ"}, introspect },
			`Provider.OpaquePrefixes "eyJ" is how JWTs begin`},
		{"beginning of the prefix of JWTs", func(p *gatehouse.Provider) { p.OpaquePrefixes, p.Introspect = []string{"e"}, introspect },
			`Provider.OpaquePrefixes "e" is how JWTs begin`},
		{"public key as a secret", func(p *gatehouse.Provider) {
			p.SharedSecret = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----"
		}, "Provider.SharedSecret is a key in PEM or JSON"},
		{"key set as a secret", func(p *gatehouse.Provider) { p.SharedSecret = `{"keys":[{"kty":"oct","k":"AAAAAAAAAAAAAAAA"}]}` },
			"Provider.SharedSecret is a key in PEM or JSON"},
		{"secret with a line break", func(p *gatehouse.Provider) { p.SharedSecret = secret + "\n" }, "Provider.SharedSecret ends with a line break"},
		{"bound scope prefix", func(p *gatehouse.Provider) { p.Tokens.BoundScopePrefix = "api://mcp/" }, ""},
		{"bound scope prefix without a separator", func(p *gatehouse.Provider) { p.Tokens.BoundScopePrefix = "api://mcp" },
			`Provider.Tokens BoundScopePrefix is "api://mcp", which also begins the scopes of a server`},
		{"claim path", func(p *gatehouse.Provider) { p.Claims.Roles = []gatehouse.ClaimPath{{"realm_access", ""}} }, `Provider.Claims.Roles has an empty name; remove it`},
		{"issuer as audience", func(p *gatehouse.Provider) { p.Tokens.Audiences = []string{p.Issuer} },
			`Provider.Tokens.Audiences "https://issuer.example.com" is the issuer, which is not a server; write the name`},
		{"audiences", func(p *gatehouse.Provider) { p.Tokens.Audiences = []string{"api://default"} }, ""},
		{"scope prefix", func(p *gatehouse.Provider) { p.ScopePrefix = "api://x /" }, `Provider.ScopePrefix "api://x /" is not the beginning of a scope`},
		{"bound clients and any audience", func(p *gatehouse.Provider) {
			p.Tokens.BoundClients, p.Tokens.Audience = []string{"c"}, gatehouse.AudienceIfPresent
		}, `Provider.Tokens BoundClients and BoundScopePrefix have no effect if Audience is AudienceIfPresent`},
		{"required value of a standard claim", func(p *gatehouse.Provider) { p.Tokens.RequiredValues = map[string][]string{"aud": {"x"}} },
			`Provider.Tokens RequiredValues has "aud", want other claims`},
		{"required value without values", func(p *gatehouse.Provider) { p.Tokens.RequiredValues = map[string][]string{"ver": nil} },
			`Provider.Tokens RequiredValues has [] for "ver", want the accepted values`},
	} {
		p := gatehouse.OIDC("https://issuer.example.com")
		test.change(&p)
		guard, err := gatehouse.New(gatehouse.Config{Resource: "https://mcp.example.com/mcp", Provider: p, Logger: quiet()})
		if err == nil {
			guard.Close()
		}
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), "gatehouse: "+test.want)):
			t.Errorf("%s:\n got %v\nwant gatehouse: %s…", test.name, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), string(secret[:31])) {
			t.Errorf("%s: the error contains the secret: %v", test.name, err)
		}
	}
}

// With several providers, a fault names the one that it is about, and each token has at most
// one provider.
func TestFaultsOfSeveralProviders(t *testing.T) {
	introspect := func(context.Context, string) (json.RawMessage, error) { return nil, gatehouse.ErrInactive }
	opaque := func(issuer string, prefixes ...string) gatehouse.Provider {
		p := gatehouse.OIDC(issuer)
		p.Introspect, p.OpaquePrefixes = introspect, prefixes
		return p
	}
	a, b := gatehouse.OIDC("https://a.example.com"), gatehouse.OIDC("https://b.example.com")
	both := b
	both.TokenIssuers = []string{"https://b.example.com", "https://a.example.com"}
	unsafe := b
	unsafe.DangerouslySkipVerification = true
	for _, test := range []struct {
		name      string
		single    gatehouse.Provider
		providers []gatehouse.Provider
		want      string
	}{
		{"control", gatehouse.Provider{}, []gatehouse.Provider{a, b}, ""},
		{"prefixes that differ", gatehouse.Provider{}, []gatehouse.Provider{opaque("https://a.example.com", "oat_"), opaque("https://b.example.com", "ory_")}, ""},
		{"one without a prefix", gatehouse.Provider{}, []gatehouse.Provider{opaque("https://a.example.com"), opaque("https://b.example.com", "ory_")}, ""},
		{"Provider too", a, []gatehouse.Provider{b}, "Provider is set in addition to Providers; write it as one of Providers"},
		{"empty", gatehouse.Provider{}, []gatehouse.Provider{a, {}}, "Providers[1] is missing"},
		{"discovery URL", gatehouse.Provider{}, []gatehouse.Provider{a, gatehouse.OIDC("https://b.example.com/.well-known/openid-configuration")},
			`Providers[1].Issuer "https://b.example.com/.well-known/openid-configuration" is the URL of a metadata document; write "https://b.example.com"`},
		{"the same twice", gatehouse.Provider{}, []gatehouse.Provider{a, a}, `Providers[1].TokenIssuers "https://a.example.com" is an issuer of Providers[0] too`},
		{"an issuer in common", gatehouse.Provider{}, []gatehouse.Provider{a, both}, `Providers[1].TokenIssuers "https://a.example.com" is an issuer of Providers[0] too`},
		{"a prefix in common", gatehouse.Provider{}, []gatehouse.Provider{opaque("https://a.example.com", "oat_"), opaque("https://b.example.com", "oat_2")},
			`Providers[1].OpaquePrefixes "oat_2" is also for tokens of Providers[0]`},
		{"two without a prefix", gatehouse.Provider{}, []gatehouse.Provider{opaque("https://a.example.com"), opaque("https://b.example.com")},
			"Providers[1].OpaquePrefixes is empty, as it is for Providers[0]; set it for one of them"},
		{"without verification", gatehouse.Provider{}, []gatehouse.Provider{a, unsafe}, "Providers[1].DangerouslySkipVerification is set for one of several providers"},
	} {
		guard, err := gatehouse.New(gatehouse.Config{Resource: resource, Provider: test.single, Providers: test.providers, Logger: quiet()})
		if err == nil {
			guard.Close()
		}
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), "gatehouse: "+test.want)):
			t.Errorf("%s:\n got %v\nwant gatehouse: %s…", test.name, err, test.want)
		}
	}
}

// identityFor returns the identity of a token, or the reason why it is rejected.
func identityFor(t *testing.T, cfg gatehouse.Config, token string) (id gatehouse.Identity, why gatehouse.Reason) {
	t.Helper()
	cfg.Resource, cfg.Logger = resource, quiet()
	cfg.OnReject = func(_ *http.Request, r gatehouse.Rejection) { why = r.Reason }
	guard, err := gatehouse.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close()
	handler := guard.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { id, _ = gatehouse.IdentityOfHTTP(r) }))
	send(handler, request{header: bearer(token), body: call("write")})
	return id, why
}

// TestMachines checks that the token of a machine is rejected, unless it is allowed and the
// operation is not for people only.
func TestMachines(t *testing.T) {
	is := newIssuer(t)
	machine := is.token(resource, testissuer.Claim("sub", "client_1"), testissuer.Claim("client_id", "client_1"))
	user := is.token(resource, testissuer.Claim("client_id", "client_1"))
	person := []gatehouse.Requirement{{Tool: "write", Require: gatehouse.Require{Person: true}}}
	for _, test := range []struct {
		name         string
		token        string
		allow        bool
		requirements []gatehouse.Requirement
		kind         gatehouse.Kind
		want         gatehouse.Reason
	}{
		{"user", user, false, nil, gatehouse.KindUser, ""},
		{"machine", machine, false, nil, gatehouse.KindUser, "machine_token"},
		{"machine, allowed", machine, true, nil, gatehouse.KindMachine, ""},
		{"machine, allowed, for people only", machine, true, person, gatehouse.KindUser, "insufficient_permission"},
		{"user, for people only", user, true, person, gatehouse.KindUser, ""},
	} {
		p := is.provider()
		p.AllowMachines = test.allow
		id, why := identityFor(t, gatehouse.Config{Provider: p, Requirements: test.requirements}, test.token)
		if why != test.want || id.Kind != test.kind {
			t.Errorf("%s: got reason %q and kind %s, want %q and %s", test.name, why, id.Kind, test.want, test.kind)
		}
	}
	p := is.provider()
	p.Complete = func(id *gatehouse.Identity) error {
		id.Kind = gatehouse.KindMachine
		return nil
	}
	if _, why := identityFor(t, gatehouse.Config{Provider: p}, user); why != "machine_token" {
		t.Errorf("a machine by Complete: got reason %q", why)
	}
}

// TestClaimPaths checks where roles, permissions and the organization come from.
func TestClaimPaths(t *testing.T) {
	is := newIssuer(t)
	names := gatehouse.ClaimNames{
		Roles: []gatehouse.ClaimPath{
			{"realm_access", "roles"}, {"https://example.com/roles"}, {"cognito:groups"}, {"urn:zitadel:iam:org:project:roles"},
		},
		Permissions:      []gatehouse.ClaimPath{{"permissions"}},
		Organization:     gatehouse.ClaimPath{"org", "id"},
		OrganizationName: gatehouse.ClaimPath{"org", "name"},
	}
	type object = map[string]any
	for _, test := range []struct {
		name                     string
		claim                    string
		value                    any
		roles, permissions, orgs string
		want                     gatehouse.Reason
	}{
		{name: "nothing", claim: "x", value: 1},
		{name: "nested list", claim: "realm_access", value: object{"roles": []string{"a", "b", "a"}}, roles: "a b"},
		{name: "URL", claim: "https://example.com/roles", value: []string{"a"}, roles: "a"},
		{name: "one text", claim: "cognito:groups", value: "a b", roles: "a b"},
		{name: "object", claim: "urn:zitadel:iam:org:project:roles", value: object{"a": object{"1": "x"}}, roles: "a"},
		{name: "many members", claim: "urn:zitadel:iam:org:project:roles", value: manyMembers(200), roles: strings.Join(slices.Sorted(maps.Keys(manyMembers(200))), " ")},
		{name: "many members on the way", claim: "realm_access", value: with200(object{"roles": []string{"a"}}), roles: "a"},
		{name: "too many members", claim: "urn:zitadel:iam:org:project:roles", value: manyMembers(1025), want: "unusable_claims"},
		{name: "object of switches", claim: "urn:zitadel:iam:org:project:roles",
			value: object{"a": true, "b": false, "c": nil, "d": 0, "e": "", "f": object{}, "g": 1}, roles: "a f g"},
		{name: "object of switches that are off", claim: "urn:zitadel:iam:org:project:roles", value: object{"admin": false}},
		{name: "another spelling of a nested name", claim: "realm_access", value: object{"Roles": []string{"admin"}}},
		{name: "names of JavaScript objects", claim: "realm_access", value: object{"__proto__": object{"roles": []string{"admin"}}}},
		{name: "list with a number", claim: "permissions", value: []any{"p", 1}, want: "unusable_claims"},
		{name: "list in a list", claim: "permissions", value: []any{[]string{"p"}}, want: "unusable_claims"},
		{name: "permissions", claim: "permissions", value: []string{"p"}, permissions: "p"},
		{name: "organization", claim: "org", value: object{"id": "o1", "name": "Org"}, orgs: "o1 Org"},
		{name: "name without organization", claim: "org", value: object{"name": "Org"}},
		{name: "null", claim: "permissions", value: nil},
		{name: "empty list", claim: "permissions", value: []string{}},
		{name: "empty text", claim: "permissions", value: []string{""}},
		{name: "list of numbers", claim: "permissions", value: []int{1}, want: "unusable_claims"},
		{name: "number", claim: "permissions", value: 5, want: "unusable_claims"},
		{name: "text in place of an object", claim: "realm_access", value: "roles", want: "unusable_claims"},
		{name: "number in place of a text", claim: "org", value: object{"id": 7}, want: "unusable_claims"},
		{name: "too many", claim: "permissions", value: manyTexts(1025), want: "unusable_claims"},
	} {
		p := is.provider()
		p.Claims = names
		id, why := identityFor(t, gatehouse.Config{Provider: p}, is.token(resource, testissuer.Claim(test.claim, test.value)))
		org := strings.TrimSpace(id.Organization.ID + " " + id.Organization.Name)
		if why != test.want || strings.Join(id.Roles, " ") != test.roles || strings.Join(id.Permissions, " ") != test.permissions || org != test.orgs {
			t.Errorf("%s: got %q, roles %q, permissions %q, organization %q", test.name, why, id.Roles, id.Permissions, org)
		}
	}
}

func manyMembers(n int) map[string]any {
	out := make(map[string]any, n)
	for _, name := range manyTexts(n) {
		out[name] = true
	}
	return out
}

func with200(members map[string]any) map[string]any {
	out := manyMembers(200)
	maps.Copy(out, members)
	return out
}

func manyTexts(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint(i)
	}
	return out
}

// With ScopePrefix, challenges and metadata have the long form, and tokens the short one.
func TestScopePrefix(t *testing.T) {
	is := newIssuer(t)
	p := is.provider()
	p.ScopePrefix, p.ScopesSupported = "api://0f5a/", []string{"read", "openid"}
	cfg := gatehouse.Config{
		Resource: resource, Provider: p, Logger: quiet(),
		RequiredScopes: []string{"read"}, Requirements: []gatehouse.Requirement{{Tool: "write", Require: gatehouse.Require{Scopes: []string{"api://0f5a/write"}}}},
	}
	guard, err := gatehouse.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close()
	handler := guard.Wrap(behind)
	for _, test := range []struct {
		scope, tool string
		status      int
		challenge   string
	}{
		{"read write", "write", 200, ""},
		{"read", "other", 200, ""},
		{"read", "write", 403, `scope="api://0f5a/read openid api://0f5a/write"`},
		{"write", "other", 403, `scope="api://0f5a/read openid api://0f5a/write"`},
		{"read api://other/write", "write", 403, `scope="api://0f5a/read openid api://other/write api://0f5a/write"`},
		{"read write\topenid", "write", 403, `scope="api://0f5a/read openid api://0f5a/write"`},
		{"api://0f5a/read write", "write", 403, `scope="api://0f5a/read openid api://0f5a/write"`},
	} {
		resp := send(handler, request{header: bearer(is.token(resource, testissuer.Claim("scope", test.scope))), body: call(test.tool)})
		if got := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != test.status || !strings.Contains(got, test.challenge) {
			t.Errorf("%q for %s: got %d and %s, want %d and %s", test.scope, test.tool, resp.StatusCode, got, test.status, test.challenge)
		}
	}
	resp := send(handler, request{})
	if got := resp.Header.Get("WWW-Authenticate"); !strings.Contains(got, `scope="api://0f5a/read openid"`) {
		t.Errorf("first challenge: %s", got)
	}
	metadata := body(t, send(guard.MetadataHandler(), request{method: http.MethodGet, target: "/.well-known/oauth-protected-resource"}))
	if !strings.Contains(metadata, `"scopes_supported":["api://0f5a/read","openid"]`) {
		t.Errorf("metadata: %s", metadata)
	}
}

// TestTenants checks that only the listed tenants are accepted, and that the metadata names them.
func TestTenants(t *testing.T) {
	is := newIssuer(t)
	p := is.provider()
	p.Issuer, p.Tenants = is.URL()+"/{tenantid}/v2.0", []string{"one", "two"}
	p.TokenIssuers = []string{is.URL() + "/{tenantid}/v2.0", is.URL() + "/v1/{tenantid}/"}
	for issuer, want := range map[string]gatehouse.Reason{
		"/one/v2.0":        "",
		"/two/v2.0":        "",
		"/v1/two/":         "",
		"/three/v2.0":      "wrong_issuer",
		"/{tenantid}/v2.0": "wrong_issuer",
		"/one/v2.0/":       "wrong_issuer",
		"":                 "wrong_issuer",
	} {
		if _, why := identityFor(t, gatehouse.Config{Provider: p}, is.token(resource, testissuer.Claim("iss", is.URL()+issuer))); why != want {
			t.Errorf("issuer %s: got reason %q, want %q", issuer, why, want)
		}
	}
	guard, err := gatehouse.New(gatehouse.Config{Resource: resource, Provider: p, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close()
	if got, want := authorizationServers(t, guard), []string{is.URL() + "/one/v2.0", is.URL() + "/two/v2.0"}; !slices.Equal(got, want) {
		t.Errorf("authorization servers %q, want %q", got, want)
	}
}

func authorizationServers(t *testing.T, guard *gatehouse.Guard) []string {
	t.Helper()
	resp := send(guard.MetadataHandler(), request{method: http.MethodGet, target: "/.well-known/oauth-protected-resource"})
	var document struct {
		AuthorizationServers []string `json:"authorization_servers"`
	}
	if err := json.Unmarshal([]byte(body(t, resp)), &document); err != nil {
		t.Fatal(err)
	}
	return document.AuthorizationServers
}

// TestOpaqueRouting checks which provider is asked about a token that is not a JWT.
func TestOpaqueRouting(t *testing.T) {
	is := newIssuer(t)
	var asked string
	asks := func(name string) func(context.Context, string) (json.RawMessage, error) {
		return func(_ context.Context, token string) (json.RawMessage, error) {
			asked = name
			return json.RawMessage(`{"active":true,"iss":"https://` + name + `.example.com","sub":"user_1","client_id":"c","aud":"` + resource + `","exp":4102444800}`), nil
		}
	}
	opaque := func(name string, only bool, prefixes ...string) gatehouse.Provider {
		p := gatehouse.OIDC("https://" + name + ".example.com")
		p.Introspect, p.OpaqueOnly, p.OpaquePrefixes = asks(name), only, prefixes
		return p
	}
	one := []gatehouse.Provider{opaque("one", false, "oat_")}
	all := []gatehouse.Provider{is.provider(), opaque("one", false, "oat_"), opaque("two", true)}
	jwt := is.token(resource)
	for _, test := range []struct {
		name      string
		providers []gatehouse.Provider
		token     string
		asked     string
		want      gatehouse.Reason
	}{
		{"prefix", one, "oat_1", "one", ""},
		{"prefix of what looks like a JWT", one, "oat_a.b.c", "one", ""},
		{"another prefix", one, "ory_1", "", "opaque"},
		{"prefix among several", all, "oat_1", "one", ""},
		{"no prefix among several", all, "ory_1", "two", ""},
		{"JWT among several", all, jwt, "", ""},
		{"JWT of a provider without JWTs", all, is.token(resource, testissuer.Claim("iss", "https://two.example.com")), "", "wrong_issuer"},
		{"JWT of a provider that has both, by another's key", all, is.token(resource, testissuer.Claim("iss", "https://one.example.com")), "", "provider_unavailable"},
		{"only opaque tokens", []gatehouse.Provider{opaque("two", true)}, "a.b.c", "two", ""},
	} {
		asked = ""
		cfg := gatehouse.Config{Providers: test.providers, HTTPClient: &http.Client{Transport: onlyLoopback{}}}
		id, why := identityFor(t, cfg, test.token)
		if asked != test.asked || why != test.want {
			t.Errorf("%s: asked %q, reason %q, want %q and %q", test.name, asked, why, test.asked, test.want)
		}
		if test.asked != "" && id.Principal() != "https://"+test.asked+".example.com|user_1" {
			t.Errorf("%s: got principal %s", test.name, id.Principal())
		}
	}
	// An answer about a token of another issuer is rejected.
	wrong := opaque("one", false, "oat_")
	wrong.Introspect = asks("two")
	if _, why := identityFor(t, gatehouse.Config{Providers: []gatehouse.Provider{wrong, opaque("two", true)}}, "oat_1"); why != "wrong_issuer" {
		t.Errorf("an answer of another issuer: got reason %q", why)
	}
}

// onlyLoopback is a transport without a network.
type onlyLoopback struct{}

func (onlyLoopback) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "http" {
		return nil, errors.New("no network")
	}
	return http.DefaultTransport.RoundTrip(r)
}

// A token that is accepted by static keys or by a shared secret is accepted without a fetch.
func TestStaticKeys(t *testing.T) {
	is := newIssuer(t)
	p := gatehouse.OIDC(is.URL())
	p.PublicKeys = []byte(testissuer.JWKS(is.Keys()...))
	cfg := gatehouse.Config{Provider: p, HTTPClient: &http.Client{Transport: noNetwork{t}}}
	if _, why := identityFor(t, cfg, is.token(resource)); why != "" {
		t.Errorf("got reason %q", why)
	}
	is.Publish(testissuer.NewKey("key-2"))
	if _, why := identityFor(t, cfg, is.token(resource)); why != "unknown_key" {
		t.Errorf("another key: got reason %q", why)
	}
}

// TestUnknownKeyIsNamed sends a token with an unknown key right after the keys were fetched, so that
// they are not fetched again. The rejection names the key.
func TestUnknownKeyIsNamed(t *testing.T) {
	is := newIssuer(t)
	removed := is.token(resource, testissuer.Claim("iat", time.Now().Add(-time.Hour).Unix()))
	is.Publish(testissuer.NewKey("key-2"))
	var got []gatehouse.Rejection
	guard := newGuard(t, is, func(cfg *gatehouse.Config) {
		cfg.OnReject = func(_ *http.Request, r gatehouse.Rejection) { got = append(got, r) }
	})
	handler := guard.Wrap(http.NotFoundHandler())
	send(handler, request{header: bearer(is.token(resource)), body: call("write")}) // the control, which fetches the keys
	for range 2 {
		send(handler, request{header: bearer(removed), body: call("write")})
	}
	if len(got) != 2 {
		t.Fatalf("got %d rejections, want 2: %v", len(got), got)
	}
	for _, r := range got {
		if want := `token key "key-1" is not one of the issuer's`; r.Reason != "unknown_key" || !strings.HasPrefix(r.Err.Error(), want) {
			t.Errorf("got %s, %v, want unknown_key, %s", r.Reason, r.Err, want)
		}
	}
}

// noNetwork fails the test if a request is sent.
type noNetwork struct{ t *testing.T }

func (n noNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Errorf("%s was requested", r.URL)
	return nil, errors.New("no network")
}

// Each weaker choice is named at start, and a provider without one has no warning.
func TestRisks(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*gatehouse.Provider)
		want   string
	}{
		"control":       {func(*gatehouse.Provider) {}, ""},
		"own risk":      {func(p *gatehouse.Provider) { p.Risks = []string{"the audience is the whole project"} }, "the audience is the whole project"},
		"audience":      {func(p *gatehouse.Provider) { p.Tokens.Audience = gatehouse.AudienceIfPresent }, "tokens without an audience are accepted"},
		"bound clients": {func(p *gatehouse.Provider) { p.Tokens.BoundClients = []string{"c"} }, "name no server"},
		"bound clients and scopes": {func(p *gatehouse.Provider) {
			p.Tokens.BoundClients, p.Tokens.BoundScopePrefix = []string{"c"}, "x/"
		}, ""},
		"shared secret": {func(p *gatehouse.Provider) { p.SharedSecret = "a secret of at least thirty-two bytes" }, "signed with a shared secret"},
		"type":          {func(p *gatehouse.Provider) { p.Tokens.Types = []string{"JWT"} }, `the type ["JWT"]`},
		"no type":       {func(p *gatehouse.Provider) { p.Tokens.Types = []string{""} }, `the type [""]`},
		"type and a required claim": {func(p *gatehouse.Provider) {
			p.Tokens.Types, p.Tokens.RequiredClaims = []string{"JWT"}, []string{"scope"}
		}, ""},
	} {
		p := gatehouse.OIDC("https://issuer.example.com")
		test.change(&p)
		guard, err := gatehouse.New(gatehouse.Config{Resource: "https://mcp.example.com/mcp", Provider: p, Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(guard.Warnings(), "\n")
		if !strings.Contains(got, test.want) || test.want == "" && got != "" {
			t.Errorf("%s: got warnings %q, want %q in them", name, got, test.want)
		}
		guard.Close()
	}
}
