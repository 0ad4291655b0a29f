package gateway_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestHeadersMustEqualTheBody(t *testing.T) {
	const read = `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"notes://é"}}`
	const list = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	const modern = "2026-07-28"
	tests := []struct {
		name    string
		body    string
		version string
		header  []string
		valid   bool
	}{
		{"no headers, older revision", call, "2025-11-25", nil, true},
		{"both headers", call, modern, []string{"Mcp-Method", "tools/call", "Mcp-Name", "whoami"}, true},
		{"both headers, older revision", call, "2025-11-25", []string{"Mcp-Method", "tools/call", "Mcp-Name", "whoami"}, true},
		{"a list has no name", list, modern, []string{"Mcp-Method", "tools/list"}, true},
		{"encoded name", read, modern, []string{"Mcp-Method", "resources/read", "Mcp-Name", "=?base64?bm90ZXM6Ly/DqQ==?="}, true},
		{"a response has no method", `{"jsonrpc":"2.0","id":1,"result":{}}`, modern, nil, true},

		{"no headers", call, modern, nil, false},
		{"no name", call, modern, []string{"Mcp-Method", "tools/call"}, false},
		{"no method", call, modern, []string{"Mcp-Name", "whoami"}, false},
		{"other method", call, modern, []string{"Mcp-Method", "tools/list", "Mcp-Name", "whoami"}, false},
		{"other name", call, modern, []string{"Mcp-Method", "tools/call", "Mcp-Name", "open"}, false},
		{"name in another case", call, modern, []string{"Mcp-Method", "tools/call", "Mcp-Name", "Whoami"}, false},
		{"other name, older revision", call, "2025-11-25", []string{"Mcp-Name", "open"}, false},
		{"other method, no revision", call, "", []string{"Mcp-Method", "tools/list"}, false},
		{"two names", call, modern, []string{"Mcp-Method", "tools/call", "Mcp-Name", "whoami", "Mcp-Name", "open"}, false},
		{"wrongly encoded name", read, modern, []string{"Mcp-Method", "resources/read", "Mcp-Name", "=?base64?bm90ZXM6Ly9l?="}, false},
		{"a batch", "[" + call + "," + list + "]", "2025-03-26", []string{"Mcp-Method", "tools/list"}, false},
		{"not JSON", "x", "", []string{"Mcp-Method", "tools/list"}, false},
		{"two methods in the body", `{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}`, modern, []string{"Mcp-Method", "tools/list"}, false},
	}
	f := newFixture(t)
	for _, test := range tests {
		before := len(f.backend.requests())
		header := test.header
		if test.version != "" {
			header = append([]string{"MCP-Protocol-Version", test.version}, header...)
		}
		got := f.post(t, test.body, header...)
		reached := len(f.backend.requests()) > before
		if test.valid {
			if wantOK(t, got); !reached {
				t.Errorf("%s: the backend got no request", test.name)
			}
			continue
		}
		if reached {
			t.Errorf("%s: the backend got the request", test.name)
		}
		wantReason(t, got, http.StatusBadRequest, "header_mismatch")
		if strings.Contains(got.body, "jsonrpc") && !strings.Contains(got.body, "-32020") {
			t.Errorf("%s: the body is %s, want the code -32020", test.name, got.body)
		}
	}
}
