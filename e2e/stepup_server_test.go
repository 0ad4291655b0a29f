//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The scopes of the tools, which no client gets at the first sign-in.
const (
	scopeWrite = "documents:write"
	scopeShare = "documents:share"
)

// scopeRule is what an authorization server does when a client asks for a scope that it did
// not register with.
type scopeRule string

const (
	// grantsScopes asks the user and grants it, as most authorization servers do.
	grantsScopes scopeRule = "grants"
	// dropsScopes grants the other scopes and reports no error (RFC 6749 section 3.3).
	dropsScopes scopeRule = "drops"
	// fixedScopes answers invalid_scope, as Clerk does.
	fixedScopes scopeRule = "fixed at registration"
)

// stepUpConfig describes a stepUpServer.
type stepUpConfig struct {
	rule      scopeRule
	guard     gatehouse.Config // further settings
	refresh   bool             // whether every client gets a refresh token, also without offline_access
	clerkLike bool             // whether the provider says that scopes are fixed at registration
	defaults  bool             // whether clients that register without scopes get those of the tools, by rule fixedScopes
	aud       bool             // whether access tokens have the resource as their audience
	late      bool             // whether only openTool exists until declare is called
}

// stepUpServer is an MCP server in this process, some tools of which need more than the first
// sign-in gives, with a local Clerk in which ada and grace can sign in. grace is an admin.
type stepUpServer struct {
	url     string // of the MCP endpoint
	declare func() // adds the other tools, if they are late
	local   *localclerk.Server

	mu     sync.Mutex
	events []string // see take
	states []string // of the authorization requests
}

// startStepUp starts a server.
func startStepUp(t *testing.T, cfg stepUpConfig) *stepUpServer {
	t.Helper()
	s := &stepUpServer{}
	gatehousetest.Serve(t, func(origin string) http.Handler {
		s.local = newStepUpClerk(t, origin, cfg)
		return s.recordClerk(cfg.apply(s.local))
	})
	var output testlog.Buffer
	output.ShowOnFailure(t, "the MCP server")
	logger := slog.New(slog.NewTextHandler(&output, nil))
	origin := gatehousetest.Serve(t, func(origin string) http.Handler {
		guard := cfg.guard
		guard.ShowLocked = true // also tools that need a role, so that pages can call them
		guard.Resource, guard.Provider, guard.Logger = origin+"/mcp", stepUpProvider(s.local, cfg), logger
		return s.recordMCP(s.newHandler(t, guard, cfg.late))
	})
	s.url = origin + "/mcp"
	return s
}

// signingKey is the key of every local Clerk of these tests: making one takes longer than most
// of them.
var signingKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// organizationID returns the ID of the organization with a name, or "".
func (s *stepUpServer) organizationID(name string) string {
	for _, organization := range s.local.Organizations() {
		if organization.Name == name {
			return organization.ID
		}
	}
	return ""
}

func newStepUpClerk(t *testing.T, issuer string, cfg stepUpConfig) *localclerk.Server {
	t.Helper()
	settings := localclerk.DefaultSettings()
	settings.CustomScopes = []string{scopeWrite, scopeShare}
	if cfg.rule != fixedScopes || cfg.defaults {
		settings.DefaultScopes = []string{"profile", "email", "offline_access", "user:org:read", scopeWrite, scopeShare}
	}
	settings.AudClaimEnabled = cfg.aud
	key, err := signingKey()
	if err != nil {
		t.Fatal(err)
	}
	local, err := localclerk.New(localclerk.Config{Issuer: issuer, Settings: &settings, SigningKey: key})
	if err != nil {
		t.Fatal(err)
	}
	return local
}

// apply changes what the local Clerk does with scopes.
func (cfg stepUpConfig) apply(local http.Handler) http.Handler {
	if cfg.rule == fixedScopes {
		return local
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/oauth/register":
			forgetScope(r) // so that the client gets the default scopes, which are all
		case "/oauth/authorize":
			if cfg.rule == dropsScopes {
				changeScope(r, func(scope []string) []string { return without(scope, scopeWrite) })
			}
			if cfg.refresh {
				changeScope(r, func(scope []string) []string { return append(without(scope, "offline_access"), "offline_access") })
			}
		}
		local.ServeHTTP(w, r)
	})
}

// forgetScope removes the scope from a registration.
func forgetScope(r *http.Request) {
	var metadata map[string]any
	if json.Unmarshal(readAgain(r), &metadata) != nil {
		return
	}
	delete(metadata, "scope")
	text, err := json.Marshal(metadata)
	if err != nil {
		return
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
}

// changeScope changes the scope of an authorization request.
func changeScope(r *http.Request, change func([]string) []string) {
	query := r.URL.Query()
	query.Set("scope", strings.Join(change(strings.Fields(query.Get("scope"))), " "))
	r.URL.RawQuery = query.Encode()
}

func without(scopes []string, scope string) []string {
	return slices.DeleteFunc(scopes, func(s string) bool { return s == scope })
}

// maxRecorded bounds the body of a request that is recorded.
const maxRecorded = 1 << 20

// readAgain returns the body of a request, which can be read again.
func readAgain(r *http.Request) []byte {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRecorded))
	if err != nil {
		return nil
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body
}

// stepUpProvider returns the provider of a server. It has roles, unlike that of Clerk.
func stepUpProvider(local *localclerk.Server, cfg stepUpConfig) gatehouse.Provider {
	p := clerk.New(clerk.Config{FrontendAPIURL: local.Issuer()})
	p.ScopesFixedAtRegistration = cfg.clerkLike
	p.NoRoles = false
	complete := p.Complete
	p.Complete = func(id *gatehouse.Identity) error {
		if err := complete(id); err != nil {
			return err
		}
		for _, user := range local.Users() {
			if user.ID == id.Subject && user.Username == grace.username {
				id.Roles = []string{"admin"}
			}
		}
		return nil
	}
	return p
}

// granted is the result of every tool: what the token has.
type granted struct {
	Scopes       []string `json:"scopes"`
	Organization string   `json:"organization"`
}

// openTool is a tool that every signed-in user may call. The others are named for what they need.
const (
	openTool         = "open"
	writeTool        = "write"
	shareTool        = "share"
	adminTool        = "admin"
	organizationTool = "organization"
)

// newHandler returns the MCP server.
func (s *stepUpServer) newHandler(t *testing.T, cfg gatehouse.Config, late bool) http.Handler {
	t.Helper()
	guard, err := gatehouse.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server, err := serve.New(serve.Config{Name: "step-up", Version: "1.0.0", Guard: guard, Logger: cfg.Logger})
	if err != nil {
		t.Fatal(err)
	}
	show := func(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, granted, error) {
		id, ok := gatehouse.IdentityOf(req)
		if !ok {
			return nil, granted{}, errors.New("no identity")
		}
		return nil, granted{slices.Sorted(slices.Values(id.Scopes)), id.Organization.ID}, nil
	}
	add := func(name string, require gatehouse.Require) {
		mcp.AddTool(server.MCP, guard.ProtectTool(&mcp.Tool{Name: name}, require), show)
	}
	add(openTool, gatehouse.Require{SignedIn: true})
	s.declare = func() {
		add(writeTool, gatehouse.Require{Scopes: []string{scopeWrite}})
		add(shareTool, gatehouse.Require{Scopes: []string{scopeShare}})
		add(adminTool, gatehouse.Require{Roles: []string{"admin"}})
		add(organizationTool, gatehouse.Require{Organization: true})
	}
	if !late {
		s.declare()
	}
	return server.Handler()
}

// take returns the recorded events since the last take, in one line. An event is "register",
// "authorize" (each authorization request once, however often its URL is opened), "token" or
// "refresh" at the authorization server, and at the MCP endpoint the name of a tool with the
// status of the answer to its call, such as "write 403".
func (s *stepUpServer) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := strings.Join(s.events, ", ")
	s.events = nil
	return line
}

func (s *stepUpServer) record(event string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, event)
}

func (s *stepUpServer) recordClerk(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "POST /oauth/register":
			s.record("register")
		case "GET /oauth/authorize":
			s.recordAuthorization(r.URL.Query().Get("state"))
		case "POST /oauth/token":
			event := "token"
			if strings.Contains(string(readAgain(r)), "grant_type=refresh_token") {
				event = "refresh"
			}
			s.record(event)
		}
		next.ServeHTTP(w, r)
	})
}

func (s *stepUpServer) recordAuthorization(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.states, state) {
		return
	}
	s.states = append(s.states, state)
	s.events = append(s.events, "authorize")
}

func (s *stepUpServer) recordMCP(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var message struct {
			Method string
			Params struct{ Name string }
		}
		if r.Method == http.MethodPost && json.Unmarshal(readAgain(r), &message) == nil && message.Method == "tools/call" {
			w = &statusRecorder{ResponseWriter: w, record: func(status int) {
				s.record(fmt.Sprintf("%s %d", message.Params.Name, status))
			}}
		}
		next.ServeHTTP(w, r)
	})
}

// statusRecorder records the status of a response before any of it is sent.
type statusRecorder struct {
	http.ResponseWriter
	record func(status int)
	once   sync.Once
}

func (w *statusRecorder) WriteHeader(status int) {
	w.once.Do(func() { w.record(status) })
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusRecorder) Write(p []byte) (int, error) {
	w.once.Do(func() { w.record(http.StatusOK) })
	return w.ResponseWriter.Write(p)
}

// Unwrap is for [http.ResponseController].
func (w *statusRecorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
