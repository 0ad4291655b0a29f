package window

import (
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzReadCall reads requests of clients: names are short and valid UTF-8, without tokens.
func FuzzReadCall(f *testing.F) {
	for _, body := range []string{
		"", "{", "[]", "null",
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"}}`,
		`{"method":"initialize","params":{"clientInfo":{"name":"cursor","title":"Cursor"}}}`,
		`{"method":"resources/read","params":{"uri":"file:///x"}}`,
		`{"method":"` + sampleJWT + `"}`,
	} {
		f.Add(body, "", "")
		f.Add(body, "tools/list", sampleOpaque)
	}
	f.Fuzz(func(t *testing.T, body, method, name string) {
		r := httptest.NewRequest("POST", "/mcp", nil)
		r.Header.Set("Mcp-Method", method)
		r.Header.Set("Mcp-Name", name)
		c := readCall(r, []byte(body))
		for _, got := range []string{c.method, c.name, c.client} {
			if len(got) > 4*maxName || !utf8.ValidString(got) || strings.Contains(got, sampleJWT) || strings.Contains(got, sampleOpaque) {
				t.Errorf("got %q", got)
			}
		}
	})
}

// FuzzReadToken reads Authorization headers: the fields that are shown do not contain the token.
func FuzzReadToken(f *testing.F) {
	for _, header := range []string{
		"", "Bearer", "Bearer ", "Bearer " + sampleJWT, "bearer " + sampleOpaque, "Basic YTpi", "Bearer a.b.c", "Bearer  x y",
	} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		p := readToken(header)
		var m Message
		p.show(&m)
		if (p.raw == "") != (len(m.Fields) == 0) {
			t.Errorf("%q: token %q shown as %+v", header, p.raw, m)
		}
		if len(p.raw) < 6*shownOfSecret {
			return
		}
		for _, shown := range m.Fields {
			if strings.Contains(shown.Value, p.raw) {
				t.Errorf("%q is shown in %+v", p.raw, shown)
			}
		}
	})
}
