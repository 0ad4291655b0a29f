package window

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	sampleJWT    = "eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJ1c2VyXzEyMyJ9.c2lnbmF0dXJlc2lnbmF0dXJl"
	sampleOpaque = "oat_0123456789abcdefghijklmnopqrstuv"

	// sampleSecret has no shape that reveals it, only its name does.
	sampleSecret    = "SplxlOBeZQQYbYS6WxSbIASplxlO"
	shortenedSecret = "…lxlO (28 characters)"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	const secret, short = sampleSecret, shortenedSecret
	for _, test := range []struct{ name, text, want string }{
		{"control: plain text", "the code and the state of things: 5 = 5", "the code and the state of things: 5 = 5"},
		{
			name: "control: sentence",
			text: `invalid state: expired; the code_verifier does not match`,
			want: `invalid state: expired; the code_verifier does not match`,
		},
		{
			name: "control: JSON",
			text: `{"method": "tools/list", "code": -32601, "n": 1.50}`,
			want: `{"method": "tools/list", "code": -32601, "n": 1.50}`,
		},
		{"control: JSON with duplicates", `{"b":1,"a":2,"b":9007199254740993}`, `{"b":1,"a":2,"b":9007199254740993}`},
		{
			name: "control: URL",
			text: "https://a.example/x?scope=email%20profile&n=a%26b",
			want: "https://a.example/x?scope=email%20profile&n=a%26b",
		},

		{
			name: "form",
			text: "grant_type=authorization_code&code=" + secret + "&client_id=abc",
			want: "grant_type=authorization_code&code=" + short + "&client_id=abc",
		},
		{
			name: "redirect",
			text: "to http://127.0.0.1/cb?code=" + secret + "&iss=x now",
			want: "to http://127.0.0.1/cb?code=" + short + "&iss=x now",
		},
		{"redirect with a question mark in the code", "/cb?code=a?" + secret, "/cb?code=…lxlO (30 characters)"},
		{"HTML", `<a href="/cb?code=` + secret + `">`, `<a href="/cb?code=…lO"> (30 characters)`},
		{
			name: "URL in a parameter",
			text: "redirect_uri=http%3A%2F%2Fh%2Fcb%3Fcode%3D" + secret,
			want: "redirect_uri=http://h/cb?code=" + short,
		},
		{"escaped name of a parameter", "access%5Ftoken=" + secret, "access%5Ftoken=" + short},
		{"shortened already", "code=" + short, "code=" + short},

		{"JSON", `{"client_secret":"` + secret + `","a":1}`, `{"client_secret":"` + short + `","a":1}`},
		{"JSON, nested", `[{"a":{"refresh_token":"` + secret + `"}}]`, `[{"a":{"refresh_token":"` + short + `"}}]`},
		{"JSON, escaped name", `{"access\u005ftoken":"` + secret + `"}`, `{"access_token":"` + short + `"}`},
		{"JSON, other spellings", `{"Access_Token":"` + secret + `","refreshToken":"` + secret + `","X-API-Key":"` + secret + `"}`,
			`{"Access_Token":"` + short + `","refreshToken":"` + short + `","X-API-Key":"` + short + `"}`},
		{"JSON, escaped value", `{"secret":"ab\"` + secret + `"}`, `{"secret":"…lxlO (31 characters)"}`},
		{"JSON, name with other characters", `{"access.token":"` + secret + `","code_verifier[]":"` + secret + `"}`,
			`{"access.token":"` + short + `","code_verifier[]":"` + short + `"}`},
		{
			name: "JSON, name that ends like a secret",
			text: `{"registration_access_token":"` + secret + `"}`,
			want: `{"registration_access_token":"` + short + `"}`,
		},
		{"control: other kind of token", `{"progressToken":"01234567890123456789"}`, `{"progressToken":"01234567890123456789"}`},
		{"JSON, code", `{"code":"` + secret + `","state":"` + secret + `"}`, `{"code":"` + short + `","state":"` + short + `"}`},
		{"control: code that is a program", `{"code":"print('hello, world')"}`, `{"code":"print('hello, world')"}`},
		{
			name: "JSON, header as an object",
			text: `[{"name":"Authorization","value":"` + secret + `"}]`,
			want: `[{"name":"Authorization","value":"` + short + `"}]`,
		},
		{"JSON, header with a list", `{"value":["` + secret + `"],"key":"cookie"}`, `{"value":"` + withheld + `","key":"cookie"}`},
		{
			name: "control: other header as an object",
			text: `[{"name":"Accept","value":"` + secret + `"}]`,
			want: `[{"name":"Accept","value":"` + secret + `"}]`,
		},
		{"JSON, header as an array", `[["Authorization","` + secret + `"]]`, `[["Authorization","` + short + `"]]`},
		{"control: list of names", `{"required":["password","username"]}`, `{"required":["password","username"]}`},
		{"JSON, number", `{"password":123456}`, `{"password":"… (6 characters)"}`},
		{
			name: "JSON, list of secrets",
			text: `{"token":["` + secret + `",{"x":"` + secret + `"}]}`,
			want: `{"token":["` + short + `",{"x":"` + short + `"}]}`,
		},
		{
			name: "JSON in a string",
			text: `{"text":"{\"id_token\": \"` + secret + `\"}"}`,
			want: `{"text":"{\"id_token\":\"` + short + `\"}"}`,
		},
		{
			name: "JSON in a string in a string",
			text: `{"t":"\"{\\\"id_token\\\":\\\"` + secret + `\\\"}\""}`,
			want: `{"t":"\"{\\\"id_token\\\":\\\"` + short + `\\\"}\""}`,
		},
		{"URL in a string", `{"url":"http://h/cb?code=` + secret + `"}`, `{"url":"http://h/cb?code=` + short + `"}`},
		{"form in JSON", `{"body":"grant_type=x&code=` + secret + `"}`, `{"body":"grant_type=x&code=` + short + `"}`},
		{"form in JSON, escaped", `{"body":"grant_type%3Dx%26code%3D` + secret + `"}`, `{"body":"grant_type=x&code=` + short + `"}`},
		{"form in JSON, escaped twice", `["code%253D` + secret + `"]`, `["code=` + short + `"]`},
		{"control: escaped form", `["a%3Db%26c%3Dd"]`, `["a%3Db%26c%3Dd"]`},
		{"escape that is malformed", `["code%3D` + secret + `%zz"]`, `["` + withheld + `"]`},
		{"form in JSON in JSON, with escapes in a name", `{"t":"{\"b\":\"client\\u005fsecret=` + secret + `\"}"}`,
			`{"t":"{\"b\":\"client_secret=` + short + `\"}"}`},
		{"text with entities", `client_secret&#61;` + secret, `client_secret=` + short},
		{"XML", `<client_secret>` + secret + `</client_secret>`, withheld},
		{"control: placeholder", `send "Bearer <token>" here`, `send "Bearer <token>" here`},
		{"scheme in JSON", `{"h":"Bearer ` + secret + `"}`, `{"h":"Bearer ` + short + `"}`},
		{
			name: "control: challenge",
			text: `Bearer resource_metadata="http://h/x", error_description="y"`,
			want: `Bearer resource_metadata="http://h/x", error_description="y"`,
		},
		{"password of a URL", "see https://ada:" + secret + "@h/x", "see https://…@h/x"},
		{"JWT as a name", `{"` + sampleJWT + `":1}`, `{"…dXJl (90 characters)":1}`},

		{"malformed JSON", `{"a":{"refresh_token": "` + secret, withheld},
		{"malformed JSON in a string", `{"a":"{\"refresh_token\": \"` + secret + `"}`, `{"a":"` + withheld + `"}`},
		{"malformed JSON with other characters in a name", `0 "toke n": "` + secret + `"`, withheld},
		{"two JSON values", `{"a":1} {"token":"` + secret + `"}`, withheld},
		{"malformed JSON with escapes", `{"access\u005ftoken":"` + secret + `"`, withheld},
		{
			name: "JSON, too deep",
			text: strings.Repeat("[", maxNesting) + `{"token":"` + secret + `"}` + strings.Repeat("]", maxNesting),
			want: withheld,
		},
		{"header in text", "Authorization: Basic " + secret, withheld},
		{"assignment with spaces", "client_secret = '" + secret + "'", withheld},
		{"assignment with quotes", "password='a " + secret + "'", withheld},

		{"JWT", "see " + sampleJWT + " there", "see …dXJl (90 characters) there"},
		{"JWT cut off", "see " + sampleJWT[:40], "see …dCJ9 (40 characters)"},
		{"opaque token", "see " + sampleOpaque + ".", "see …stuv (36 characters)."},
		{"secret key", "sk_test_" + secret, "…lxlO (36 characters)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := redact(test.text); got != test.want {
				t.Errorf("redact(%q) = %q, want %q", test.text, got, test.want)
			}
		})
	}
}

func TestRedactBody(t *testing.T) {
	t.Parallel()
	const secret, short = sampleSecret, shortenedSecret
	const form, events = "application/x-www-form-urlencoded", "text/event-stream; charset=utf-8"
	for _, test := range []struct {
		name, media, body string
		cut               bool
		want              string
	}{
		{
			name: "JSON",
			body: `{"id":1,"token":"` + secret + `"}`,
			want: "{\n  \"id\": 1,\n  \"token\": \"" + short + "\"\n}",
		},
		{name: "JSON with HTML", body: `["<b>&"]`, want: "[\n  \"<b>&\"\n]"},
		{name: "own token", body: `["own-token-of-the-request"]`, want: "[\n  \"…uest (24 characters)\"\n]"},
		{
			name: "own token, escaped",
			body: `["own\u002dtoken-of-the-request"]`,
			want: "[\n  \"…uest (24 characters)\"\n]",
		},
		{
			name: "JSON cut off in a secret",
			cut:  true,
			body: `{"a":[1,true],"token":"` + secret,
			want: "{\n  \"a\": [\n    1,\n    true\n  ]\n}…",
		},
		{
			name: "JSON cut off in a name",
			cut:  true,
			body: `{"a":{"b":"c","to`,
			want: "{\n  \"a\": {\n    \"b\": \"c\"\n  }\n}…",
		},
		{
			name: "JSON cut off in JSON in a string",
			cut:  true,
			body: `{"a":1,"text":"{\"token\":\"` + secret,
			want: "{\n  \"a\": 1\n}…",
		},
		{
			name: "JSON cut off before the name of a header",
			cut:  true,
			body: `{"value":"` + secret + `","na`,
			want: "{\n  \"value\": \"" + short + "\"\n}…",
		},
		{
			name: "JSON cut off in a name with escapes",
			cut:  true,
			body: `{"a":1,"client\u005fsec`,
			want: "{\n  \"a\": 1\n}…",
		},
		{name: "JSON cut off in a number", cut: true, body: `{"a":1,"b":12`, want: "{\n  \"a\": 1\n}…"},
		{name: "JSON cut off at the start", cut: true, body: `{"token":"` + secret, want: "{}…"},
		{name: "JSON cut off after its end", cut: true, body: `{"a":1}`, want: "{\n  \"a\": 1\n}…"},
		{name: "text cut off", cut: true, body: "some words and " + secret, want: "some words and …"},
		{name: "one word cut off", cut: true, body: secret, want: "…"},

		{name: "form", media: form, body: "code=" + secret + "&scope=a+b", want: "code=" + short + "&scope=a b"},
		{name: "form, escaped name", media: form, body: "client%5fsecret=" + secret, want: "client_secret=" + short},
		{name: "form, malformed", media: form, body: "a=1&code=" + secret + "%zz&b=2", want: "a=1&…&b=2"},
		{
			name:  "multipart",
			media: "multipart/form-data; boundary=x",
			body:  "--x\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\n" + secret,
			want:  withheld,
		},
		{name: "form cut off", media: form, cut: true, body: "a=1&code=" + secret, want: "a=1…"},

		{
			name:  "events",
			media: events,
			body:  "event: message\ndata: {\"token\":\"" + secret + "\"}\n\n: x\n",
			want:  "event: message\ndata: {\"token\":\"" + short + "\"}\n\n: x\n",
		},
		{
			name:  "data on two lines",
			media: events,
			body:  "data: {\"a\":1,\"token\":\ndata: \"" + secret + "\"}\r\n\r\n",
			want:  "data: {\"a\":1,\"token\":\"" + short + "\"}\n\n",
		},
		{
			name:  "events cut off",
			media: events,
			cut:   true,
			body:  "data: {\"a\":1}\n\ndata: {\"b\":2,\"token\":\"" + secret,
			want:  "data: {\"a\":1}\n\ndata: {\"b\":2}…",
		},
		{
			name:  "events cut off in a field",
			media: events,
			cut:   true,
			body:  "data: 1\n\nid: " + secret,
			want:  "data: 1\n…",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{"Content-Type": {test.media}}
			if got := redactBody(header, []byte(test.body), test.cut, "own-token-of-the-request"); got != test.want {
				t.Errorf("redactBody(%q) = %q, want %q", test.body, got, test.want)
			}
		})
	}
}

func TestRedactURL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ url, want string }{
		{"/mcp", "/mcp"},
		{"/callback?code=" + sampleSecret + "&scope=email+profile", "/callback?code=" + shortenedSecret + "&scope=email profile"},
		{"/x?b=1&flag&a=2", "/x?b=1&flag&a=2"},
		{"/x?a=%zz;code=1&b=2", "/x?…&b=2"},
		{"/" + sampleOpaque, "/…stuv (36 characters)"},
	} {
		u, err := url.Parse(test.url)
		if err != nil {
			t.Fatal(err)
		}
		if got := redactURL(u); got != test.want {
			t.Errorf("redactURL(%q) = %q, want %q", test.url, got, test.want)
		}
	}
}

// TestRedactTakesBoundedTime has malformed JSON in the values of parameters in malformed JSON,
// and so on: each level is read once as JSON and once as words.
func TestRedactTakesBoundedTime(t *testing.T) {
	t.Parallel()
	text := sampleSecret
	for range 40 {
		text = `["a=` + url.QueryEscape(text) + `" x`
	}
	got := redact(text)
	if strings.Contains(got, sampleSecret) || !strings.Contains(got, withheld) {
		t.Errorf("got %d bytes, want most of the text withheld", len(got))
	}
}

// FuzzRedact hides tokens in text of all kinds and searches for them afterwards.
func FuzzRedact(f *testing.F) {
	for _, text := range []string{
		"", `{"a":`, "Bearer ", "code=", `\"`, "é", "\xff", "token: ", `"access_token":`, "{}",
		`{"access\u005ftoken":`, "data: ", "[[[", `{"a":"{\"b\":`,
		"a=%zz&b=", "\r\n\r\n", `{"n":12`,
	} {
		for _, media := range []string{"", "application/json", "text/event-stream", "application/x-www-form-urlencoded"} {
			f.Add(text, text, media, false)
			f.Add(text, text, media, true)
		}
	}
	f.Fuzz(func(t *testing.T, before, after, media string, cut bool) {
		header := http.Header{"Content-Type": {media}}
		// Characters next to a token that could belong to it would make another token.
		before, after = before+" ", " "+after
		const own = "own-secret-of-an-unknown-form"
		for _, secret := range []string{sampleJWT, sampleOpaque, own} {
			for _, body := range []string{before + secret + after, before + `"` + secret + `"` + after} {
				got := redactBody(header, []byte(body), cut, own)
				if strings.Contains(got, secret) {
					t.Errorf("%q still contains %q", got, secret)
				}
				if !utf8.ValidString(got) {
					t.Errorf("%q is not UTF-8", got)
				}
			}
		}
	})
}

// FuzzRedactMember hides a secret in a JSON member that only its name marks, in any
// surroundings: cut off, malformed, or in a string.
func FuzzRedactMember(f *testing.F) {
	for _, member := range []string{`"access_token"`, `"\token"`, `"access\u005ftoken"`, `"Client_Secret"`, `"refreshToken"`, `"PASSWORD"`} {
		for _, before := range []string{`{`, `{"a":1,`, `[{"a":{},`, `{"a":"`, `{"a":[1,2}`, "data: {", `x {`, "\xff{"} {
			f.Add(before, member, `}`, false)
			f.Add(before, member, ``, true)
		}
	}
	f.Fuzz(func(t *testing.T, before, name, after string, cut bool) {
		var decoded string // of "\token", a tab and "oken"
		if len(name) > 40 || json.Unmarshal([]byte(name), &decoded) != nil || !isSecretName(decoded) {
			return
		}
		body := before + name + `:"` + sampleSecret + `"` + after
		for _, media := range []string{"", "text/event-stream"} {
			got := redactBody(http.Header{"Content-Type": {media}}, []byte(body), cut, "")
			if strings.Contains(got, sampleSecret) {
				t.Errorf("%q is shown as %q", body, got)
			}
		}
	})
}

// FuzzRedactURL shows no secret parameter of any URL.
func FuzzRedactURL(f *testing.F) {
	f.Add("/mcp", "x=1")
	f.Add("/oauth/authorize", "code=1&state=2")
	f.Add("/%zz", "%zz")
	f.Fuzz(func(t *testing.T, path, query string) {
		const code = "abcdefghijklmnopqrstuvwxyz0123456789"
		got := redactURL(&url.URL{Path: path, RawQuery: query + "&code=" + code})
		if strings.Contains(got, code) || !utf8.ValidString(got) {
			t.Errorf("got %q", got)
		}
	})
}
