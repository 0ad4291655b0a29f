package quote_test

import (
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

func TestClip(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		text     string
		maxBytes int
		want     string
	}{
		{"empty", "", 4, ""},
		{"shorter", "abc", 4, "abc"},
		{"exactly the limit", "abcd", 4, "abcd"},
		{"longer", "abcde", 4, "abcd…"},
		{"nothing allowed", "abc", 0, "…"},
		{"two-byte character across the limit", "abcü", 4, "abc…"},
		{"two-byte character before the limit", "abüc", 4, "abü…"},
		{"four-byte character across the limit", "a🔑b", 4, "a…"},
		{"only a character that is too long", "🔑", 3, "…"},
		{"short and not UTF-8", "a\xffb", 4, "a\ufffdb"},
		{"long and not UTF-8", "a\xffbcd", 4, "a\ufffdbc…"},
		{"only continuation bytes", strings.Repeat("\x80", 9), 6, "\ufffd…"},
		{"line break", "a\nb", 4, "a\nb"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := quote.Clip(tt.text, tt.maxBytes); got != tt.want {
				t.Errorf("Clip(%q, %d) = %q, want %q", tt.text, tt.maxBytes, got, tt.want)
			}
		})
	}
}

func TestString(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", quote.MaxBytes)
	tests := []struct{ name, text, want string }{
		{"empty", "", `""`},
		{"plain", "abc", `"abc"`},
		{"quotes and line breaks", "a\"\r\n", `"a\"\r\n"`},
		{"not UTF-8", "a\xff", `"a\xff"`},
		{"exactly the limit", long, `"` + long + `"`},
		{"longer", long + "y", `"` + long + `…"`},
		{"character across the limit", long[1:] + "ü", `"` + long[1:] + `…"`},
		{"only continuation bytes", strings.Repeat("\x80", 200), `"` + strings.Repeat(`\x80`, 128) + `…"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := quote.String(tt.text); got != tt.want {
				t.Errorf("String(%q) = %s, want %s", tt.text, got, tt.want)
			}
		})
	}
}

func TestListAndOneOf(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", quote.MaxBytes+1)
	tests := []struct {
		name      string
		items     []string
		wantList  string
		wantOneOf string
	}{
		{"none", nil, `[]`, `one of []`},
		{"one", []string{"a"}, `["a"]`, `"a"`},
		{"two", []string{"a", "b"}, `["a", "b"]`, `one of ["a", "b"]`},
		{"four", []string{"a", "b", "c", "d"}, `["a", "b", "c", "d"]`, `one of ["a", "b", "c", "d"]`},
		{
			"six",
			[]string{"a", "b", "c", "d", "e", "f"},
			`["a", "b", "c", "d", 2 more]`,
			`one of ["a", "b", "c", "d", 2 more]`,
		},
		{"a long item", []string{long}, `["` + long[1:] + `…"]`, `"` + long[1:] + `…"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := quote.List(tt.items); got != tt.wantList {
				t.Errorf("List = %s, want %s", got, tt.wantList)
			}
			if got := quote.OneOf(tt.items); got != tt.wantOneOf {
				t.Errorf("OneOf = %s, want %s", got, tt.wantOneOf)
			}
		})
	}
}

func FuzzClip(f *testing.F) {
	f.Add("", 0)
	f.Add("abcü", 4)
	f.Add("\x80\x80\x80\x80\x80\x80", 5)
	f.Add("a🔑b\xff", 3)
	f.Fuzz(func(t *testing.T, text string, maxBytes int) {
		if maxBytes < 0 || maxBytes > len(text) {
			return
		}
		got := quote.Clip(text, maxBytes)
		if !utf8.ValidString(got) {
			t.Errorf("Clip(%q, %d) = %q, which is not UTF-8", text, maxBytes, got)
		}
		if !utf8.ValidString(text) {
			return
		}
		head, isCut := strings.CutSuffix(got, "…")
		if len(text) > maxBytes && (!isCut || len(head) > maxBytes || len(head) < maxBytes-3 || !strings.HasPrefix(text, head)) {
			t.Errorf("Clip(%q, %d) = %q, want the longest beginning that fits", text, maxBytes, got)
		}
		unquoted, err := strconv.Unquote(quote.String(text))
		if err != nil || !strings.HasPrefix(text, strings.TrimSuffix(unquoted, "…")) {
			t.Errorf("String(%q) = %s: %v", text, quote.String(text), err)
		}
	})
}
