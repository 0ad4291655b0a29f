package gatewayfile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/forwarded"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/yamlfile"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
)

// minimal is a file without anything that has a default.
const minimal = `provider: {name: oidc, issuer: "https://issuer.example.com"}
endpoints:
  - url: https://mcp.example.com/mcp
    upstream: http://localhost:8000
`

// newTestLoader returns a loader of a file with the text, and the variables of the environment.
func newTestLoader(t *testing.T, text string, variables map[string]string) *Loader {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	write(t, path, text)
	l := NewLoader(path, &env.Env{File: variables}, slog.New(slog.DiscardHandler))
	t.Cleanup(l.Close)
	return l
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// load returns what a file with the text says.
func load(t *testing.T, text string, variables map[string]string) *Loaded {
	t.Helper()
	loaded, err := newTestLoader(t, text, variables).Load()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return loaded
}

// faultsOf returns the mistakes of a file with the text, each as "line: problem; fix".
func faultsOf(t *testing.T, text string) []string { t.Helper(); return faultsWith(t, text, nil) }

// faultsWith is faultsOf with variables of the environment.
func faultsWith(t *testing.T, text string, variables map[string]string) []string {
	t.Helper()
	_, err := newTestLoader(t, text, variables).Load()
	return faultTexts(t, err)
}

// faultTexts returns the mistakes that err joins.
func faultTexts(t *testing.T, err error) []string {
	t.Helper()
	var out []string
	var add func(error)
	add = func(err error) {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range joined.Unwrap() {
				add(e)
			}
			return
		}
		var fault *yamlfile.Error
		if !errors.As(err, &fault) {
			t.Fatalf("got the error %v (%T), want a mistake with its line", err, err)
		}
		out = append(out, fmt.Sprintf("%d: %s; %s", fault.Line, fault.Problem, fault.Fix))
	}
	if err != nil {
		add(err)
	}
	return out
}

func TestMinimalFile(t *testing.T) {
	loaded := load(t, minimal, nil)
	e := loaded.Gateway.Endpoints[0]
	if e.Guard.Resource != "https://mcp.example.com/mcp" || e.Upstreams[0].URL.String() != "http://localhost:8000/mcp" {
		t.Errorf("got %s and %s, want the URL and the upstream with its path", e.Guard.Resource, e.Upstreams[0].URL)
	}
	if e.Headers != forwarded.DefaultHeaders() || e.DangerouslyForwardAccessToken || e.ForwardCookies {
		t.Errorf("got %+v, want the safe defaults", e)
	}
}

// The control of settings that need others to take effect.
func TestSettingsWithEffect(t *testing.T) {
	load(t, minimal+`    max_list_bytes: 5000
    principal: true
    headers: {user: ""}
    requirements: [{tool: a, scopes: [x]}]
`, nil)
	load(t, strings.Replace(minimal, "upstream: http://localhost:8000", `upstream: {url: "http://localhost:8000", health_path: /h, health_interval: 1s}`, 1), nil)
}

func TestTemplateIsValid(t *testing.T) { load(t, Template, nil) }

// Each change of a valid file is a mistake that is reported with its line.
func TestFaults(t *testing.T) {
	if got := faultsOf(t, minimal); got != nil {
		t.Fatalf("the control has the mistakes %q", got)
	}
	key := strings.Repeat("k", 32)
	tests := map[string]struct{ old, new, want string }{
		"unknown member":       {"endpoints:", "endpont: 1\nendpoints:", "2: the file has no member \"endpont\"; did you mean endpoints?"},
		"unknown in endpoint":  {"    upstream:", "    colour: red\n    upstream:", "4: an endpoint has no member \"colour\"; use one of url,"},
		"appears twice":        {"    upstream:", "    url: https://x.example.com/mcp\n    upstream:", `4: "url" appears twice; remove one`},
		"no url":               {"- url: https://mcp.example.com/mcp", "- name: x", "3: an endpoint has no url; add url (public URL of the endpoint"},
		"http":                 {"https://mcp.", "http://mcp.", "3: url \"http://mcp.example.com/mcp\" is not https; use https"},
		"no upstream":          {"    upstream: http://localhost:8000\n", "", "3: the endpoint has no upstream; add"},
		"invalid upstream":     {"http://localhost:8000", "localhost:8000", `4: upstream "localhost:8000" is not an http or https URL; write it like`},
		"two kinds":            {"    upstream:", "    upstreams: [http://localhost:1]\n    upstream:", "5: upstream is set in addition to upstreams; write it as one of upstreams"},
		"short accepted key":   {"endpoints:", "session_key: " + key + "\naccepted_session_keys: [" + key + "x, short]\nendpoints:", "3: accepted_session_keys[1] has 5 bytes, want at least 32; set it to random"},
		"accepted keys alone":  {"endpoints:", "accepted_session_keys: [" + key + "]\nendpoints:", "2: accepted_session_keys is set without session_key, so that"},
		"accepted keys, text":  {"endpoints:", "session_key: " + key + "\naccepted_session_keys: " + key + "\nendpoints:", "3: accepted_session_keys is not a list of texts; write it like accepted_session_keys: [\"${NAME}\"], or use accepted_session_keys_file"},
		"accepted keys, lists": {"endpoints:", "session_key: " + key + "\naccepted_session_keys: [[a]]\nendpoints:", "3: accepted_session_keys is not a list of texts; write it like"},
		"unknown provider":     {"name: oidc", "name: oidcc", `1: provider "oidcc" is not known; did you mean oidc?`},
		"no provider":          {"provider: {name: oidc, issuer: \"https://issuer.example.com\"}\n", "", "2: the endpoint has no provider, and neither has the file; add"},
		"provider setting":     {"issuer:", "isuer:", "1: the provider oidc has no member \"isuer\"; did you mean issuer?"},
		"invalid issuer":       {"https://issuer.", "http://issuer.", "1: provider \"http://issuer.example.com\" is not https; use https"},
		"missing in provider":  {"{name: oidc, issuer: \"https://issuer.example.com\"}", "{name: keycloak, realm: x}", "1: provider keycloak: MCP_USE_OAUTH_KEYCLOAK_SERVER_URL is missing;"},
		"variable":             {"https://issuer.example.com", "${NOT_SET}", "1: issuer needs the environment variable NOT_SET, which is not set; set it, also in .env"},
		"variable without end": {"https://issuer.example.com", "${NOT", "1: issuer has ${ without the name of a variable; write it like"},
		"number":               {"    upstream:", "    max_body_bytes: 4MB\n    upstream:", "4: max_body_bytes is \"4MB\", want a whole number; write it in digits"},
		"out of range":         {"    upstream:", "    max_body_bytes: -1\n    upstream:", `4: max_body_bytes "-1" is out of range; use 0 for the default`},
		"duration":             {"    upstream:", "    leeway: 5\n    upstream:", `4: leeway is "5", want a duration; write it with a unit`},
		"long leeway":          {"    upstream:", "    leeway: 5m\n    upstream:", `4: leeway "5m0s" is out of range`},
		"long keep-alive":      {"    upstream:", "    keep_alive: 1m\n    upstream:", `4: keep_alive "1m0s" is out of range; use 1s to 25s, or remove it`},
		"boolean":              {"    upstream:", "    deny_undeclared: \"yes\"\n    upstream:", "4: deny_undeclared is \"yes\", want true or false; write"},
		"list":                 {"    upstream:", "    required_scopes: x\n    upstream:", "4: required_scopes is \"x\", want a list; write"},
		"text":                 {"    upstream:", "    name: 5\n    upstream:", `4: name is "5", want a text; write it in quotes: "5"`},
		"alias":                {"    upstream:", "    name: &x a\n    documentation: *x\n    upstream:", "5: documentation is an alias; write the value itself"},
		"origin":               {"    upstream:", "    allowed_origins:\n      - example.com\n    upstream:", `4: allowed_origins "example.com" is not a web origin`},
		"header":               {"    upstream:", "    headers: {user: X_User}\n    upstream:", `4: headers.user "X_User" has an underscore, which many servers drop; write "X-User"`},
		"no requirement":       {"    upstream:", "    requirements:\n      - tool: a\n    upstream:", `5: requirements[0] requires nothing for tool "a"; set scopes, roles,`},
		"no operation":         {"    upstream:", "    requirements:\n      - scopes: [x]\n    upstream:", "5: requirements[0] names no operation; add one of tool, prompt, resource and resource_template"},
		"scope of the second":  {"    upstream:", "    requirements:\n      - {tool: [a, b], scopes: [x]}\n      - tool: c\n        scopes: [\"x y\"]\n    upstream:", `7: requirements[1].scopes "x y" is not a scope`},
		"template":             {"    upstream:", "    requirements:\n      - {resource: \"n://{x}\", scopes: [x]}\n    upstream:", `5: requirements[0].resource "n://{x}" is a URI template; write resource_template instead of resource`},
		"roles":                {"    upstream:", "    requirements:\n      - {tool: a, roles: [x]}\n    upstream:", "5: requirements[0].roles requires roles, which the access tokens of https://issuer.example.com never contain"},
		"default and deny":     {"    upstream:", "    deny_undeclared: true\n    default: {scopes: [x]}\n    upstream:", "5: default has no effect, because deny_undeclared rejects what it is for"},
		"missing folder":       {"endpoints:", "key_folder: /nonexistent\nendpoints:", `2: key_folder "/nonexistent" cannot be used; create the folder "/nonexistent"`},
		"audit in no folder":   {"endpoints:", "audit: {file: /nonexistent/a}\nendpoints:", `2: file "/nonexistent/a" cannot be opened: no such file or directory; check`},
		"short session key":    {"endpoints:", "session_key: abc\nendpoints:", "2: session_key has 3 bytes, want at least 32; set it to random bytes"},
		"missing secret file":  {"endpoints:", "session_key_file: nope\nendpoints:", `2: session_key_file "nope" cannot be read: no such file or directory; check`},
		"both keys":            {"endpoints:", "session_key: k0123456789012345678901234567890123456789\nsession_key_file: gateway.yaml\nendpoints:", "3: session_key_file is set in addition to session_key; remove one of them"},
		"assertion keys":       {"endpoints:", "assertion_key_file: gateway.yaml\nendpoints:", "2: assertion_key_file"},
		"audit":                {"endpoints:", "audit: {subjects: all}\nendpoints:", `2: subjects is "all"; use one of hash, clear`},
		"empty":                {"  - url: https://mcp.example.com/mcp\n    upstream: http://localhost:8000\n", "  []\n", "2: endpoints is empty; add an endpoint"},
		"same url":             {"    upstream: http://localhost:8000\n", "    upstream: http://localhost:8000\n  - {url: \"https://mcp.example.com/mcp\", upstream: \"http://localhost:1\"}\n", `5: url "https://mcp.example.com/mcp" is also that of the endpoint on line 3`},
		"health path":          {"upstream: http://localhost:8000", "upstream: {url: \"http://localhost:8000\", health_path: health}", `4: health_path "health" does not begin with a slash`},
		"short interval":       {"upstream: http://localhost:8000", "upstream: {url: \"http://localhost:8000\", health_path: /h, health_interval: 1ms}", `4: health_interval "1ms" is too short; use at least 1s`},
		"lists unread":         {"    upstream:", "    max_list_bytes: 5000\n    upstream:", `4: max_list_bytes "5000" has no effect, because lists are passed on unread; remove it`},
		"no header of a user":  {"    upstream:", "    principal: true\n    headers: {user: \"\", assertion: \"\"}\n    upstream:", `4: principal "true" has no effect, because no header names the user; remove it`},
		"h2c and https":        {"upstream: http://localhost:8000", "upstream: {url: \"https://localhost:8000\", h2c: true}", "4: upstream \"https://localhost:8000/mcp\" is https, for which h2c has no effect"},
		"token in two headers": {"    upstream:", "    dangerously_forward_access_token: true\n    headers: {assertion: Authorization}\n    upstream:", `5: headers.assertion "Authorization" is the header of the access token, which dangerously_forward_access_token forwards`},
		"path of the gateway":  {"example.com/mcp", "example.com/healthz", `3: url "https://mcp.example.com/healthz" has a path that the gateway uses already; use a path`},
		"not a mapping":        {minimal, "- a\n", "1: the file is a list, want a mapping; write it as names and values"},
		"not YAML":             {"endpoints:", "endpoints: [", "0: parsing YAML: line"},
		"tab":                  {"    upstream:", "\tupstream:", "4: the line is indented with a tab; indent with spaces"},
		"second document":      {minimal, minimal + "---\nlisten: localhost:3001\n", "5: the file has a second YAML document"},
		"section as a value":   {"endpoints:", "revocations: redis://u:secret@localhost\nendpoints:", "2: the section revocations is a single value, want a mapping; write it as names and values, like revocations: {redis_url: …}"},
		"no issuer":            {"{name: oidc, issuer: \"https://issuer.example.com\"}", "oidc", "1: the provider oidc has no issuer; write it like provider: {name: oidc,"},
		"no secret":            {"name: oidc", "name: introspection, client_id: c", "1: provider introspection: client_secret is missing; set it to the secret of a client that may introspect tokens, or set unauthenticated: true"},
		"no endpoints":         {minimal, "provider: {name: oidc, issuer: https://issuer.example.com}\n", "1: the file has no endpoints; add endpoints (the endpoints, each with"},
		"every tenant":         {"{name: oidc, issuer: \"https://issuer.example.com\"}", "{name: entra, tenant_id: common, client_id: 8eaef023-2b34-4da1-9baa-8bc8c9d6a490, scopes_supported: [x]}", `1: provider entra: tenant_id "common" accepts everyone with a Microsoft account; list the IDs of the tenants whose users may sign in as tenants`},
	}
	for name, test := range tests {
		text := strings.Replace(minimal, test.old, test.new, 1)
		if text == minimal {
			t.Fatalf("%s: nothing was replaced", name)
		}
		got := faultsOf(t, text)
		if len(got) != 1 || !strings.HasPrefix(got[0], test.want) {
			t.Errorf("%s: got %q, want %q\n%s", name, got, test.want, text)
		}
	}
}

// An empty second document is not a mistake: it has no settings that could have no effect.
func TestEmptySecondDocument(t *testing.T) {
	if got := faultsOf(t, minimal+"---\n"); len(got) > 0 {
		t.Errorf("got %q", got)
	}
}

// All mistakes are reported at once, in the order of their lines.
func TestAllFaultsAtOnce(t *testing.T) {
	got := faultsOf(t, "listen: 1\ncolour: red\nprovider: nope\nendpoints:\n  - url: x\n    upstream: y\n    leeway: z\n  - url: http://a.example.com/mcp\n")
	var lines []string
	for _, fault := range got {
		line, _, _ := strings.Cut(fault, ":")
		lines = append(lines, line)
	}
	if want := "1 2 3 5 6 7 8 8"; strings.Join(lines, " ") != want {
		t.Errorf("got mistakes on the lines %q, want %s:\n%s", lines, want, strings.Join(got, "\n"))
	}
}

// A mistake in a secret does not show it.
func TestFaultsShowNoSecrets(t *testing.T) {
	text := strings.Replace(minimal, "endpoints:", "session_key: hunter2\nendpoints:", 1)
	text = strings.Replace(text, "name: oidc, issuer: \"https://issuer.example.com\"", "name: introspection, issuer: x, client_id: y, client_secret: hunter3", 1)
	for _, fault := range faultsOf(t, text) {
		if strings.Contains(fault, "hunter") {
			t.Errorf("%s shows a secret", fault)
		}
	}
}

func TestVariablesAndSecretFiles(t *testing.T) {
	folder := t.TempDir()
	secret := filepath.Join(folder, "key")
	key := strings.Repeat("s", 40)
	write(t, secret, key+"\n")
	text := strings.Replace(minimal, "https://issuer.example.com", "https://${HOST_NAME}.example.com", 1)
	text = strings.Replace(text, "endpoints:", "session_key_file: "+secret+"\nendpoints:", 1)
	text += "    name: \"$${HOME} costs 5$\"\n"
	loaded := load(t, text, map[string]string{"HOST_NAME": "login"})
	guard := loaded.Gateway.Endpoints[0].Guard
	if guard.Provider.Issuer != "https://login.example.com" || guard.ResourceName != "${HOME} costs 5$" {
		t.Errorf("got the issuer %q and the name %q", guard.Provider.Issuer, guard.ResourceName)
	}
	if string(guard.SessionKey) != key {
		t.Error("the session key is not the text of the file without its line break")
	}
	before, err := loaded.Read()
	if err != nil {
		t.Fatal(err)
	}
	write(t, secret, strings.Repeat("t", 40))
	if after, _ := loaded.Read(); string(after) == string(before) {
		t.Error("a change of the secret's file is not noticed")
	}
}

// The keys that are accepted in addition to the session key come from the file, a file of their own,
// or the environment.
func TestAcceptedSessionKeys(t *testing.T) {
	old, other := strings.Repeat("o", 32), strings.Repeat("x", 32)
	path := filepath.Join(t.TempDir(), "keys")
	write(t, path, old+"\n"+other+"\n")
	with := func(settings string) string {
		return strings.Replace(minimal, "endpoints:", settings+"\nendpoints:", 1)
	}
	for name, test := range map[string]struct {
		text      string
		variables map[string]string
		want      string
	}{
		"list":        {text: with(`session_key: "${NEW}"` + "\naccepted_session_keys: [\"${OLD}\", " + other + "]"), want: old + other},
		"file":        {text: with(`session_key: "${NEW}"` + "\naccepted_session_keys_file: " + path), want: old + other},
		"environment": {text: minimal, variables: map[string]string{"MCP_SESSION_KEY": "n" + old, "MCP_ACCEPTED_SESSION_KEYS": old + ", " + other}, want: old + other},
		"environment, but the file has a key": {
			text: with(`session_key: "${NEW}"`), variables: map[string]string{"MCP_SESSION_KEY": old, "MCP_ACCEPTED_SESSION_KEYS": other},
		},
	} {
		variables := map[string]string{"OLD": old, "NEW": "n" + old}
		maps.Copy(variables, test.variables)
		guard, got := load(t, test.text, variables).Gateway.Endpoints[0].Guard, ""
		for _, key := range guard.AcceptedSessionKeys {
			got += string(key)
		}
		if string(guard.SessionKey) != "n"+old || got != test.want {
			t.Errorf("%s: the keys are not those that are configured", name)
		}
	}
	l := newTestLoader(t, minimal, map[string]string{"MCP_ACCEPTED_SESSION_KEYS": old})
	if _, err := l.Load(); err == nil || !strings.Contains(err.Error(), "MCP_ACCEPTED_SESSION_KEYS is set without session_key") {
		t.Errorf("the variable alone: Load = %v, want a mistake", err)
	}
}

// What a process leaves to chance stays the same when the file is loaded again.
func TestLoadAgain(t *testing.T) {
	l := newTestLoader(t, minimal+"  - {url: \"https://mcp.example.com/two\", upstream: \"http://localhost:8001\"}\n", nil)
	first, err := l.Load()
	if err != nil {
		t.Fatal(err)
	}
	write(t, l.path, strings.Replace(minimal, "8000", "9000", 1)+"  - {url: \"https://mcp.example.com/two\", upstream: \"http://localhost:8001\"}\n")
	second, err := l.Load()
	if err != nil {
		t.Fatal(err)
	}
	a, b := first.Gateway.Endpoints, second.Gateway.Endpoints
	if string(a[0].Guard.SessionKey) != string(b[0].Guard.SessionKey) || len(a[0].Guard.SessionKey) < 32 {
		t.Error("the session key has changed")
	}
	if a[0].Guard.KeyFile != b[0].Guard.KeyFile {
		t.Error("the file of the provider's keys has changed")
	}
	if a[0].Identity == b[0].Identity {
		t.Error("an endpoint with another upstream has the same identity")
	}
	if a[1].Identity != b[1].Identity {
		t.Error("an endpoint that is the same has another identity")
	}
	write(t, l.path, "log_requests: true\n"+minimal)
	third, err := l.Load()
	if err != nil {
		t.Fatal(err)
	}
	if third.Gateway.Endpoints[0].Identity == a[0].Identity {
		t.Error("a changed setting of the file changes no endpoint")
	}
}

// Without a folder for temporary files, keys are not stored.
func TestNoTemporaryFolder(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("TMPDIR has no effect")
	}
	folder := t.TempDir()
	for temporary, stored := range map[string]bool{folder: true, filepath.Join(folder, "missing"): false} {
		t.Setenv("TMPDIR", temporary)
		if got := load(t, minimal, nil).Gateway.Endpoints[0].Guard.KeyFile; (got != "") != stored {
			t.Errorf("the file of the keys is %q, want one: %v", got, stored)
		}
	}
}

// Every setting of the file has an effect on the gateway.
func TestSettings(t *testing.T) {
	loaded := load(t, `listen: :8080
provider: {name: oidc, issuer: "https://issuer.example.com", roles_claim: [a, b], insecure_accept_missing_audience: true}
session_key: k0123456789012345678901234567890123456789
log_requests: true
drain_delay: 1s
shutdown_timeout: 2s
audit: {subjects: clear}
endpoints:
  - url: https://mcp.example.com/tools/mcp
    local_path: /mcp
    host_documents: true
    upstreams:
      - http://localhost:8000/a
      - {url: "http://localhost:8001/b", h2c: true, health_path: /h, health_interval: 3s}
    required_scopes: [r]
    requirements:
      - {tool: [a, b], any_of: [{scopes: [x]}, {roles: [y]}]}
      - {prompt: p, signed_in: true}
      - {resource: "n://x", person: true}
      - {resource_template: "n://{x}", scopes: [z]}
      - {tool: c, public: true}
    default: {scopes: [d]}
    show_locked: true
    operation_scopes_only: true
    draft_structured_denials: true
    challenge_in_result: true
    security_schemes: true
    implied_scopes: {w: [r]}
    name: Notes
    documentation: https://example.com
    allowed_origins: [https://app.example.com]
    allowed_headers: [X-Tenant]
    allowed_hosts: [backend]
    leeway: 10s
    max_body_bytes: 1000
    max_sessions: 20
    max_sessions_per_user: 5
    session_timeout: 1m
    header_timeout: 4s
    keep_alive: 5s
    max_list_bytes: 2000
    headers: {user: X-User, email: "", assertion: Authorization}
    principal: true
    forward_cookies: true
`, nil)
	e := loaded.Gateway.Endpoints[0]
	g := e.Guard
	for name, ok := range map[string]bool{
		"listen": loaded.Listen == ":8080", "stop": loaded.Stop == gateway.Stop{Delay: time.Second, Timeout: 2 * time.Second},
		"log_requests": loaded.Gateway.LogRequests, "audit": g.AuditLogger != nil && g.AuditSubjects == gatehouse.AuditSubjectsClear,
		"roles_claim": reflect.DeepEqual(g.Provider.Claims.Roles, []gatehouse.ClaimPath{{"a", "b"}}), "audience": g.Provider.Tokens.Audience == gatehouse.AudienceIfPresent,
		"local_path": g.LocalPath == "/mcp", "host_documents": g.HostDocuments,
		"upstreams": len(e.Upstreams) == 2 && e.Upstreams[0].URL.Path == "/a" && e.Upstreams[1].H2C && e.Upstreams[1].HealthPath == "/h" &&
			e.Upstreams[1].HealthInterval == 3*time.Second,
		"required_scopes": fmt.Sprint(g.RequiredScopes) == "[r]", "default": fmt.Sprint(g.Default.Scopes) == "[d]",
		"requirements": len(g.Requirements) == 6 && g.Requirements[5].Public && g.Requirements[1].Tool == "b" && len(g.Requirements[1].AnyOf) == 2 &&
			g.Requirements[2].Prompt == "p" && g.Requirements[2].SignedIn && g.Requirements[3].Resource == "n://x" && g.Requirements[3].Person &&
			g.Requirements[4].ResourceTemplate == "n://{x}",
		"show_locked": g.ShowLocked, "operation_scopes_only": g.OperationScopesOnly, "draft_structured_denials": g.DraftStructuredDenials, "challenge_in_result": g.ChallengeInResult && g.SecuritySchemes,
		"implied_scopes": fmt.Sprint(g.ImpliedScopes) == "map[w:[r]]", "name": g.ResourceName == "Notes",
		"documentation": g.ResourceDocumentation == "https://example.com", "allowed": fmt.Sprint(g.AllowedOrigins, g.AllowedHeaders, g.AllowedHosts) ==
			"[https://app.example.com] [X-Tenant] [backend]",
		"leeway": g.Leeway == 10*time.Second, "limits": g.MaxBodyBytes == 1000 && g.MaxSessions == 20 && g.MaxSessionsPerUser == 5 &&
			g.SessionTimeout == time.Minute && e.HeaderTimeout == 4*time.Second && e.MaxListBytes == 2000 &&
			e.KeepAlive == 5*time.Second,
		"headers":   e.Headers == forwarded.Headers{User: "X-User", PreferredUsername: "X-Forwarded-Preferred-Username", Groups: "X-Forwarded-Groups", Assertion: "Authorization"},
		"principal": e.Principal, "forward_cookies": e.ForwardCookies,
		"session_key": string(g.SessionKey) == "k0123456789012345678901234567890123456789",
	} {
		if !ok {
			t.Errorf("%s has no effect: %+v", name, e)
		}
	}
}

// A changed file applies, and one with a mistake does not.
func TestWatch(t *testing.T) {
	l := newTestLoader(t, minimal, nil)
	loaded, err := l.Load()
	if err != nil {
		t.Fatal(err)
	}
	initial, err := loaded.Read()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	applied := make(chan error)
	go yamlfile.Watch(ctx, l.path, initial, loaded.Read, func([]byte) error {
		_, err := l.Load()
		applied <- err
		return err
	}, slog.New(slog.DiscardHandler))
	for _, test := range []struct {
		text  string
		valid bool
	}{{strings.Replace(minimal, "8000", "9000", 1), true}, {"colour: red", false}, {minimal, true}} {
		write(t, l.path, test.text)
		if err := <-applied; (err == nil) != test.valid {
			t.Errorf("%q: got %v, want valid: %v", test.text, err, test.valid)
		}
	}
}
