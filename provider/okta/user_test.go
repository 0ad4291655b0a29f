package okta

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
	p := Config{Issuer: issuer}.provider(setting.From(nil))
	tests := []struct {
		name   string
		claims map[string]any
		want   User
	}{
		{
			name:   "least",
			claims: map[string]any{"sub": "joe.user@example.com", "uid": "00ujmkLgagxeRrAg20g3", "cid": "0oa1", "aud": resource},
			want:   User{ID: "00ujmkLgagxeRrAg20g3", Login: "joe.user@example.com"},
		},
		{
			name: "everything",
			claims: map[string]any{
				"sub": "joe.user@example.com", "uid": "00ujmkLgagxeRrAg20g3", "cid": "0oa1", "aud": resource,
				"groups": []string{"Everyone"}, "email": "joe@example.com", "name": "Joe User",
			},
			want: User{
				ID: "00ujmkLgagxeRrAg20g3", Login: "joe.user@example.com", Email: "joe@example.com", Name: "Joe User",
				Groups: []string{"Everyone"},
			},
		},
		{
			name:   "claims of another form",
			claims: map[string]any{"sub": "joe", "cid": "0oa1", "aud": resource, "email": []string{"joe@example.com"}, "name": "Joe"},
			want:   User{Login: "joe"},
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
	p := Config{Issuer: issuer}.provider(setting.From(nil))
	p.Name = "another provider"
	for name, req := range map[string]*mcp.CallToolRequest{
		"another provider": requestOf(t, p, map[string]any{"sub": "joe", "cid": "c", "aud": resource}),
		"no guard":         {},
	} {
		if user, ok := UserOf(req); ok || !cmp.Equal(user, User{}) {
			t.Errorf("%s: UserOf returned %+v, %v", name, user, ok)
		}
	}
}
