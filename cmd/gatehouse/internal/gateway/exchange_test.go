package gateway

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/mcpmessage"
)

// The answers that stay open hold a small buffer.
func TestOpensStream(t *testing.T) {
	listen := `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{}}`
	for name, test := range map[string]struct {
		method, version, body string
		want                  bool
	}{
		"GET":              {"GET", "", "", true},
		"a call":           {"POST", mcpmessage.ModernVersion, strings.Replace(listen, "subscriptions/listen", "tools/call", 1), false},
		"listen":           {"POST", mcpmessage.ModernVersion, listen, true},
		"listen, before":   {"POST", "2025-11-25", listen, false},
		"what is not JSON": {"POST", mcpmessage.ModernVersion, "subscriptions/listen", false},
		"DELETE":           {"DELETE", "", "", false},
	} {
		r := httptest.NewRequest(test.method, "/mcp", nil)
		r.Header.Set(mcpmessage.VersionHeader, test.version)
		x := &exchange{request: r, body: []byte(test.body)}
		if got := x.opensStream(); got != test.want {
			t.Errorf("%s: opensStream is %v, want %v", name, got, test.want)
		}
	}
}
