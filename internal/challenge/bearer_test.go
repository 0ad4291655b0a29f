package challenge_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/gatehouse-mcp/gatehouse/internal/challenge"
)

const metadata = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"

func TestBearerString(t *testing.T) {
	t.Parallel()
	full := func(change func(*challenge.Bearer)) challenge.Bearer {
		b := challenge.Bearer{
			ResourceMetadata: metadata,
			Scopes:           []string{"profile", "mcp:write"},
			Error:            "insufficient_scope",
			ErrorDescription: "the token lacks a scope",
		}
		change(&b)
		return b
	}
	const (
		where = `Bearer resource_metadata="` + metadata + `", `
		code  = `error="insufficient_scope", error_description="the token lacks a scope"`
	)
	tests := []struct {
		name   string
		change func(*challenge.Bearer)
		want   string
	}{
		{"control", func(*challenge.Bearer) {}, where + `scope="profile mcp:write", ` + code},
		{"no error", func(b *challenge.Bearer) { b.Error, b.ErrorDescription = "", "" }, where + `scope="profile mcp:write"`},
		{"no scope", func(b *challenge.Bearer) { b.Scopes = nil }, where + code},
		{"no metadata", func(b *challenge.Bearer) { b.ResourceMetadata = "" }, `Bearer scope="profile mcp:write", ` + code},
		{"nothing", func(b *challenge.Bearer) { *b = challenge.Bearer{} }, `Bearer`},

		{"metadata with quote", func(b *challenge.Bearer) { b.ResourceMetadata += `", scope="admin` }, `Bearer scope="profile mcp:write", ` + code},
		{"metadata with space", func(b *challenge.Bearer) { b.ResourceMetadata += ` x` }, `Bearer scope="profile mcp:write", ` + code},
		{"metadata with newline", func(b *challenge.Bearer) { b.ResourceMetadata += "\r\nSet-Cookie: a=b" }, `Bearer scope="profile mcp:write", ` + code},
		{"empty scope", func(b *challenge.Bearer) { b.Scopes = []string{"a", "", "b"} }, where + `scope="a b", ` + code},
		{"scope with quote", func(b *challenge.Bearer) { b.Scopes = []string{`a"`, "b"} }, where + `scope="b", ` + code},
		{"scope with space", func(b *challenge.Bearer) { b.Scopes = []string{"a admin", "b"} }, where + `scope="b", ` + code},
		{"scope with backslash", func(b *challenge.Bearer) { b.Scopes = []string{`a\`} }, where + code},
		{"error with newline", func(b *challenge.Bearer) { b.Error = "invalid_token\n" }, where + `scope="profile mcp:write", error_description="the token lacks a scope"`},
		{"description with equals", func(b *challenge.Bearer) { b.ErrorDescription = "no scope=admin here" }, where + `scope="profile mcp:write", error="insufficient_scope"`},
		{"description with umlaut", func(b *challenge.Bearer) { b.ErrorDescription = "ungültig" }, where + `scope="profile mcp:write", error="insufficient_scope"`},
		{"description with delete", func(b *challenge.Bearer) { b.ErrorDescription = "a\x7f" }, where + `scope="profile mcp:write", error="insufficient_scope"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, full(tt.change).String()); diff != "" {
				t.Errorf("String (-want +got):\n%s", diff)
			}
		})
	}
}

var wellFormed = regexp.MustCompile(`^Bearer( (resource_metadata="[!-~]+")?(, |$)?(scope="[ -~]+")?(, |$)?(error="[ -~]+")?(, |$)?(error_description="[ -~]+")?)?$`)

func FuzzBearerString(f *testing.F) {
	f.Add(metadata, "profile email", "invalid_token", "the token is expired")
	f.Add("", "", "", "")
	f.Add(`https://a/"`, "a\\ b\"c", "a=b", "no scope=admin here")
	f.Add("https://a/,b", "a,b=c", "e\r\nX: y", "d\x00")
	f.Fuzz(func(t *testing.T, metadata, scope, code, description string) {
		b := challenge.Bearer{ResourceMetadata: metadata, Scopes: strings.Split(scope, " "), Error: code, ErrorDescription: description}
		header := b.String()
		if !wellFormed.MatchString(header) {
			t.Fatalf("String = %q, want the four parameters in order", header)
		}
		if len(header) > challenge.MaxBytes {
			t.Skip("longer than Parse reads")
		}
		got, err := challenge.Parse([]string{header})
		if err != nil {
			t.Fatalf("Parse(%q): %v", header, err)
		}
		if diff := cmp.Diff([]challenge.Challenge{{Scheme: "Bearer", Params: kept(b)}}, got); diff != "" {
			t.Errorf("Parse(%q) (-want +got):\n%s", header, diff)
		}
		theirs, err := oauthex.ParseWWWAuthenticate([]string{header})
		if err != nil || len(theirs) != 1 {
			t.Fatalf("go-sdk reads %q as %v, %v", header, theirs, err)
		}
		for name, value := range got[0].Params {
			if theirs[0].Params[name] != value {
				t.Errorf("go-sdk reads %s of %q as %q, want %q", name, header, theirs[0].Params[name], value)
			}
		}
	})
}

var (
	urlValue    = regexp.MustCompile(`^[!#-\[\]-~]+$`)
	phraseValue = regexp.MustCompile(`^[ !#-<>-\[\]-~]+$`)
)

// kept returns the parameters that a challenge of b has, by the grammar of RFC
// 6750, section 3.
func kept(b challenge.Bearer) map[string]string {
	params := map[string]string{}
	if urlValue.MatchString(b.ResourceMetadata) {
		params["resource_metadata"] = b.ResourceMetadata
	}
	var scopes []string
	for _, scope := range b.Scopes {
		if urlValue.MatchString(scope) {
			scopes = append(scopes, scope)
		}
	}
	if len(scopes) > 0 {
		params["scope"] = strings.Join(scopes, " ")
	}
	if phraseValue.MatchString(b.Error) {
		params["error"] = b.Error
	}
	if phraseValue.MatchString(b.ErrorDescription) {
		params["error_description"] = b.ErrorDescription
	}
	if len(params) == 0 {
		return nil
	}
	return params
}
