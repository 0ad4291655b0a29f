package signin

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// TestExplainReason checks that the reason of Gatehouse's guard leads to the texts of
// package reason, except where the user can do something better.
func TestExplainReason(t *testing.T) {
	t.Parallel()
	const resource = "https://mcp.example.com/mcp"
	for _, test := range []struct {
		name              string
		answer            trace.Answer
		wantErr, wantHint string
	}{
		{
			name:     "rejected token",
			answer:   trace.Answer{Status: 401, WithToken: true, Reason: reason.WrongAudience},
			wantErr:  `"https://mcp.example.com/mcp" rejects the request with 401: wrong_audience (WHEN)`,
			wantHint: "what the operator of the server can do: DO",
		},
		{
			name:     "no token",
			answer:   trace.Answer{Status: 401, Reason: reason.NoCredentials},
			wantErr:  `"https://mcp.example.com/mcp" asks for sign-in: no_credentials`,
			wantHint: "run the command again to sign in",
		},
		{
			name:     "missing permission",
			answer:   trace.Answer{Status: 403, WithToken: true, Reason: reason.InsufficientPermission},
			wantErr:  `"https://mcp.example.com/mcp" rejects the request with 403: insufficient_permission (WHEN)`,
			wantHint: "sign in as another user (--logout first); what the operator of the server can do: DO",
		},
		{
			name:     "wrong host, before sign-in",
			answer:   trace.Answer{Status: 403, Reason: reason.ForbiddenHost},
			wantErr:  `"https://mcp.example.com/mcp" rejects the request with 403: forbidden_host (WHEN)`,
			wantHint: "what the operator of the server can do: DO",
		},
		{
			name: "missing scope",
			answer: trace.Answer{
				Status:    403,
				WithToken: true,
				Reason:    reason.InsufficientScope,
				Challenge: map[string]string{"error": "insufficient_scope", "scope": "b a"},
			},
			wantErr: `"https://mcp.example.com/mcp" asks for scope "b a", and the sign-in has "x y": insufficient_scope`,
			wantHint: `the authorization server did not grant "b a": check that the scope exists there and that you may have it, ` +
				"then --logout and sign in again",
		},
		{
			name: "scope that the sign-in has",
			answer: trace.Answer{
				Status:    403,
				WithToken: true,
				Reason:    reason.InsufficientScope,
				Challenge: map[string]string{"error": "insufficient_scope", "scope": "x"},
			},
			wantErr: `"https://mcp.example.com/mcp" asks for scope "x", and the sign-in has "x y": insufficient_scope`,
			wantHint: "the authorization server did not grant it: check that the scope exists there and that you may have it, " +
				"then --logout and sign in again",
		},
		{
			name:     "provider unavailable",
			answer:   trace.Answer{Status: 503, WithToken: true, RetryAfter: "7", Reason: reason.ProviderUnavailable},
			wantErr:  `"https://mcp.example.com/mcp" rejects the request with 503: provider_unavailable (WHEN)`,
			wantHint: "try again in a moment (Retry-After: 7); what the operator of the server can do: DO",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			info, ok := reason.InfoOf(test.answer.Reason)
			if !ok {
				t.Fatalf("%q is not a reason", test.answer.Reason)
			}
			texts := strings.NewReplacer("WHEN", info.When, "DO", info.Do)
			got := ExplainAnswer(&test.answer, resource, []string{"y", "x"})
			if diff := cmp.Diff(texts.Replace(test.wantErr), got.Problem); diff != "" {
				t.Errorf("problem (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(texts.Replace(test.wantHint), got.Hint); diff != "" {
				t.Errorf("hint (-want +got):\n%s", diff)
			}
		})
	}
}
