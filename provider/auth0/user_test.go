package auth0

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

// requestOf returns the request that a tool receives from a caller whose token has the claims.
func requestOf(t *testing.T, p gatehouse.Provider, claims map[string]any) *mcp.CallToolRequest {
	t.Helper()
	claims["active"], claims["iss"], claims["exp"] = true, p.Issuer, time.Now().Add(time.Hour).Unix()
	p.OpaqueOnly = true
	p.Introspect = func(context.Context, string) (json.RawMessage, error) { return json.Marshal(claims) }
	guard, err := gatehouse.New(gatehouse.Config{Resource: resource, Provider: p})
	if err != nil {
		t.Fatal(err)
	}
	info, err := guard.Verify(t.Context(), "token", nil)
	if err != nil {
		t.Fatal(err)
	}
	return &mcp.CallToolRequest{Extra: &mcp.RequestExtra{TokenInfo: info}}
}

func TestUserOf(t *testing.T) {
	p := Config{Domain: domain, RolesClaim: "https://acme.example/roles"}.provider(setting.From(nil))
	tests := []struct {
		name   string
		claims map[string]any
		want   User
	}{
		{
			name:   "least",
			claims: map[string]any{"sub": "auth0|6553da60a54af58e29493993", "aud": resource},
			want:   User{ID: "auth0|6553da60a54af58e29493993"},
		},
		{
			name: "everything",
			claims: map[string]any{
				"sub": "auth0|6553da60a54af58e29493993", "aud": resource,
				"permissions": []string{"tool:whoami"}, "https://acme.example/roles": []string{"admin"},
				"org_id": "org_9ybsU1dN2dKfDkBi", "org_name": "acme",
				"act": map[string]any{"sub": "agt_1a2b3c", "sub_profile": "ai_agent"},
			},
			want: User{
				ID: "auth0|6553da60a54af58e29493993", Roles: []string{"admin"}, Permissions: []string{"tool:whoami"},
				Org: Org{ID: "org_9ybsU1dN2dKfDkBi", Name: "acme"}, Agent: "agt_1a2b3c",
			},
		},
		{
			name:   "act of another form",
			claims: map[string]any{"sub": "auth0|1", "aud": resource, "act": "agent"},
			want:   User{ID: "auth0|1"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			user, ok := UserOf(requestOf(t, p, test.claims))
			if diff := cmp.Diff(test.want, user); !ok || diff != "" {
				t.Errorf("ok is %v, user (-want +got):\n%s", ok, diff)
			}
		})
	}
}

func TestUserOfAnotherProvider(t *testing.T) {
	p := Config{Domain: domain, RolesClaim: "https://acme.example/roles"}.provider(setting.From(nil))
	p.Name = "another provider"
	for name, req := range map[string]*mcp.CallToolRequest{
		"another provider": requestOf(t, p, map[string]any{"sub": "auth0|1", "aud": resource}),
		"no guard":         {},
	} {
		if user, ok := UserOf(req); ok || !cmp.Equal(user, User{}) {
			t.Errorf("%s: UserOf returned %+v, %v", name, user, ok)
		}
	}
}
