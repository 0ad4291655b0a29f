package conformance

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	insertedPath = "/.well-known/oauth-protected-resource/mcp"
	rootPath     = "/.well-known/oauth-protected-resource"
	oauthPath    = "/.well-known/oauth-authorization-server"
	openIDPath   = "/.well-known/openid-configuration"
)

var discoveryRows = []row{
	{
		id:          "A1",
		level:       "MAY",
		requirement: "Authorization is optional and applies to HTTP only; a server on stdio takes its credentials from the environment",
		revisions:   all,
		test:        testNoAuthorizationWithoutHTTP,
	},
	{
		id:          "A2",
		level:       "MUST",
		requirement: "The server publishes protected resource metadata (RFC 9728)",
		revisions:   since2506,
		test:        testMetadata,
	},
	{
		id:          "A3",
		level:       "MUST",
		requirement: "The metadata names at least one authorization server",
		revisions:   since2506,
		test:        testAuthorizationServers,
	},
	{
		id:          "A4",
		level:       "MUST",
		requirement: "Clients find the metadata through the challenge of a 401 or at a well-known URL",
		revisions:   since2506,
		test:        testMetadataIsFound,
	},
	{
		id:          "A5",
		level:       "MUST",
		requirement: "The metadata is found in all three ways: through the challenge, at the well-known URL of the endpoint's path, and at that of the root",
		revisions:   since2506,
		test:        testMetadataIsEverywhere,
	},
	{
		id:          "A6",
		level:       "MUST",
		requirement: "The metadata's resource is exactly the URL that the client called",
		revisions:   since2506,
		test:        testResourceIsTheURLCalled,
		except:      "the document at the root names the endpoint too, not the origin, so that the server has a single audience",
	},
	{
		id:          "A7",
		level:       "MUST",
		requirement: "The metadata's resource is an absolute URL without fragment or trailing slash; upper case in the configured scheme and host is normalized",
		revisions:   since2506,
		test:        testCanonicalResource,
	},
	{
		id:          "A8",
		level:       "MUST",
		requirement: "The metadata is served on GET with 200 and application/json, and omits empty members",
		revisions:   "RFC 9728 §3.2",
		test:        testMetadataForm,
	},
	{
		id:          "A9",
		level:       "SHOULD",
		requirement: "scopes_supported lists the scopes of basic use, not every scope that exists",
		revisions:   since2511,
		test:        testLeastScopes,
	},
	{
		id:          "A10",
		level:       "SHOULD NOT",
		requirement: "offline_access appears neither in the metadata nor in a challenge",
		revisions:   stateless,
		test:        testNoOfflineAccess,
	},
	{
		id:          "A11",
		level:       "SHOULD",
		requirement: "The optional members of the metadata describe what the server really offers",
		revisions:   "RFC 9728 §2",
		test:        testOtherMembers,
	},
	{
		id:          "A12",
		level:       "SHOULD",
		requirement: "If there are several authorization servers, the preferred one comes first, because clients use the first",
		revisions:   since2506,
		test:        testAuthorizationServers,
	},
	{
		id:          "A13",
		level:       "SHOULD",
		requirement: "The metadata may be cached; rejections and MCP responses may not",
		revisions:   "RFC 9728 §7.10",
		test:        testCaching,
	},
	{
		id:          "A14",
		level:       "SHOULD",
		requirement: "The authorization server's metadata is available at the server's origin, where clients of 2025-03-26 look for it",
		revisions:   "2025-03-26",
		test:        testPassThrough,
	},
	{
		id:          "A15",
		level:       "SHOULD",
		requirement: "That metadata is passed on unchanged and with 200: no redirect, no other issuer, and in an outage the last valid copy",
		revisions:   "2025-03-26",
		test:        testPassThroughIsUnchanged,
	},
	{
		id:          "A16",
		level:       "MUST",
		requirement: "Every OAuth URL is https, except on loopback",
		revisions:   all,
		test:        testHTTPS,
	},
}

func testNoAuthorizationWithoutHTTP(t *testing.T) {
	s := start(t)
	clientTransport, serverTransport := mcp.NewInMemoryTransports()
	if _, err := s.MCP.Connect(t.Context(), serverTransport, nil); err != nil {
		t.Fatal(err)
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), clientTransport, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: openTool})
	if err != nil || result.IsError {
		t.Fatalf("result %+v, error %v; want a call without sign-in", result, err)
	}
	if text, _ := json.Marshal(result.StructuredContent); !strings.Contains(string(text), `"Subject":""`) {
		t.Errorf("the tool saw %s, want no caller", text)
	}
	if result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: notesTool}); err == nil {
		t.Errorf("a tool that requires a scope answered %+v without a caller", result)
	}
	s.wantRejected(t, callTool(openTool), noCredentials)
}

// wantMetadata returns the metadata of s for one of its URLs.
func wantMetadata(s *server, resource string) map[string]any {
	return map[string]any{
		"resource":                 resource,
		"authorization_servers":    []any{s.issuer.URL()},
		"scopes_supported":         []any{"profile", "email"},
		"bearer_methods_supported": []any{"header"},
		"resource_name":            "conformance",
	}
}

// wantDocument checks the metadata that s returns for q.
func (s *server) wantDocument(t *testing.T, q request, resource string) {
	t.Helper()
	if diff := cmp.Diff(wantMetadata(s, resource), s.wantAccepted(t, q).object(t)); diff != "" {
		t.Errorf("%s at %q (-want +got):\n%s", q.target, q.host, diff)
	}
}

func testMetadata(t *testing.T) {
	s := start(t)
	s.wantDocument(t, get(insertedPath), s.URL())
}

func testAuthorizationServers(t *testing.T) {
	s := start(t)
	got := s.wantAccepted(t, get(insertedPath)).object(t)["authorization_servers"]
	if diff := cmp.Diff([]any{s.issuer.URL()}, got); diff != "" {
		t.Errorf("authorization_servers (-want +got):\n%s", diff)
	}
	s.wantCall(t, callTool(openTool).bearer(s.token()))
	s.wantRejected(t, callTool(openTool).bearer(s.token(claim("iss", s.issuer.URL()+"/"))), invalidToken("wrong_issuer"))
}

func testMetadataIsFound(t *testing.T) {
	s := start(t)
	a := s.wantRejected(t, discover(), noCredentials)
	target, ok := strings.CutPrefix(parameters(t, a)["resource_metadata"], s.base)
	if !ok {
		t.Fatalf("resource_metadata is not a URL of %s", s.base)
	}
	s.wantDocument(t, get(target), s.URL())
}

func testMetadataIsEverywhere(t *testing.T) {
	s := start(t)
	testMetadataIsFound(t)
	s.wantDocument(t, get(insertedPath), s.URL())
	s.wantDocument(t, get(rootPath), s.URL())
	if a := s.send(t, get(rootPath+"/other")); a.status != http.StatusNotFound {
		t.Errorf("metadata of another path: status %d, want 404", a.status)
	}
}

func testResourceIsTheURLCalled(t *testing.T) {
	s := start(t)
	_, port, _ := strings.Cut(s.host, ":")
	for _, host := range []string{"localhost:" + port, "127.0.0.1:" + port, "[::1]:" + port} {
		s.wantRejected(t, discover().withHost(host), noCredentials)
		for _, path := range []string{insertedPath, rootPath} {
			s.wantDocument(t, get(path).withHost(host), "http://"+host+"/mcp")
		}
		s.wantCall(t, callTool(openTool).withHost(host).bearer(s.issuer.Token("http://"+host+"/mcp")))
	}
	for _, host := range []string{"evil.example.com", "localhost:1", "LOCALHOST:" + port} {
		s.wantDocument(t, get(insertedPath).withHost(host), s.URL())
	}
}

func testCanonicalResource(t *testing.T) {
	provider := gatehouse.OIDC("https://issuer.example.com")
	for raw, want := range map[string]string{
		"https://mcp.example.com/mcp":     "https://mcp.example.com/mcp",
		"HTTPS://MCP.Example.COM/mcp":     "https://mcp.example.com/mcp",
		"https://mcp.example.com:443/mcp": "https://mcp.example.com/mcp",
		"https://mcp.example.com/":        "https://mcp.example.com",
	} {
		guard, err := gatehouse.New(gatehouse.Config{Resource: raw, Provider: provider})
		if err != nil {
			t.Errorf("New of %q: %v", raw, err)
		} else if guard.Resource() != want {
			t.Errorf("resource of %q is %q, want %q", raw, guard.Resource(), want)
		}
	}
	for raw, wantErr := range map[string]string{
		"/mcp":                            "is not an absolute URL",
		"https://mcp.example.com/mcp#top": "has a fragment",
		"https://mcp.example.com/mcp/":    "has a trailing slash",
	} {
		_, err := gatehouse.New(gatehouse.Config{Resource: raw, Provider: provider})
		if err == nil || !strings.Contains(err.Error(), wantErr) {
			t.Errorf("New of %q: got %v, want %q", raw, err, wantErr)
		}
	}
	s := start(t, func(cfg *serve.Config) { cfg.Path = "/" })
	if s.URL() != s.base {
		t.Errorf("resource of an endpoint at the root is %q, want %q", s.URL(), s.base)
	}
	s.wantDocument(t, get(rootPath), s.base)
	s.wantCall(t, callTool(openTool).withTarget("/").bearer(s.token()))
}

func testMetadataForm(t *testing.T) {
	s := start(t, func(cfg *serve.Config) { cfg.Provider.ScopesSupported = nil })
	for _, path := range []string{insertedPath, rootPath} {
		a := s.send(t, get(path))
		if got := a.header.Get("Content-Type"); a.status != http.StatusOK || got != "application/json" {
			t.Errorf("GET %s: status %d, Content-Type %q", path, a.status, got)
		}
		if scopes, ok := a.object(t)["scopes_supported"]; ok {
			t.Errorf("GET %s: scopes_supported is %v, want it omitted", path, scopes)
		}
		head := s.send(t, request{method: http.MethodHead, target: path})
		got, want := head.header.Get("Content-Length"), a.header.Get("Content-Length")
		if head.status != http.StatusOK || head.body != "" || got != want {
			t.Errorf("HEAD %s: status %d, Content-Length %s, want 200 and %s, as for GET", path, head.status, got, want)
		}
		post := s.send(t, request{method: http.MethodPost, target: path})
		if got := post.header.Get("Allow"); post.status != http.StatusMethodNotAllowed || got != "GET, HEAD, OPTIONS" {
			t.Errorf("POST %s: status %d, Allow %q", path, post.status, got)
		}
	}
}

func testLeastScopes(t *testing.T) {
	s := start(t)
	want := []any{"profile", "email"}
	if diff := cmp.Diff(want, s.wantAccepted(t, get(insertedPath)).object(t)["scopes_supported"]); diff != "" {
		t.Errorf("scopes_supported (-want +got):\n%s", diff)
	}
	// scopes_supported has no scopes that only single tools require.
	s.wantRejected(t, callTool(notesTool).bearer(s.token()), insufficientScope("profile email notes:write"))
}

func testNoOfflineAccess(t *testing.T) {
	s := start(t)
	for _, q := range []request{get(insertedPath), get(rootPath)} {
		if a := s.wantAccepted(t, q); strings.Contains(a.body, "offline_access") {
			t.Errorf("%s: %s", q.target, a.body)
		}
	}
	s.wantRejected(t, discover(), noCredentials)
	provider := gatehouse.OIDC("https://issuer.example.com", "profile", "offline_access")
	_, err := gatehouse.New(gatehouse.Config{Resource: "https://mcp.example.com/mcp", Provider: provider})
	if err == nil || !strings.Contains(err.Error(), `"offline_access" is not a scope of the resource`) {
		t.Errorf("New = %v, want offline_access rejected", err)
	}
}

func testOtherMembers(t *testing.T) {
	s := start(t, func(cfg *serve.Config) {
		guard, err := gatehouse.New(gatehouse.Config{
			Resource:              "https://mcp.example.com/mcp",
			Provider:              cfg.Provider,
			ResourceName:          "Notes",
			ResourceDocumentation: "https://mcp.example.com/docs",
			Logger:                cfg.Logger,
		})
		if err != nil {
			t.Fatal(err)
		}
		cfg.Guard, cfg.Provider, cfg.Requirements = guard, gatehouse.Provider{}, nil
	})
	want := wantMetadata(s, "https://mcp.example.com/mcp")
	want["resource_name"] = "Notes"
	want["resource_documentation"] = "https://mcp.example.com/docs"
	// The server does not offer DPoP, mutual TLS or signed metadata, so the metadata
	// does not mention them.
	if diff := cmp.Diff(want, s.wantAccepted(t, get(insertedPath)).object(t)); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}

func testCaching(t *testing.T) {
	s := start(t)
	for _, path := range []string{insertedPath, rootPath, oauthPath} {
		if got := s.wantAccepted(t, get(path)).header.Get("Cache-Control"); got != "public, max-age=300" {
			t.Errorf("%s: Cache-Control %q, want public, max-age=300", path, got)
		}
	}
	token := s.token()
	s.wantRejected(t, discover(), noCredentials)
	s.wantRejected(t, discover().with("Authorization", "Bearer"), malformedCredentials)
	s.wantRejected(t, callTool(notesTool).bearer(token), insufficientScope("profile email notes:write"))
	s.wantRejected(t, callTool(billingTool).bearer(token), insufficientPermission)
	testAnswersAreNotStored(t, s)
}

func testAnswersAreNotStored(t *testing.T, s *server) {
	t.Helper()
	token := s.token()
	session := s.open(t, token)
	for name, q := range map[string]request{
		"stateless":           callTool(openTool),
		"stateful":            callToolIn(session, openTool),
		"initialize":          initialize(),
		"stateful, malformed": callToolIn(session, openTool).withBody("{"),
	} {
		if got := s.send(t, q.bearer(token)).header.Get("Cache-Control"); !strings.Contains(got, "no-store") {
			t.Errorf("%s: Cache-Control %q, want no-store", name, got)
		}
	}
}

func testPassThrough(t *testing.T) {
	s := start(t)
	a := s.wantAccepted(t, get(oauthPath).with("MCP-Protocol-Version", "2024-11-05"))
	if a.body != s.issuer.Metadata() || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("Content-Type %q\n got %s\nwant %s", a.header.Get("Content-Type"), a.body, s.issuer.Metadata())
	}
	if a := s.send(t, get(openIDPath)); a.status != http.StatusNotFound || a.object(t)["error"] != "not_found" {
		t.Errorf("a document that the issuer does not have: status %d, body %s; want 404", a.status, a.body)
	}
}

func testPassThroughIsUnchanged(t *testing.T) {
	s := start(t)
	want := s.issuer.Metadata()
	for range 5 {
		if a := s.send(t, get(oauthPath)); a.status != http.StatusOK || a.body != want {
			t.Errorf("status %d\n got %s\nwant %s", a.status, a.body, want)
		}
	}
	if got := s.issuer.Requests(testissuer.MetadataPath); got != 1 {
		t.Errorf("%d fetches from the issuer, want one", got)
	}
	s.issuer.SetDown(true)
	if a := s.send(t, get(oauthPath)); a.status != http.StatusOK || a.body != want {
		t.Errorf("in an outage: status %d, body %s; want the last valid copy", a.status, a.body)
	}

	for name, breakIt := range map[string]func(*testissuer.Issuer){
		"outage without a copy":      func(is *testissuer.Issuer) { is.SetDown(true) },
		"metadata of another issuer": func(is *testissuer.Issuer) { is.SetMetadataIssuer("https://evil.example.com") },
	} {
		s := start(t)
		breakIt(s.issuer)
		a := s.send(t, get(oauthPath))
		after := a.header.Get("Retry-After")
		if a.status != http.StatusServiceUnavailable || after == "" || a.object(t)["error"] != "temporarily_unavailable" {
			t.Errorf("%s: status %d, Retry-After %q, body %s", name, a.status, after, a.body)
		}
		if strings.Contains(a.body, "evil") || strings.Contains(a.body, "10.0.0.7") {
			t.Errorf("%s: body %s reveals the internal error", name, a.body)
		}
	}
}

func testHTTPS(t *testing.T) {
	const resource, issuer = "https://mcp.example.com/mcp", "https://issuer.example.com"
	for _, test := range []struct {
		resource, issuer, keys string
		wantField              string // empty means that the configuration is valid
	}{
		{resource, issuer, "", ""},
		{resource, issuer, issuer + "/keys", ""},
		{"http://localhost:3000/mcp", "http://127.0.0.1:4000", "http://[::1]:4000/keys", ""},
		{"http://mcp.example.com/mcp", issuer, "", "Resource"},
		{"http://localhost.example.com/mcp", issuer, "", "Resource"},
		{resource, "http://issuer.example.com", "", "Provider.Issuer"},
		{resource, issuer, "http://issuer.example.com/keys", "Provider.JWKSURL"},
	} {
		provider := gatehouse.OIDC(test.issuer)
		provider.JWKSURL = test.keys
		_, err := gatehouse.New(gatehouse.Config{Resource: test.resource, Provider: provider})
		if got := faultyFields(err); !slices.Equal(got, nonEmpty(test.wantField)) {
			t.Errorf("%q, %q, %q: errors in %q, want %q (%v)", test.resource, test.issuer, test.keys, got, test.wantField, err)
		}
	}
}

// faultyFields returns the fields that a configuration error names.
func faultyFields(err error) []string {
	var fields []string
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			fields = append(fields, faultyFields(e)...)
		}
	} else if fault, ok := err.(*gatehouse.ConfigError); ok {
		fields = append(fields, fault.Field)
	}
	return fields
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}
