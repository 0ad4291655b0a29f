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
		where   = `Bearer resource_metadata="` + metadata + `", `
		scopes  = `scope="profile mcp:write"`
		code    = `error="insufficient_scope"`
		text    = `error_description="the token lacks a scope"`
		noWhere = `Bearer ` + scopes + `, ` + code + `, ` + text
	)
	tests := []struct {
		name   string
		change func(*challenge.Bearer)
		want   string
	}{
		{"control", func(*challenge.Bearer) {}, where + scopes + `, ` + code + `, ` + text},
		{"no error", func(b *challenge.Bearer) { b.Error, b.ErrorDescription = "", "" }, where + scopes},
		{"no scope", func(b *challenge.Bearer) { b.Scopes = nil }, where + code + `, ` + text},
		{"no metadata", func(b *challenge.Bearer) { b.ResourceMetadata = "" }, noWhere},
		{"nothing", func(b *challenge.Bearer) { *b = challenge.Bearer{} }, `Bearer`},

		{"metadata with quote", func(b *challenge.Bearer) { b.ResourceMetadata += `", scope="admin` }, noWhere},
		{"metadata with space", func(b *challenge.Bearer) { b.ResourceMetadata += ` x` }, noWhere},
		{"metadata with newline", func(b *challenge.Bearer) { b.ResourceMetadata += "\r\nSet-Cookie: a=b" }, noWhere},
		{
			"empty scope",
			func(b *challenge.Bearer) { b.Scopes = []string{"a", "", "b"} },
			where + `scope="a b", ` + code + `, ` + text,
		},
		{
			"scope with quote",
			func(b *challenge.Bearer) { b.Scopes = []string{`a"`, "b"} },
			where + `scope="b", ` + code + `, ` + text,
		},
		{
			"scope with space",
			func(b *challenge.Bearer) { b.Scopes = []string{"a admin", "b"} },
			where + `scope="b", ` + code + `, ` + text,
		},
		{"scope with backslash", func(b *challenge.Bearer) { b.Scopes = []string{`a\`} }, where + code + `, ` + text},
		{"error with newline", func(b *challenge.Bearer) { b.Error = "invalid_token\n" }, where + scopes + `, ` + text},
		{
			"description with equals",
			func(b *challenge.Bearer) { b.ErrorDescription = "no scope=admin here" },
			where + scopes + `, ` + code,
		},
		{
			"description with umlaut",
			func(b *challenge.Bearer) { b.ErrorDescription = "ungültig" },
			where + scopes + `, ` + code,
		},
		{
			"description with delete",
			func(b *challenge.Bearer) { b.ErrorDescription = "a\x7f" },
			where + scopes + `, ` + code,
		},
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

var wellFormed = regexp.MustCompile(`^Bearer( (resource_metadata="[!-~]+")?(, |$)?(scope="[ -~]+")?(, |$)?` +
	`(error="[ -~]+")?(, |$)?(error_description="[ -~]+")?)?$`)

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
		got, err := oauthex.ParseWWWAuthenticate([]string{header})
		if err != nil {
			t.Fatalf("the go-sdk cannot read %q: %v", header, err)
		}
		want := []oauthex.Challenge{{Scheme: "bearer", Params: wantParams(b)}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the go-sdk reads %q differently (-want +got):\n%s", header, diff)
		}
	})
}

var (
	urlValue    = regexp.MustCompile(`^[!#-\[\]-~]+$`)
	phraseValue = regexp.MustCompile(`^[ !#-<>-\[\]-~]+$`)
)

// wantParams returns the parameters that the challenge of b should have, by the grammar
// of RFC 6750, section 3.
func wantParams(b challenge.Bearer) map[string]string {
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
