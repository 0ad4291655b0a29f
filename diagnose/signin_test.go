package diagnose_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/diagnose"
)

// TestAddSignIn checks the findings of a sign-in. Each row changes one thing of one that
// succeeded.
func TestAddSignIn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(s *diagnose.SignIn)
		want   string
		level  diagnose.Level
		words  string
	}{
		"control": {func(*diagnose.SignIn) {}, "signin", diagnose.OK, "tools/list returned 3 tools; the token was refreshed"},
		"failed": {func(s *diagnose.SignIn) { s.Failed, s.Fix = "access was denied", "choose Allow" },
			"signin.failed", diagnose.Fault, "choose Allow"},
		"Entra ID": {func(s *diagnose.SignIn) { s.Failed = "invalid_target: AADSTS9010010: The resource parameter" },
			"signin.failed", diagnose.Fault, "Application ID URI"},
		"scope": {func(s *diagnose.SignIn) { s.Failed, s.Fix = "the issuer said: invalid_scope: no", "register again" },
			"signin.invalid_scope", diagnose.Fault, "register again"},
		"scope in another word": {func(s *diagnose.SignIn) { s.Failed = "xinvalid_scopes" }, "signin.failed", diagnose.Fault, ""},
		"tools": {func(s *diagnose.SignIn) { s.ToolsFailed, s.ToolsFix = "500", "the log" }, "signin.tools",
			diagnose.Fault, "the log"},
		"refresh": {func(s *diagnose.SignIn) { s.RefreshFailed = "invalid_grant" }, "signin.refresh", diagnose.Fault,
			"invalid_grant"},
		"no refresh": {func(s *diagnose.SignIn) { s.HasRefreshToken = false }, "signin.no_refresh", diagnose.Warning,
			"after 1h0m"},
		"scopes": {func(s *diagnose.SignIn) { s.Granted = []string{"email"} }, "signin.scopes", diagnose.Warning,
			"profile"},
		"skipped": {func(s *diagnose.SignIn) { s.Skipped = "the server has a fault" }, "signin", diagnose.Unchecked,
			"has a fault"},
		"left behind": {func(s *diagnose.SignIn) { s.LeftBehind = "client c1" },
			"signin", diagnose.OK, "left behind: client c1"},
		"secret": {func(s *diagnose.SignIn) { s.Failed = "token the-token is bad" }, "signin.failed", diagnose.Fault,
			"token [redacted] is bad"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := diagnose.SignIn{
				Issuer: issuerURL, Client: "c1", Requested: []string{"profile", "email", "offline_access"},
				Granted: []string{"email", "profile"},
				Token:   "the-token", Lifetime: time.Hour, Tools: 3, HasRefreshToken: true, Fix: "x",
			}
			test.change(&s)
			r := &diagnose.Report{}
			r.AddSignIn(s)
			if len(r.Findings) != 1 {
				t.Fatalf("findings %+v, want one", r.Findings)
			}
			f := r.Findings[0]
			if f.ID != test.want || f.Level != test.level || !strings.Contains(f.Evidence+f.Consequence+f.Fix, test.words) {
				t.Errorf("finding %+v, want %s %s with %q", f, test.level, test.want, test.words)
			}
			checkForm(t, r)
		})
	}
}
