package localclerk

import (
	"strings"
	"testing"
)

func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for _, test := range []struct {
		method, path string
		allowed      bool
	}{
		{"GET", "/.well-known/oauth-authorization-server", true},
		{"GET", "/.well-known/openid-configuration", true},
		{"GET", "/.well-known/jwks.json", true},
		{"POST", "/oauth/register", true},
		{"POST", "/oauth/token", true},
		{"POST", "/oauth/token/revoke", true},
		{"GET", "/oauth/userinfo", true},
		{"POST", "/oauth/userinfo", true},
		{"POST", "/oauth/token_info", false},
		{"GET", "/oauth/authorize", false},
		{"GET", "/oauth/authorize/continue", false},
		{"POST", "/oauth/authorize/continue", false},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			t.Parallel()
			preflight := send(t, s, "OPTIONS", test.path, "",
				"Origin", "https://app.example", "Access-Control-Request-Method", test.method)
			if got := preflight.status == 204; got != test.allowed {
				t.Errorf("preflight answered %d, allowed should be %v", preflight.status, test.allowed)
			}
			if got := strings.Contains(preflight.header.Get("Access-Control-Allow-Methods"), test.method); got != test.allowed {
				t.Errorf("Access-Control-Allow-Methods %q, allowed should be %v",
					preflight.header.Get("Access-Control-Allow-Methods"), test.allowed)
			}
			for _, header := range []string{"Authorization", "Content-Type", "MCP-Protocol-Version"} {
				if got := strings.Contains(preflight.header.Get("Access-Control-Allow-Headers"), header); got != test.allowed {
					t.Errorf("header %s: allowed is %v", header, got)
				}
			}
			actual := send(t, s, test.method, test.path, "", "Origin", "https://app.example")
			if got := actual.header.Get("Access-Control-Allow-Origin") == "*"; got != test.allowed {
				t.Errorf("Access-Control-Allow-Origin %q, allowed should be %v",
					actual.header.Get("Access-Control-Allow-Origin"), test.allowed)
			}
		})
	}
}
