package signin

import (
	"strings"
	"testing"
)

func TestExplainChallengeInResult(t *testing.T) {
	t.Parallel()
	const challenge = `Bearer resource_metadata="https://a.example/x", scope="profile notes:write", error="insufficient_scope"`
	held := []string{"profile"}
	for _, test := range []struct {
		name    string
		meta    any // of the member mcp/www_authenticate
		held    []string
		wantErr string // empty if there is no explanation
	}{
		{"challenge", []any{challenge}, held, `tool "write" needs scope "notes:write", and the sign-in has "profile"`},
		{"second of two", []any{"Basic", challenge}, held, `needs scope "notes:write"`},
		{"without a sign-in", []any{challenge}, nil, `needs scope "profile notes:write", and the sign-in has ""`},
		{"control characters", []any{strings.Replace(challenge, "notes:write", "a\x1b[2J", 1)}, held, `needs scope "a\x1b[2J"`},
		{"scope that the sign-in has", []any{challenge}, []string{"profile", "notes:write"}, ""},
		{"other error", []any{strings.Replace(challenge, "insufficient_scope", "invalid_token", 1)}, held, ""},
		{"no scope", []any{`Bearer error="insufficient_scope"`}, held, ""},
		{"not Bearer", []any{strings.Replace(challenge, "Bearer", "Basic", 1)}, held, ""},
		{"not a list", challenge, held, ""},
		{"not text", []any{7}, held, ""},
		{"too long", []any{challenge + strings.Repeat(",", 10_000)}, held, ""},
		{"none", nil, held, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := ExplainChallengeInResult("write", map[string]any{"mcp/www_authenticate": test.meta}, test.held)
			switch {
			case test.wantErr == "":
				if f != nil {
					t.Errorf("got %v, want none", f)
				}
			case f == nil || !strings.Contains(f.Error(), test.wantErr):
				t.Errorf("got %v, want %q in it", f, test.wantErr)
			case !strings.Contains(f.Hint, "run the command again with --scope"):
				t.Errorf("got the hint %q", f.Hint)
			}
		})
	}
}
