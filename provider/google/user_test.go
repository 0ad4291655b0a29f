package google

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
	p := Config{ClientIDs: []string{client}}.provider(setting.From(nil))
	tests := []struct {
		name   string
		claims map[string]any
		want   User
	}{
		{
			name:   "least",
			claims: map[string]any{"sub": "111260650121245072906", "aud": client},
			want:   User{ID: "111260650121245072906"},
		},
		{
			name:   "everything",
			claims: map[string]any{"sub": "111260650121245072906", "aud": client, "email": "user@example.com", "email_verified": true},
			want:   User{ID: "111260650121245072906", Email: "user@example.com", EmailVerified: true},
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
	p := Config{ClientIDs: []string{client}}.provider(setting.From(nil))
	p.Name = "another provider"
	for name, req := range map[string]*mcp.CallToolRequest{
		"another provider": requestOf(t, p, map[string]any{"sub": "1", "aud": client}),
		"no guard":         {},
	} {
		if user, ok := UserOf(req); ok || !cmp.Equal(user, User{}) {
			t.Errorf("%s: UserOf returned %+v, %v", name, user, ok)
		}
	}
}
