package gatehouse_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// resourceRequirements protects one resource of each kind of URI, and a template.
func resourceRequirements(cfg *gatehouse.Config) {
	scopes := []string{"secret"}
	cfg.Requirements = []gatehouse.Requirement{
		{Resource: "notes://secret", Require: gatehouse.Require{Scopes: scopes}},
		{Resource: "https://example.com/a/secret", Require: gatehouse.Require{Scopes: scopes}},
		{Resource: "file:///data/secret", Require: gatehouse.Require{Scopes: scopes}},
		{Resource: "https://example.com/list?kind=secret", Require: gatehouse.Require{Scopes: scopes}},
		{ResourceTemplate: "notes://team/{name}", Require: gatehouse.Require{Scopes: scopes}},
		{ResourceTemplate: "https://example.com/t/{name}{?page}", Require: gatehouse.Require{Scopes: scopes}},
	}
}

// TestSpellingsOfAResource changes one thing of a URI in each row. A URI that reaches a
// protected resource is either recognized, or rejected.
func TestSpellingsOfAResource(t *testing.T) {
	is := newIssuer(t)
	handler := newGuard(t, is, resourceRequirements).Wrap(behind)
	tests := []struct {
		uri    string
		reason string // empty means that the request passes
	}{
		{"notes://secret", "insufficient_scope"},
		{"notes://public", ""},
		{"notes://secrets", ""},
		{"notes://secret/sub", ""},
		{"notes://%73ecret", "resource_spelling"},
		{"notes://%2573ecret", "resource_spelling"},
		{"notes://%252573ecret", "resource_spelling"},
		{"notes://%25252573ecret", "resource_spelling"},
		{"notes://%2525252525252573ecret", "resource_spelling"},
		{"notes://Secret", "resource_spelling"},
		{"NOTES://secret", "resource_spelling"},
		{"notes://secret/", "resource_spelling"},
		{"notes://secret//", "resource_spelling"},
		{"notes:///secret", "resource_spelling"},
		{"notes:secret", "resource_spelling"},
		{"notes:/secret", "resource_spelling"},
		{"notes://x/../secret", "resource_spelling"},
		{"notes://x/%2e%2e/secret", "resource_spelling"},
		{"notes://x%2F..%2Fsecret", "resource_spelling"},
		{"notes://./secret", "resource_spelling"},
		{`notes:\\secret`, "resource_spelling"},
		{`notes://x\..\secret`, "resource_spelling"},
		{"notes://secret?x=1", "resource_spelling"},
		{"notes://secret#x", "resource_spelling"},
		{"notes://secret%23x", "resource_spelling"},
		{"notes://secret%3Fx", "resource_spelling"},
		{"notes://se\\tcret", "resource_spelling"},
		{"notes://secret%00", "resource_spelling"},
		{" notes://secret ", "resource_spelling"},
		{"notes://secret%20", "resource_spelling"},
		{"notes://secret%2520", "resource_spelling"},
		{"notes://secret%20x", ""},
		{"notes://user@secret", "resource_spelling"},

		{"https://example.com/a/secret", "insufficient_scope"},
		{"https://example.com/a/public", ""},
		{"https://example.com/A/secret", ""}, // paths distinguish case
		{"https://secret/a/secret", ""},
		{"https://EXAMPLE.com/a/secret", "resource_spelling"},
		{"HTTPS://example.com/a/secret", "resource_spelling"},
		{"https://example.com:443/a/secret", "resource_spelling"},
		{"https://example.com:8443/a/secret", ""},
		{"https://me@example.com/a/secret", "resource_spelling"},
		{"https://example.com./a/secret", "resource_spelling"},
		{"https://example.com/b/../a/secret", "resource_spelling"},
		{"https://example.com/a//secret", "resource_spelling"},
		{"https://example.com/a%2Fsecret", "resource_spelling"},
		{"https://example.com/a%252Fsecret", "resource_spelling"},
		{"https://example.com/../a/secret", "resource_spelling"},

		{"file:///data/secret", "insufficient_scope"},
		{"file://localhost/data/secret", "resource_spelling"},
		{"file:/data/secret", "resource_spelling"},
		{"file:///data/./secret", "resource_spelling"},
		{"file:///data/other", ""},

		{"https://example.com/list?kind=secret", "insufficient_scope"},
		{"https://example.com/list", ""},
		{"https://example.com/list?kind=public", ""},
		{"https://example.com/list?kind=%73ecret", "resource_spelling"},

		{"notes://team/a", "insufficient_scope"},
		{"notes://team/a%2Fb", "insufficient_scope"},
		{"notes://team/%61", "insufficient_scope"},
		{"notes://team", ""},
		{"notes://other/a", ""},
		{"notes://%74eam/a", "resource_spelling"},
		{"notes://%74eam/a%20b", "resource_spelling"},
		{"notes://%74eam/a%2Fb", "resource_spelling"},
		{"notes://%2574eam/a%252Fb", "resource_spelling"},
		{"notes://team%2Fa", "resource_spelling"},
		{"notes://TEAM/a", "resource_spelling"},
		{"notes://x/../team/a", "resource_spelling"},
		{"notes://team/a?page=2", "resource_spelling"},
		{"https://example.com/t/a?page=2", "insufficient_scope"},
		{"https://example.com/t/a", "insufficient_scope"},

		{"notes://" + strings.Repeat("a", 2048), "resource_spelling"},
		{"notes://" + strings.Repeat("a", 2000), ""},
	}
	for _, test := range tests {
		for _, use := range []string{
			`{"method":"resources/read","params":{"uri":"URI"}}`,
			`{"method":"resources/subscribe","params":{"uri":"URI"}}`,
			`{"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["notes://public","URI"]}}}`,
			`{"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"URI"}}}`,
		} {
			message := strings.ReplaceAll(use, "URI", strings.ReplaceAll(test.uri, `\`, `\\`))
			if strings.Contains(test.uri, `\t`) {
				message = strings.ReplaceAll(use, "URI", test.uri) // an escaped tab
			}
			resp := send(handler, request{body: message, header: bearer(is.token(resource))})
			if want := infoOf(gatehouse.Reason(test.reason)); resp.StatusCode != want.Status {
				t.Errorf("%s: got status %d, want %d (%s)", message, resp.StatusCode, want.Status, test.reason)
			}
		}
		message := `{"method":"resources/read","params":{"uri":"` + strings.ReplaceAll(test.uri, `\`, `\\`) + `"}}`
		allowed := is.token(resource, testissuer.Claim("scope", "secret"))
		if resp := send(handler, request{body: message, header: bearer(allowed)}); test.reason == "insufficient_scope" && resp.StatusCode != 200 {
			t.Errorf("%s with the scope: got status %d, want 200", test.uri, resp.StatusCode)
		}
	}
}

// The text of a template is what a client sends to complete its arguments.
func TestCompletionOfAProtectedTemplate(t *testing.T) {
	is := newIssuer(t)
	handler := newGuard(t, is, resourceRequirements).Wrap(behind)
	for uri, status := range map[string]int{
		"notes://team/{name}": 403, "notes://te%61m/{name}": 400, "notes://{name}": 200,
	} {
		message := `{"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"` + uri + `"}}}`
		if resp := send(handler, request{body: message, header: bearer(is.token(resource))}); resp.StatusCode != status {
			t.Errorf("completion for %s: got status %d, want %d", uri, resp.StatusCode, status)
		}
	}
}

// lenientServer has templates whose handler decodes and cleans the name before it looks it
// up, as real handlers do. It calls reached with the name.
func lenientServer(reached func(name string)) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	read := func(_ context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		name := req.Params.URI
		for range 3 {
			if decoded, err := url.PathUnescape(name); err == nil {
				name = decoded
			}
		}
		name, _, _ = strings.Cut(name, "#")
		name, _, _ = strings.Cut(name, "?")
		_, name, _ = strings.Cut(name, ":")
		reached(strings.ToLower(strings.TrimPrefix(path.Clean("/"+name), "/")))
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{Text: "x"}}}, nil
	}
	for _, template := range []string{"notes://{name}", "notes://{+path}", "notes:{+path}", "notes://team/{name}"} {
		server.AddResourceTemplate(&mcp.ResourceTemplate{URITemplate: template, Name: template}, read)
	}
	return server
}

// FuzzResourceURI sends URIs to a server whose handlers are lenient: without the scope, no
// URI may reach the protected resource, neither through the check of the HTTP request nor
// through the middleware.
func FuzzResourceURI(f *testing.F) {
	is := newIssuer(f)
	token := is.token(resource)
	protect := func(cfg *gatehouse.Config) {
		cfg.Requirements = []gatehouse.Requirement{
			{Resource: "notes://secret", Require: gatehouse.Require{Scopes: []string{"s"}}},
			{ResourceTemplate: "notes://team/{name}", Require: gatehouse.Require{Scopes: []string{"s"}}},
		}
	}
	guarded, open := newGuard(f, is, protect), newGuard(f, is)
	var names []string
	note := func(name string) { names = append(names, name) }
	first, second := lenientServer(note), lenientServer(note)
	second.AddReceivingMiddleware(guarded.Middleware())
	serve := func(guard *gatehouse.Guard, server *mcp.Server) http.Handler {
		options := &mcp.StreamableHTTPOptions{Stateless: true}
		return guard.Wrap(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, options))
	}
	handlers := []http.Handler{serve(guarded, first), serve(open, second)}
	for _, seed := range []string{
		"notes://secret", "notes://%73ecret", "notes://team/a", "notes://a/../secret", "notes:secret", "notes://team%2fa", "notes://public",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if strings.ContainsAny(uri, "\"\\") {
			return
		}
		for i, handler := range handlers {
			names = nil
			body := `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"` + uri + `"}}`
			header := bearer(token)
			header.Set("Content-Type", "application/json")
			header.Set("Accept", "application/json, text/event-stream")
			handler.ServeHTTP(httptest.NewRecorder(), request{body: body, header: header}.make())
			for _, name := range names {
				if member, found := strings.CutPrefix(name, "team/"); name == "secret" || found && member != "" && !strings.Contains(member, "/") {
					t.Errorf("handler %d: %q reached %q", i, uri, name)
				}
			}
		}
		if uri == "notes://public" && len(names) != 1 {
			t.Errorf("the control reached %d handlers, want 1", len(names))
		}
	})
}

func TestRequirementFaults(t *testing.T) {
	is := newIssuer(t)
	const supply = "require Scopes, check them in the tool, name their claim in Provider.Claims, or set Provider.Complete to a function that adds them to the identity"
	scopes := []string{"s"}
	long := "notes://{" + strings.Repeat("a,", 600) + "a}"
	tests := []struct {
		name        string
		requirement gatehouse.Requirement
		want        string // empty means that it is valid
	}{
		{"control", gatehouse.Requirement{ResourceTemplate: "notes://{name}", Require: gatehouse.Require{Scopes: scopes}}, ""},
		{
			"a template as Resource",
			gatehouse.Requirement{Resource: "notes://{name}", Require: gatehouse.Require{Scopes: scopes}},
			`Requirements[0].Resource "notes://{name}" is a URI template; set ResourceTemplate instead of Resource`,
		},
		{
			"not a template",
			gatehouse.Requirement{ResourceTemplate: "notes://{name", Require: gatehouse.Require{Scopes: scopes}},
			`Requirements[0].ResourceTemplate "notes://{name" is not a URI template; write it like "notes://{name}" (RFC 6570)`,
		},
		{
			"no variables",
			gatehouse.Requirement{ResourceTemplate: "notes://name", Require: gatehouse.Require{Scopes: scopes}},
			`Requirements[0].ResourceTemplate "notes://name" has no variables; set Resource instead of ResourceTemplate`,
		},
		{
			"a long template",
			gatehouse.Requirement{ResourceTemplate: long, Require: gatehouse.Require{Scopes: scopes}},
			`Requirements[0].ResourceTemplate is 1211 bytes long, want at most 1024; use a shorter template`,
		},
		{
			"two names",
			gatehouse.Requirement{Tool: "a", Prompt: "b", Require: gatehouse.Require{Scopes: scopes}},
			`Requirements[0] names tool "a" and prompt "b"; write one requirement for each of them`,
		},
		{
			"requires nothing",
			gatehouse.Requirement{Prompt: "b"},
			`Requirements[0] requires nothing for prompt "b"; set Scopes, Roles, Permissions, Organization, Person, AnyOf or Check, or remove the requirement; SignedIn says that a valid token is enough, and Public that none is needed`,
		},
		{
			"roles that no token has",
			gatehouse.Requirement{Tool: "a", Require: gatehouse.Require{Roles: []string{"admin"}}},
			`Requirements[0].Roles requires roles, which the access tokens of ` + is.URL() + ` never contain; ` + supply,
		},
		{
			"permissions that no token has",
			gatehouse.Requirement{Tool: "a", Require: gatehouse.Require{Permissions: []string{"p"}}},
			`Requirements[0].Permissions requires permissions, which the access tokens of ` + is.URL() + ` never contain; ` + supply,
		},
		{
			"an organization that no token has",
			gatehouse.Requirement{Tool: "a", Require: gatehouse.Require{Organization: true}},
			`Requirements[0].Organization requires an organization, which the access tokens of ` + is.URL() + ` never contain; ` + supply,
		},
	}
	for _, test := range tests {
		_, err := gatehouse.New(gatehouse.Config{
			Resource: resource, Provider: is.provider(), Requirements: []gatehouse.Requirement{test.requirement},
		})
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.want != "" && (err == nil || err.Error() != "gatehouse: "+test.want):
			t.Errorf("%s:\n got %v\nwant gatehouse: %s", test.name, err, test.want)
		}
	}
}

// A provider with a Complete function can supply anything, unless it says that it does not.
func TestProviderThatCanSupplyRoles(t *testing.T) {
	is := newIssuer(t)
	for _, noRoles := range []bool{false, true} {
		p := is.provider()
		p.Complete = func(*gatehouse.Identity) error { return nil }
		p.NoRoles = noRoles
		_, err := gatehouse.New(gatehouse.Config{
			Resource: resource, Provider: p, Requirements: []gatehouse.Requirement{{Tool: "a", Require: gatehouse.Require{Roles: []string{"admin"}}}},
		})
		if (err != nil) != noRoles {
			t.Errorf("NoRoles %v: got %v", noRoles, err)
		}
	}
}

func TestBodiesWithManyOperations(t *testing.T) {
	is := newIssuer(t)
	handler := newGuard(t, is, requirements).Wrap(behind)
	listen := func(n int) string {
		uris := strings.TrimSuffix(strings.Repeat(`"notes://one",`, n), ",")
		return `{"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":[` + uris + `]}}}`
	}
	batch := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat("{},", n), ",") + "]" }
	for body, status := range map[string]int{
		batch(256): 200, batch(257): 413, batch(1_300_000): 413, listen(256): 200, listen(257): 413,
		"[" + listen(200) + "," + listen(200) + "]": 413,
		"[" + call("read") + `,{]`:                  400,
	} {
		if resp := send(handler, request{body: body, header: bearer(is.token(resource))}); resp.StatusCode != status {
			t.Errorf("%.40q (%d bytes): got status %d, want %d", body, len(body), resp.StatusCode, status)
		}
	}
	// Without requirements, only the length of a batch counts.
	open := newGuard(t, is).Wrap(behind)
	for body, status := range map[string]int{
		batch(256): 200, batch(257): 413, " \n" + batch(257): 413, batch(1_300_000): 413, listen(257): 200, "[{]": 200, "x": 200,
	} {
		if resp := send(open, request{body: body, header: bearer(is.token(resource))}); resp.StatusCode != status {
			t.Errorf("without requirements, %.40q (%d bytes): got status %d, want %d", body, len(body), resp.StatusCode, status)
		}
	}
}
