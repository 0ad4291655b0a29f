package challenge_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse/internal/challenge"
)

type params = map[string]string

func TestParse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		headers []string
		want    []challenge.Challenge
	}{
		{"none", nil, nil},
		{"empty line", []string{""}, nil},
		{"only commas", []string{" , ,\t,"}, nil},
		{"bearer", []string{`Bearer realm="a b", error="invalid_token"`}, []challenge.Challenge{{Scheme: "Bearer", Params: params{"realm": "a b", "error": "invalid_token"}}}},
		{"scheme alone", []string{"Negotiate"}, []challenge.Challenge{{Scheme: "Negotiate"}}},
		{"scheme and space", []string{"Negotiate  "}, []challenge.Challenge{{Scheme: "Negotiate"}}},
		{"bare value", []string{"Bearer error=invalid_token"}, []challenge.Challenge{{Scheme: "Bearer", Params: params{"error": "invalid_token"}}}},
		{"empty value", []string{`Basic realm=""`}, []challenge.Challenge{{Scheme: "Basic", Params: params{"realm": ""}}}},
		{"upper-case name", []string{`Basic REALM="x"`}, []challenge.Challenge{{Scheme: "Basic", Params: params{"realm": "x"}}}},
		{"space around equals", []string{"Basic realm \t= \"x\" , a =\tb"}, []challenge.Challenge{{Scheme: "Basic", Params: params{"realm": "x", "a": "b"}}}},
		{"escapes", []string{`Basic realm="a\"b\\c\d, e=f"`}, []challenge.Challenge{{Scheme: "Basic", Params: params{"realm": `a"b\cd, e=f`}}}},
		{"high bytes", []string{"Basic realm=\"gr\xc3\xbcn\xff\""}, []challenge.Challenge{{Scheme: "Basic", Params: params{"realm": "gr\xc3\xbcn\xff"}}}},
		{"token68", []string{"Negotiate oRM/+-._~=="}, []challenge.Challenge{{Scheme: "Negotiate", Token68: "oRM/+-._~=="}}},
		{"token68 like a name", []string{"NTLM a=, Basic realm=b"}, []challenge.Challenge{{Scheme: "NTLM", Token68: "a="}, {Scheme: "Basic", Params: params{"realm": "b"}}}},
		{"two schemes", []string{`DPoP algs="ES256 RS256", Bearer scope="a b"`}, []challenge.Challenge{
			{Scheme: "DPoP", Params: params{"algs": "ES256 RS256"}}, {Scheme: "Bearer", Params: params{"scope": "a b"}},
		}},
		{"RFC 9110 example", []string{`Basic realm="simple", Newauth realm="apps", type=1, title="Login to \"apps\""`}, []challenge.Challenge{
			{Scheme: "Basic", Params: params{"realm": "simple"}}, {Scheme: "Newauth", Params: params{"realm": "apps", "type": "1", "title": `Login to "apps"`}},
		}},
		{"same scheme twice", []string{"Bearer a=b", "Bearer a=c"}, []challenge.Challenge{{Scheme: "Bearer", Params: params{"a": "b"}}, {Scheme: "Bearer", Params: params{"a": "c"}}}},
		{"a list goes on in the next line", []string{"Bearer a=b,", "c=d"}, []challenge.Challenge{{Scheme: "Bearer", Params: params{"a": "b", "c": "d"}}}},
		{"empty elements", []string{", Bearer , a=b,, c=d,"}, []challenge.Challenge{{Scheme: "Bearer", Params: params{"a": "b", "c": "d"}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := challenge.Parse(tt.headers)
			if err != nil {
				t.Fatalf("Parse(%q): %v", tt.headers, err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Parse(%q) (-want +got):\n%s", tt.headers, diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	numbered := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	tests := []struct {
		name    string
		headers []string
		wantErr string
	}{
		{"parameter first", []string{"a=b"}, `challenge line 1, byte 3: parameter "a" before any scheme`},
		{"twice", []string{`Bearer error="a", Error="b"`}, `challenge line 1, byte 25: parameter "error" twice in one challenge`},
		{"twice over lines", []string{"Bearer a=b", "a=c"}, `challenge line 2, byte 3: parameter "a" twice in one challenge`},
		{"no comma", []string{`Bearer a="b" c="d"`}, `challenge line 1, byte 14: got "c", want a comma`},
		{"no equals", []string{"Bearer a b"}, `challenge line 1, byte 9: got " ", want = after "a"`},
		{"no value", []string{"Bearer a=b, c="}, `challenge line 1, byte 15: got the end, want a parameter value`},
		{"no name", []string{`Bearer a=b, ="c"`}, `challenge line 1, byte 13: got "=", want a scheme or a parameter`},
		{"no scheme", []string{`"Bearer"`}, `challenge line 1, byte 1: got "\"", want a scheme or a parameter`},
		{"no space", []string{`Bearer"x"`}, `challenge line 1, byte 7: got "\"", want a comma`},
		{"open quote", []string{`Bearer a="b`}, `challenge line 1, byte 12: quoted string without its end`},
		{"open escape", []string{`Bearer a="b\`}, `challenge line 1, byte 13: quoted string without its end`},
		{"quote over lines", []string{`Bearer a="b`, `c"`}, `challenge line 1, byte 12: quoted string without its end`},
		{"control", []string{"Bearer a=\"b\x00\""}, `challenge line 1, byte 12: got "\x00", want no control character`},
		{"escaped control", []string{"Bearer a=\"b\\\n\""}, `challenge line 1, byte 13: got "\n", want no control character`},
		{"token68 and parameter", []string{"Bearer abc==, a=b"}, `challenge line 1, byte 17: parameter "a" after a token68`},
		{"bytes", []string{"Bearer", strings.Repeat(",", challenge.MaxBytes)}, `challenges of 16390 bytes, want at most 16384`},
		{"challenges", []string{numbered(17, "S%d,")}, `challenge line 1, byte 58: more than 16 challenges`},
		{"parameters", []string{"Bearer " + numbered(33, "p%d=x,")}, `challenge line 1, byte 194: more than 32 parameters in one challenge`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := challenge.Parse(tt.headers)
			if err == nil || err.Error() != tt.wantErr {
				t.Errorf("Parse(%q): %v, want %s", tt.headers, err, tt.wantErr)
			}
			if got != nil {
				t.Errorf("Parse(%q) = %v beside the error", tt.headers, got)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`Bearer realm="a b", error="invalid_token"`, `Basic realm="a\"b\\c"`, "Negotiate oRM==", "A a=, B b=c", "Bearer a = b,, c",
		`DPoP algs="ES256", Bearer scope="a"` + "\n" + `c=d`, `Bearer a="b`, "Bearer a=b a=c", ", ,", "Negotiate\nBasic realm=\"\xff\"",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, lines string) {
		got, err := challenge.Parse(strings.Split(lines, "\n"))
		if err != nil {
			if got != nil || strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("Parse(%q) = %v, %q, want one line and nothing else", lines, got, err)
			}
			return
		}
		written := write(got)
		if size := len(strings.Join(written, "")); size > challenge.MaxBytes {
			t.Skip("escapes made it longer than Parse reads")
		}
		again, err := challenge.Parse(written)
		if err != nil {
			t.Fatalf("Parse(%q), written from %q: %v", written, lines, err)
		}
		if diff := cmp.Diff(got, again); diff != "" {
			t.Errorf("Parse(%q), written from %q (-first +second):\n%s", written, lines, diff)
		}
	})
}

// write writes each challenge on a line of its own, with every character quoted
// that may be.
func write(challenges []challenge.Challenge) []string {
	quote := strings.NewReplacer(`"`, `\"`, `\`, `\\`)
	var lines []string
	for _, c := range challenges {
		line := c.Scheme + " " + c.Token68
		for _, name := range slices.Sorted(maps.Keys(c.Params)) {
			line += "," + name + `="` + quote.Replace(c.Params[name]) + `"`
		}
		lines = append(lines, line)
	}
	return lines
}
