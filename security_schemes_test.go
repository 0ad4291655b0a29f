package gatehouse_test

import (
	"encoding/json"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Each tool in a list says what it needs, and the tool of the server is not changed.
func TestSecuritySchemes(t *testing.T) {
	is := newIssuer(t)
	tool := &mcp.Tool{Name: "read", Meta: mcp.Meta{"vendor": "x"}, InputSchema: json.RawMessage(`{"type":"object"}`)}
	for _, test := range []struct {
		name    string
		require gatehouse.Require
		want    string // empty means that the tool has no schemes
	}{
		{"none", gatehouse.Require{}, `[{"type":"oauth2","scopes":["profile"]}]`},
		{"public", gatehouse.Require{Public: true}, `[{"type":"noauth"},{"type":"oauth2","scopes":["profile"]}]`},
		{"signed in", gatehouse.Require{SignedIn: true}, `[{"type":"oauth2","scopes":["profile"]}]`},
		{"scopes", gatehouse.Require{Scopes: []string{"a", "b"}}, `[{"type":"oauth2","scopes":["profile","a","b"]}]`},
		{"role", gatehouse.Require{Roles: []string{"admin"}, Scopes: []string{"a"}}, `[{"type":"oauth2","scopes":["profile","a"]}]`},
		{"organization", gatehouse.Require{Organization: true}, `[{"type":"oauth2","scopes":["profile","org"]}]`},
		{
			"alternatives",
			gatehouse.Require{Scopes: []string{"a"}, AnyOf: []gatehouse.Require{{Scopes: []string{"b"}}, {Scopes: []string{"c"}}}},
			`[{"type":"oauth2","scopes":["profile","a","b"]},{"type":"oauth2","scopes":["profile","a","c"]}]`,
		},
		{
			"alternatives without scopes",
			gatehouse.Require{AnyOf: []gatehouse.Require{{Roles: []string{"admin"}}, {Person: true}}},
			`[{"type":"oauth2","scopes":["profile"]}]`,
		},
	} {
		guard := newGuard(t, is, withRoles, func(cfg *gatehouse.Config) {
			cfg.SecuritySchemes, cfg.ShowLocked, cfg.RequiredScopes = true, true, []string{"profile"}
			cfg.Provider.OrganizationScope = "org"
		})
		if test.name != "none" {
			guard.ProtectTool(tool, test.require)
		}
		server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
		server.AddTool(tool, nil)
		server.AddReceivingMiddleware(guard.Middleware())
		list, err := connectTo(t, server).ListTools(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		meta := list.Tools[0].Meta
		got, _ := json.Marshal(meta["securitySchemes"])
		var want, read any
		json.Unmarshal([]byte(test.want), &want)
		json.Unmarshal(got, &read)
		wantText, _ := json.Marshal(want)
		readText, _ := json.Marshal(read)
		if string(readText) != string(wantText) || meta["vendor"] != "x" {
			t.Errorf("%s: got %v, want %s", test.name, meta, test.want)
		}
		if len(tool.Meta) != 1 {
			t.Fatalf("%s: the tool of the server has %v", test.name, tool.Meta)
		}
	}
	// Without the setting, a list has no schemes.
	guard := newGuard(t, is, requirements)
	list, err := connect(t, guard, func() *auth.TokenInfo { return nil }).ListTools(t.Context(), nil)
	if err != nil || len(list.Tools) == 0 {
		t.Fatalf("got %v, %v", list, err)
	}
	for _, tool := range list.Tools {
		if tool.Meta != nil {
			t.Errorf("%s: got %v", tool.Name, tool.Meta)
		}
	}
}

// The number of schemes is bounded, however many alternatives there are.
func TestSecuritySchemesAreBounded(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is, func(cfg *gatehouse.Config) { cfg.SecuritySchemes = true })
	var alternatives []gatehouse.Require
	for _, scope := range []string{"a", "b", "c", "d", "e", "f"} {
		alternatives = append(alternatives, gatehouse.Require{Scopes: []string{scope}})
	}
	tool := &mcp.Tool{Name: "read"}
	for range 3 {
		guard.ProtectTool(tool, gatehouse.Require{AnyOf: alternatives})
	}
	list, err := connect(t, guard, func() *auth.TokenInfo { return nil }).ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range list.Tools {
		if schemes, _ := tool.Meta["securitySchemes"].([]any); len(schemes) == 0 || len(schemes) > 16 {
			t.Errorf("%s: got %d schemes, want 1 to 16", tool.Name, len(schemes))
		}
	}
}
