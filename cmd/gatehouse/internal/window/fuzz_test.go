package window

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	sampleJWT    = "eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJ1c2VyXzEyMyJ9.c2lnbmF0dXJlc2lnbmF0dXJl"
	sampleOpaque = "oat_0123456789abcdefghijklmnopqrstuv"
)

// FuzzScrub hides two tokens in text of all kinds and looks for them afterwards.
func FuzzScrub(f *testing.F) {
	for _, text := range []string{"", `{"a":"`, "Bearer ", "code=", `\"`, "é", "\xff", "token: ", `"access_token":"`, "{}"} {
		f.Add(text, text, false)
		f.Add(text, text, true)
	}
	f.Fuzz(func(t *testing.T, before, after string, cut bool) {
		// What stands right beside a token and could belong to it makes another one.
		before, after = before+" ", " "+after
		for _, secret := range []string{sampleJWT, sampleOpaque} {
			got := scrubBody([]byte(before+secret+after), cut)
			if strings.Contains(got, secret) {
				t.Errorf("%q still has %q", got, secret)
			}
			if !utf8.ValidString(got) {
				t.Errorf("%q is not UTF-8", got)
			}
		}
		own := "own-secret-of-no-known-form"
		if got := scrubBody([]byte(before+own+after), cut, own); strings.Contains(got, own) {
			t.Errorf("%q still has %q", got, own)
		}
	})
}

// FuzzReadCall reads what a client sends: names stay short, and whole UTF-8.
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

// FuzzReadToken reads an Authorization header; nothing shown of it has the token.
func FuzzReadToken(f *testing.F) {
	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer " + sampleJWT, "bearer " + sampleOpaque, "Basic YTpi", "Bearer a.b.c", "Bearer  x y"} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		p := readToken(header)
		var m Message
		p.show(&m)
		if (p.raw == "") != (len(m.Fields) == 0) {
			t.Errorf("%q: token %q shown as %+v", header, p.raw, m)
		}
		if len(p.raw) < 6*shownOfToken {
			return
		}
		for _, shown := range m.Fields {
			if strings.Contains(shown.Value, p.raw) {
				t.Errorf("%q is shown in %+v", p.raw, shown)
			}
		}
	})
}

// FuzzScrubURL shows no secret parameter of any URL.
func FuzzScrubURL(f *testing.F) {
	f.Add("/mcp", "x=1")
	f.Add("/oauth/authorize", "code=1&state=2")
	f.Add("/%zz", "%zz")
	f.Fuzz(func(t *testing.T, path, query string) {
		const code = "abcdefghijklmnopqrstuvwxyz0123456789"
		got := scrubURL(&url.URL{Path: path, RawQuery: query + "&code=" + code})
		if strings.Contains(got, code) || !utf8.ValidString(got) {
			t.Errorf("got %q", got)
		}
	})
}
