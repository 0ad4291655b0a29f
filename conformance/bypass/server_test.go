package bypass

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The newest revision of MCP, which has no sessions, and the newest one that has them.
const (
	stateless = "2026-07-28"
	stateful  = "2025-11-25"
)

// style is how the requirements of a server are declared.
type style string

const (
	protect   style = "Protect"        // with ProtectTool and its relatives
	byName    style = "by name"        // with Config.Requirements
	denying   style = "DenyUndeclared" // with ProtectTool, and Config.DenyUndeclared
	byDefault style = "Default"        // what needs the scope docs:write has no declaration but Config.Default
)

var styles = []style{protect, byName, denying, byDefault}

// scope is what most protected operations require.
const scope = "docs:write"

// world is a server of the go-sdk behind a guard, in both eras at one URL.
type world struct {
	style  style
	issuer *testissuer.Issuer
	guard  *gatehouse.Guard
	mcp    *mcp.Server
	url    string // of the endpoint
	base   string // origin
	log    testlog.Buffer

	declared []declaration

	mu       sync.Mutex
	reached  []string
	sessions map[string]string // by user
}

// options change a world before it starts.
type options struct {
	configure         func(*gatehouse.Config)
	withoutMiddleware bool
	withoutWrap       bool // the guard's checks run in the MCP layer only
	public            bool // something is Public: see publicDeclarations
}

// declaration is what one operation requires.
type declaration struct {
	kind, name string
	require    gatehouse.Require
}

// write is the requirement that Config.Default has in the style byDefault.
var write = gatehouse.Require{Scopes: []string{scope}}

func (d declaration) isDefault() bool {
	return len(d.require.Scopes) == 1 && d.require.Scopes[0] == scope && d.require.AnyOf == nil && d.require.Check == nil
}

var declarations = []declaration{
	{"tool", "delete", write},
	{"prompt", "draft", write},
	{"resource", "docs://secret", write},
	{"template", "docs://team/{name}", write},
	{"tool", "admin", gatehouse.Require{Roles: []string{"admin"}}},
	{"tool", "person", gatehouse.Require{Person: true}},
	{"tool", "organization", gatehouse.Require{Organization: true}},
	{"tool", "either", gatehouse.Require{AnyOf: []gatehouse.Require{
		{Roles: []string{"admin"}}, {Roles: []string{"editor"}, Scopes: []string{"docs:edit"}},
	}}},
	{"tool", "implied", gatehouse.Require{Scopes: []string{"loop:c"}}},
	{"tool", "panics", gatehouse.Require{Check: func(context.Context, gatehouse.Identity) error { panic("out of order") }}},
	{"tool", "waits", gatehouse.Require{Check: func(ctx context.Context, id gatehouse.Identity) error {
		if id.HasScope(scope) {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		<-ctx.Done()
		return ctx.Err()
	}}},
	{"tool", "rejects", gatehouse.Require{Check: func(_ context.Context, id gatehouse.Identity) error {
		if id.HasScope(scope) {
			return nil
		}
		return errors.New("not this caller")
	}}},
	{"tool", "open", gatehouse.Require{SignedIn: true}},
	{"prompt", "greeting", gatehouse.Require{SignedIn: true}},
	{"resource", "docs://open", gatehouse.Require{SignedIn: true}},
	{"template", "files://{+path}", gatehouse.Require{SignedIn: true}},
	{"template", "docs://{+path}", gatehouse.Require{SignedIn: true}},
}

// publicDeclarations are those of a world in which something needs no token.
var publicDeclarations = []declaration{
	{"tool", "public", gatehouse.Require{Public: true}},
	{"prompt", "public", gatehouse.Require{Public: true}},
	{"resource", "docs2://public", gatehouse.Require{Public: true}},
	{"template", "public://{+path}", gatehouse.Require{Public: true}},
	{"resource", "public://secret", write}, // which the template matches too
	{"template", "private://public/{+path}", gatehouse.Require{Public: true}},
}

// newWorld starts a server, which stops when t ends.
func newWorld(t *testing.T, s style, o options) *world {
	t.Helper()
	w := &world{style: s, issuer: testissuer.Start(t), sessions: map[string]string{}, declared: declarations}
	if o.public {
		w.declared = slices.Concat(declarations, publicDeclarations)
	}
	front := httptest.NewUnstartedServer(nil)
	w.base = "http://" + front.Listener.Addr().String()
	w.url = w.base + "/mcp"
	provider := gatehouse.OIDC(w.issuer.URL(), "profile", "email")
	provider.JWKSURL = w.issuer.JWKSURL()
	provider.AllowMachines = true
	provider.Claims = gatehouse.ClaimNames{Roles: []gatehouse.ClaimPath{{"roles"}}, Organization: gatehouse.ClaimPath{"org_id"}}
	cfg := gatehouse.Config{
		Resource:      w.url,
		Provider:      provider,
		ImpliedScopes: map[string][]string{"loop:a": {"loop:b"}, "loop:b": {"loop:a", "loop:c"}, "loop:d": {"loop:d"}},
		Logger:        w.log.Logger(),
	}
	w.declareIn(&cfg)
	if o.configure != nil {
		o.configure(&cfg)
	}
	var err error
	if w.guard, err = gatehouse.New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.guard.Close)
	w.mcp = mcp.NewServer(&mcp.Implementation{Name: "bypass", Version: "1"}, w.serverOptions())
	if !o.withoutMiddleware {
		w.mcp.AddReceivingMiddleware(w.guard.Middleware())
	}
	w.register(t)
	if o.public {
		w.addTool(&mcp.Tool{Name: "undeclared"})
		w.mcp.AddResource(&mcp.Resource{URI: "private://notes", Name: "notes"}, w.read("private://notes"))
	}
	mux := http.NewServeMux()
	if o.withoutWrap {
		mux.Handle("/mcp", bothEras(w.mcp))
	} else {
		w.guard.Mount(mux, bothEras(w.mcp))
	}
	front.Config.Handler = mux
	front.Config.Protocols = new(http.Protocols)
	front.Config.Protocols.SetHTTP1(true)
	front.Config.Protocols.SetUnencryptedHTTP2(true)
	front.Start()
	t.Cleanup(front.CloseClientConnections)
	t.Cleanup(front.Close)
	return w
}

// bothEras serves the stateless revision and those with sessions at one URL.
func bothEras(s *mcp.Server) http.Handler {
	get := func(*http.Request) *mcp.Server { return s }
	newer := mcp.NewStreamableHTTPHandler(get, &mcp.StreamableHTTPOptions{Stateless: true})
	older := mcp.NewStreamableHTTPHandler(get, nil)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Mcp-Protocol-Version") == stateless {
			newer.ServeHTTP(w, r)
		} else {
			older.ServeHTTP(w, r)
		}
	})
}

// declareIn writes the requirements that are declared in the configuration.
func (w *world) declareIn(cfg *gatehouse.Config) {
	switch w.style {
	case byName:
		for _, d := range w.declared {
			r := gatehouse.Requirement{Require: d.require}
			switch d.kind {
			case "tool":
				r.Tool = d.name
			case "prompt":
				r.Prompt = d.name
			case "resource":
				r.Resource = d.name
			case "template":
				r.ResourceTemplate = d.name
			}
			cfg.Requirements = append(cfg.Requirements, r)
		}
	case denying:
		cfg.DenyUndeclared = true
	case byDefault:
		cfg.Default = write
	}
}

// declaresAtRegistration reports whether the operation of d is declared where it is registered.
func (w *world) declaresAtRegistration(d declaration) bool {
	return w.style == protect || w.style == denying || w.style == byDefault && !d.isDefault()
}

// register adds the tools, prompts, resources and templates to the server.
func (w *world) register(t *testing.T) {
	t.Helper()
	for _, d := range w.declared {
		if w.style == byDefault && d.name == "docs://{+path}" {
			continue // it would declare all resources below docs:// as open
		}
		declared := w.declaresAtRegistration(d)
		switch d.kind {
		case "tool":
			tool := &mcp.Tool{Name: d.name}
			if declared {
				tool = w.guard.ProtectTool(tool, d.require)
			}
			w.addTool(tool)
		case "prompt":
			prompt := &mcp.Prompt{Name: d.name}
			if declared {
				prompt = w.guard.ProtectPrompt(prompt, d.require)
			}
			w.mcp.AddPrompt(prompt, w.prompt)
		case "resource":
			resource := &mcp.Resource{URI: d.name, Name: d.name}
			if declared {
				resource = w.guard.ProtectResource(resource, d.require)
			}
			w.mcp.AddResource(resource, w.read(d.name))
		case "template":
			template := &mcp.ResourceTemplate{URITemplate: d.name, Name: d.name}
			if declared {
				template = w.guard.ProtectResourceTemplate(template, d.require)
			}
			w.mcp.AddResourceTemplate(template, w.read(d.name))
		}
	}
}

func (w *world) addTool(tool *mcp.Tool) {
	mcp.AddTool(w.mcp, tool, func(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		w.reach("tool " + req.Params.Name)
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done"}}}, nil, nil
	})
}

func (w *world) prompt(_ context.Context, req *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
	w.reach("prompt " + req.Params.Name)
	return &mcp.GetPromptResult{}, nil
}

func (w *world) read(name string) mcp.ResourceHandler {
	return func(_ context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		w.reach("resource " + name)
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: req.Params.URI, Text: "text"}}}, nil
	}
}

func (w *world) serverOptions() *mcp.ServerOptions {
	return &mcp.ServerOptions{
		PageSize: 3,
		SubscribeHandler: func(_ context.Context, req *mcp.SubscribeRequest) error {
			w.reach("subscription " + req.Params.URI)
			return nil
		},
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
		CompletionHandler: func(_ context.Context, req *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
			w.reach("completion " + req.Params.Ref.Name + req.Params.Ref.URI)
			return &mcp.CompleteResult{Completion: mcp.CompletionResultDetails{Values: []string{"value"}}}, nil
		},
	}
}

func (w *world) reach(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reached = append(w.reached, what)
}

// takeReached returns what was reached since the last call, in order, each once.
func (w *world) takeReached() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.reached
	w.reached = nil
	slices.Sort(out)
	return slices.Compact(out)
}

// token returns a valid access token with the changes.
func (w *world) token(changes ...testissuer.Change) string { return w.issuer.Token(w.url, changes...) }

// Callers: one without the scope, and one with it.
func (w *world) weak() string   { return w.token() }
func (w *world) strong() string { return w.token(testissuer.Claim("scope", "profile email "+scope)) }
