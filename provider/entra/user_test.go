package entra

import (
	"context"
	"encoding/json"
	"maps"
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
	claims["active"], claims["iss"], claims["exp"] = true, issuer, time.Now().Add(time.Hour).Unix()
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
	p := with(func(*Config) {}).provider(setting.From(nil))
	tests := []struct {
		name   string
		claims map[string]any
		want   User
	}{
		{
			name: "version 2.0",
			claims: token(map[string]any{
				"oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474", "name": "Abe Lincoln", "preferred_username": "abeli@contoso.com",
				"email": "abe@contoso.com", "roles": []string{"Admin"}, "groups": []string{"g1", "g2"}, "tid": tenant,
			}),
			want: User{
				ObjectID: "690222be-ff1a-4d56-abd1-7e4f7d38e474", TenantID: tenant, Subject: "s", Name: "Abe Lincoln",
				Username: "abeli@contoso.com", Email: "abe@contoso.com", Roles: []string{"Admin"}, Groups: []string{"g1", "g2"},
			},
		},
		{name: "without tid", claims: token(nil), want: User{TenantID: tenant, Subject: "s"}},
		{
			name:   "unique_name of version 1.0",
			claims: token(map[string]any{"unique_name": "abeli@contoso.com"}),
			want:   User{TenantID: tenant, Subject: "s", Username: "abeli@contoso.com"},
		},
		{
			name: "groups overage",
			claims: token(map[string]any{
				"_claim_names":   map[string]any{"groups": "src1"},
				"_claim_sources": map[string]any{"src1": map[string]any{"endpoint": "x"}},
			}),
			want: User{TenantID: tenant, Subject: "s", GroupsOverage: true},
		},
		{
			name:   "groups overage of the implicit grant",
			claims: token(map[string]any{"hasgroups": true}),
			want:   User{TenantID: tenant, Subject: "s", GroupsOverage: true},
		},
		{
			name:   "source of another claim",
			claims: token(map[string]any{"_claim_names": map[string]any{"address": "src1"}}),
			want:   User{TenantID: tenant, Subject: "s"},
		},
		{
			name:   "groups of another form are not known",
			claims: token(map[string]any{"groups": "src1"}),
			want:   User{TenantID: tenant, Subject: "s", GroupsOverage: true},
		},
		{
			name:   "agent",
			claims: token(map[string]any{"xms_act_fct": "3 9 11"}),
			want:   User{TenantID: tenant, Subject: "s", Agent: true},
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
	p := with(func(*Config) {}).provider(setting.From(nil))
	p.Name = "another provider"
	for name, req := range map[string]*mcp.CallToolRequest{
		"another provider": requestOf(t, p, map[string]any{"sub": "s", "aud": client, "azp": "c", "scp": "x", "ver": "2.0"}),
		"no guard":         {},
	} {
		if user, ok := UserOf(req); ok || !cmp.Equal(user, User{}) {
			t.Errorf("%s: UserOf returned %+v, %v", name, user, ok)
		}
	}
}

// token returns the claims of a token of a user, with those of more.
func token(more map[string]any) map[string]any {
	claims := map[string]any{"sub": "s", "aud": client, "azp": "c", "scp": "Tools.Read", "ver": "2.0"}
	maps.Copy(claims, more)
	return claims
}

// The account of an agent is a user for Entra ID, but not a person.
func TestAgentAccountIsAMachine(t *testing.T) {
	for facets, want := range map[string]gatehouse.Kind{
		"3 9":    gatehouse.KindUser,
		"3 9 13": gatehouse.KindMachine,
		"11 9":   gatehouse.KindMachine,
	} {
		p := with(func(c *Config) { c.AllowMachines = true }).provider(setting.From(nil))
		id, _ := gatehouse.IdentityOf(requestOf(t, p, token(map[string]any{"xms_sub_fct": facets})))
		if id.Kind != want {
			t.Errorf("xms_sub_fct %q: kind %v, want %v", facets, id.Kind, want)
		}
	}
}
