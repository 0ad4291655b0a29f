package signin

import (
	"net/http"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

const (
	challengeMeta    = "mcp/www_authenticate" // member of _meta with a list of challenges
	maxChallengeText = 300                    // bytes shown of the scopes of such a challenge
)

// ExplainChallengeInResult explains the result of a failed tool whose _meta asks for more scopes,
// in place of status 403. This is how servers answer ChatGPT
// (https://developers.openai.com/apps-sdk/build/auth). held are the scopes of the sign-in. It
// returns nil if meta has no such challenge.
func ExplainChallengeInResult(tool string, meta map[string]any, held []string) *failure.Error {
	header := http.Header{}
	challenges, _ := meta[challengeMeta].([]any)
	for _, challenge := range challenges {
		if text, ok := challenge.(string); ok {
			header.Add("WWW-Authenticate", text)
		}
	}
	challenge := trace.BearerChallenge(header)
	lacking := missing(strings.Fields(challenge["scope"]), held)
	if challenge["error"] != "insufficient_scope" || len(lacking) == 0 {
		return nil
	}
	scope := quote.Clip(strings.Join(lacking, " "), maxChallengeText)
	return failure.New(
		"the server asks for it in the result, as ChatGPT expects; to sign in with it, run the command again with --scope "+
			quote.String(scope),
		"tool %q needs scope %q, and the sign-in has %q", tool, scope, trace.SortedScope(strings.Join(held, " ")))
}
