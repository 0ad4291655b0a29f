package gatehouse_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A name that the server does not list is logged once, with the nearest listed name.
func TestUnlistedRequirements(t *testing.T) {
	var log bytes.Buffer
	scopes := []string{"s"}
	guard := newGuard(t, newIssuer(t), func(cfg *gatehouse.Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		cfg.Requirements = []gatehouse.Requirement{
			{Tool: "wriet", Require: gatehouse.Require{Scopes: scopes}},
			{Tool: "write", Require: gatehouse.Require{Scopes: scopes}},
			{Tool: "unlike-any-other", Require: gatehouse.Require{Scopes: scopes}},
			{Prompt: "drafts", Require: gatehouse.Require{Scopes: scopes}},
			{Resource: "notes://all", Require: gatehouse.Require{Scopes: scopes}},
			{Resource: "notes://item/1", Require: gatehouse.Require{Scopes: scopes}}, // served by the template
			{Resource: "notes://al", Require: gatehouse.Require{Scopes: scopes}},
			{ResourceTemplate: "notes://item/{id}", Require: gatehouse.Require{Scopes: scopes}},
			{ResourceTemplate: "notes://{id}", Require: gatehouse.Require{Scopes: scopes}}, // matches notes://all
			{ResourceTemplate: "notes://itme/{id}", Require: gatehouse.Require{Scopes: scopes}},
		}
	})
	session := connectTo(t, listingServer(guard))
	if got := guard.UnlistedRequirements(); got != nil {
		t.Errorf("before any list: got %q", got)
	}
	list := func() {
		ctx := t.Context()
		var err1 error
		for _, err := range session.Tools(ctx, nil) { // every page
			err1 = errors.Join(err1, err)
		}
		_, err2 := session.ListPrompts(ctx, nil)
		_, err3 := session.ListResources(ctx, nil)
		_, err4 := session.ListResourceTemplates(ctx, nil)
		for _, err := range []error{err1, err2, err3, err4} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	list()
	list()
	want := []string{
		`Requirements[0]: tool "wriet"`,
		`Requirements[2]: tool "unlike-any-other"`,
		`Requirements[3]: prompt "drafts"`,
		`Requirements[6]: resource "notes://al"`,
		`Requirements[9]: resource template "notes://itme/{id}"`,
	}
	if got := guard.UnlistedRequirements(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != len(want) {
		t.Fatalf("got %d lines, want %d:\n%s", len(lines), len(want), log.String())
	}
	for i, nearest := range []string{"write", "", "draft", "notes://all", "notes://item/{id}"} {
		if got := lines[i]; !strings.Contains(got, "level=ERROR") || strings.Contains(got, "nearest=") != (nearest != "") ||
			!strings.HasSuffix(got, nearest) {
			t.Errorf("line %d is %s, want it to end in %q", i, got, nearest)
		}
	}
}

// A requirement that is declared after a list was seen is compared with the next one.
func TestUnlistedRequirementThatIsDeclaredLater(t *testing.T) {
	guard := newGuard(t, newIssuer(t))
	session := connectTo(t, listingServer(guard))
	require := gatehouse.Require{Scopes: []string{"s"}}
	guard.ProtectPrompt(&mcp.Prompt{Name: "draft"}, require)
	want := ""
	for _, name := range []string{"drafts", "darft"} {
		guard.ProtectPrompt(&mcp.Prompt{Name: name}, require)
		if _, err := session.ListPrompts(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		want += `declared with Protect: prompt "` + name + `" `
		if got := strings.Join(guard.UnlistedRequirements(), " ") + " "; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := guard.Stats().UnlistedRequirements; got != 2 {
		t.Errorf("Stats: got %d, want 2", got)
	}
}

// Adapters and gateways report the lists of other servers, page by page.
func TestNoteListed(t *testing.T) {
	require := gatehouse.Require{Scopes: []string{"s"}}
	type page struct {
		method string
		names  []string
		last   bool
	}
	for _, test := range []struct {
		name  string
		pages []page
		want  string
	}{
		{"nothing", nil, ""},
		{"tools", []page{{"tools/list", []string{"write"}, true}}, `tool "wriet"`},
		{"no tools", []page{{"tools/list", nil, true}}, `tool "write" tool "wriet"`},
		{"two pages", []page{{"tools/list", []string{"write"}, false}, {"tools/list", []string{"x"}, true}}, `tool "wriet"`},
		{"the first of two pages", []page{{"tools/list", []string{"x"}, false}}, ""},
		{"prompts", []page{{"prompts/list", []string{"draft"}, true}}, ""},
		{"other prompts", []page{{"prompts/list", []string{"x"}, true}}, `prompt "draft"`},
		{"resources alone", []page{{"resources/list", nil, true}}, ""},
		{"templates alone", []page{{"resources/templates/list", nil, true}}, ""},
		{
			"neither resources nor templates", []page{{"resources/list", nil, true}, {"resources/templates/list", nil, true}},
			`resource "notes://item/1" resource template "notes://{id}"`,
		},
		{
			"a template for the resource",
			[]page{{"resources/templates/list", []string{"notes://item/{n}"}, true}, {"resources/list", nil, true}},
			`resource template "notes://{id}"`,
		},
		{
			"a resource that the template matches",
			[]page{{"resources/list", []string{"notes://all", "notes://item/1"}, true}, {"resources/templates/list", nil, true}}, "",
		},
		{"another method", []page{{"tools/call", []string{"x"}, true}}, ""},
	} {
		guard := newGuard(t, newIssuer(t), func(cfg *gatehouse.Config) {
			for _, r := range []gatehouse.Requirement{
				{Tool: "write"}, {Tool: "wriet"}, {Prompt: "draft"}, {Resource: "notes://item/1"}, {ResourceTemplate: "notes://{id}"},
			} {
				r.Require = require
				cfg.Requirements = append(cfg.Requirements, r)
			}
		})
		for range 2 { // the second time changes nothing
			for _, p := range test.pages {
				guard.NoteListed(p.method, p.names, p.last)
			}
		}
		var got []string
		for _, name := range guard.UnlistedRequirements() {
			got = append(got, name[strings.Index(name, ": ")+2:])
		}
		if joined := strings.Join(got, " "); joined != test.want {
			t.Errorf("%s: got %s, want %s", test.name, joined, test.want)
		}
	}
}

// listingServer has tools on two pages, a prompt, a resource and a resource template.
func listingServer(guard *gatehouse.Guard) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, &mcp.ServerOptions{PageSize: 1})
	tool := func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{}, nil, nil
	}
	mcp.AddTool(server, &mcp.Tool{Name: "aaa"}, tool)
	mcp.AddTool(server, &mcp.Tool{Name: "write"}, tool)
	server.AddPrompt(&mcp.Prompt{Name: "draft"}, nil)
	server.AddResource(&mcp.Resource{URI: "notes://all", Name: "all"}, nil)
	server.AddResourceTemplate(&mcp.ResourceTemplate{URITemplate: "notes://item/{id}", Name: "item"}, nil)
	server.AddReceivingMiddleware(guard.Middleware())
	return server
}
