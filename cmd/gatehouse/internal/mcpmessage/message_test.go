package mcpmessage

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
)

const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"}}`

func TestParse(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{call, "1 tools/call whoami"},
		{` [` + call + `,{"jsonrpc":"2.0","method":"ping"}]`, "1 tools/call whoami; ping "},
		{`{"id":"a","method":"prompts/get","params":{"name":"p"}}`, `"a" prompts/get p`},
		{`{"id":null,"method":"resources/read","params":{"uri":"n://x"}}`, " resources/read n://x"},
		{`{"id":1,"method":"tools/list"}`, "1 tools/list "},
		{`{"id":1,"result":{}}`, "  "},
		{`[]`, ""},
		{`x`, ""},
		{``, ""},
		{`{"id":1,"method":"tools/call","params":{}}`, ""},
		{`{"id":1,"method":5}`, ""},
		{`{"id":1,"method":"a","method":"b"}`, ""},
		{`[` + strings.Repeat(call+",", MaxMessages-1) + call + `]`, strings.Repeat("; 1 tools/call whoami", MaxMessages)[2:]},
		{`[` + strings.Repeat(call+",", MaxMessages) + call + `]`, ""},
	} {
		var got []string
		for _, m := range Parse([]byte(test.text)) {
			got = append(got, strings.TrimPrefix(fmt.Sprintf("%s %s %s", m.ID, m.Method, m.Name), " "))
		}
		want := strings.Split(test.want, "; ")
		if strings.TrimSpace(strings.Join(got, "; ")) != strings.TrimSpace(strings.Join(want, "; ")) {
			t.Errorf("%.80s: got %.200q, want %.200q", test.text, got, want)
		}
	}
}

// The body is read only if a header has to be compared with it.
func TestCheckHeadersReadsNoMoreThanItMust(t *testing.T) {
	for _, test := range []struct {
		method  string
		header  []string
		reads   bool
		isValid bool
	}{
		{"POST", nil, false, true},
		{"POST", []string{"Mcp-Protocol-Version", "2025-11-25"}, false, true},
		{"GET", []string{"Mcp-Method", "other"}, false, true},
		{"POST", []string{"Mcp-Method", "tools/call"}, true, true},
		{"POST", []string{"Mcp-Method", "other"}, true, false},
		{"POST", []string{"Mcp-Protocol-Version", "2026-07-28"}, true, false},
	} {
		r := httptest.NewRequest(test.method, "/mcp", nil)
		for i := 0; i < len(test.header); i += 2 {
			r.Header.Set(test.header[i], test.header[i+1])
		}
		read := false
		err := CheckHeaders(r, func() []Message { read = true; return Parse([]byte(call)) })
		if read != test.reads || (err == nil) != test.isValid {
			t.Errorf("%s %q: read the body: %v, %v, want %v and valid: %v", test.method, test.header, read, err, test.reads, test.isValid)
		}
	}
}

func TestErrorResponse(t *testing.T) {
	text := ErrorResponse(json.RawMessage(`"a"`), CodeHeaderMismatch, `says "no"`, ReasonHeaderMismatch)
	want := `{"jsonrpc":"2.0","id":"a","error":{"code":-32020,"message":"says \"no\"","data":{"reason":"header_mismatch"}}}`
	if string(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
}
