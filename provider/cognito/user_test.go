package cognito

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
	p := Config{UserPoolID: pool, ClientIDs: []string{client}}.provider(setting.From(nil))
	tests := []struct {
		name   string
		claims map[string]any
		want   User
	}{
		{
			name: "everything",
			claims: map[string]any{
				"sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "client_id": client, "token_use": "access",
				"username": "janedoe", "cognito:groups": []string{"admin"},
			},
			want: User{ID: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", Username: "janedoe", Groups: []string{"admin"}},
		},
		{
			name:   "username of another form",
			claims: map[string]any{"sub": "u", "client_id": client, "token_use": "access", "username": 1},
			want:   User{ID: "u"},
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
	p := Config{UserPoolID: pool, ClientIDs: []string{client}}.provider(setting.From(nil))
	p.Name = "another provider"
	for name, req := range map[string]*mcp.CallToolRequest{
		"another provider": requestOf(t, p, map[string]any{"sub": "u", "client_id": client, "token_use": "access"}),
		"no guard":         {},
	} {
		if user, ok := UserOf(req); ok || !cmp.Equal(user, User{}) {
			t.Errorf("%s: UserOf returned %+v, %v", name, user, ok)
		}
	}
}
