package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The people of the tests: localclerk.SeedUsers in localclerk.SeedOrganizations.
var (
	grace     = gatehousetest.Person{User: "grace", Organization: "analytical-engines"} // a member
	ada       = gatehousetest.Person{User: "ada", Organization: "analytical-engines"}   // an admin
	adaBombe  = gatehousetest.Person{User: "ada", Organization: "bombe-works"}          // a member there
	alan      = gatehousetest.Person{User: "alan", Organization: "bombe-works"}         // an admin
	katherine = gatehousetest.Person{User: "katherine"}                                 // in no organization
)

// fixture is the server of the example, and the local Clerk where its users sign in.
type fixture struct {
	clerk  *gatehousetest.ClerkServer
	server *serve.Server
	store  *store
	url    string
	era    string // revision of MCP that clients use; empty means the newest
}

func start(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{clerk: gatehousetest.Clerk(t)}
	settings := f.clerk.Settings()
	settings.CustomScopes = []string{scopeRead, scopeWrite}
	settings.DefaultScopes = append(settings.DefaultScopes, clerk.OrganizationScope, scopeRead, scopeWrite)
	if err := f.clerk.SetSettings(settings); err != nil {
		t.Fatal(err)
	}
	f.store = open(t, filepath.Join(t.TempDir(), "documents.db"))
	origin := gatehousetest.Serve(t, func(origin string) http.Handler {
		var err error
		f.server, err = newServer(serve.Config{
			URL: origin, Provider: f.clerk.Provider(), Logger: slog.New(slog.DiscardHandler),
		}, f.store, false)
		if err != nil {
			t.Fatal(err)
		}
		return f.server.Handler()
	})
	f.url = origin + "/mcp"
	return f
}

func open(t *testing.T, path string) *store {
	t.Helper()
	s, err := openStore(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// user is a person who is signed in.
type user struct {
	t       *testing.T
	session *mcp.ClientSession
}

func (f *fixture) signIn(t *testing.T, who gatehousetest.Person) user {
	t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: f.url, HTTPClient: f.clerk.SignIn(t, f.url, who),
	}, &mcp.ClientSessionOptions{ProtocolVersion: f.era})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return user{t, session}
}

// try calls a tool and returns its output, or the text of its error.
func (u user) try(tool string, args, out any) (problem string) {
	u.t.Helper()
	result, err := u.session.CallTool(u.t.Context(), &mcp.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		return err.Error()
	}
	if result.IsError {
		return result.Content[0].(*mcp.TextContent).Text
	}
	text, err := json.Marshal(result.StructuredContent)
	if err == nil {
		err = json.Unmarshal(text, out)
	}
	if err != nil {
		u.t.Fatalf("%s: the output: %v", tool, err)
	}
	return ""
}

// call is try for a call that must succeed.
func (u user) call(tool string, args, out any) {
	u.t.Helper()
	if problem := u.try(tool, args, out); problem != "" {
		u.t.Fatalf("%s %v: %s", tool, args, problem)
	}
}

// wantProblem calls a tool, whose error must contain the text want.
func (u user) wantProblem(want, tool string, args any) {
	u.t.Helper()
	if problem := u.try(tool, args, &struct{}{}); !strings.Contains(problem, want) || problem == "" {
		u.t.Errorf("%s %v: got the error %q, want %q in it", tool, args, problem, want)
	}
}

func (u user) create(title string) (document Document) {
	u.t.Helper()
	u.call("create_document", createInput{Title: title, Text: "text of " + title}, &document)
	return document
}

// createShared returns a document that all members of the organization see.
func (u user) createShared(title string) (document Document) {
	u.t.Helper()
	created := u.create(title)
	u.call("share_document", shareInput{created.ID, created.Version, true}, &document)
	return document
}

// titles returns the titles in the first page of the list.
func (u user) titles() (titles []string) {
	u.t.Helper()
	var out listOutput
	u.call("list_documents", listInput{}, &out)
	for _, document := range out.Documents {
		titles = append(titles, document.Title)
	}
	slices.Sort(titles)
	return titles
}

// wantDenied calls a tool with a token that has all scopes, as a client that does not step up. The answer must be 403
// with the text want, and without a challenge.
func (f *fixture) wantDenied(t *testing.T, who gatehousetest.Person, want, tool string, args any) {
	t.Helper()
	who.Scopes = []string{scopeWrite, clerk.OrganizationScope}
	params, err := json.Marshal(mcp.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		t.Fatal(err)
	}
	status, challenge, body := f.post(t, f.clerk.Token(t, f.url, who), "tools/call", string(params))
	if status != http.StatusForbidden || challenge != "" || !strings.Contains(body, want) {
		t.Errorf("%s of %s: got status %d, challenge %q, body %s; want 403 with %q", tool, who.User, status, challenge, body, want)
	}
}

// post sends one message with a token, as a client that does not step up, and returns the answer.
func (f *fixture) post(t *testing.T, token, method, params string) (status int, challenge, body string) {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(params), &members); err != nil {
		t.Fatal(err)
	}
	const revision = "2026-07-28"
	members["_meta"] = map[string]any{
		"io.modelcontextprotocol/protocolVersion":    revision,
		"io.modelcontextprotocol/clientInfo":         map[string]string{"name": "test", "version": "1"},
		"io.modelcontextprotocol/clientCapabilities": map[string]any{},
	}
	message, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": members})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url, bytes.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	name, ok := members["name"].(string)
	if !ok {
		name = members["uri"].(string)
	}
	for header, value := range map[string]string{
		"Authorization": "Bearer " + token, "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"Mcp-Protocol-Version": revision, "Mcp-Method": method, "Mcp-Name": name,
	} {
		req.Header.Set(header, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("WWW-Authenticate"), string(text)
}
