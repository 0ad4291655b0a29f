package diagnose

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

// SignIn is what a sign-in with a new client showed. Run makes none, because that changes
// something at the issuer; the command "gatehouse doctor --sign-in" does.
type SignIn struct {
	// Failed says why the sign-in failed, and Fix what to do about it. Failed is empty for
	// a sign-in that did not fail.
	Failed, Fix string

	// Skipped says why no sign-in was tried. The other fields are then empty.
	Skipped string

	Issuer, Client   string
	Requested        []string // scopes
	Granted          []string
	Token            gatehouse.Secret // the access token; for what it says about itself
	Lifetime         time.Duration    // of the access token; 0 if unknown
	Tools            int              // that tools/list returned
	ToolsFailed      string           // why it failed; empty if it did not
	ToolsFix         string
	HasRefreshToken  bool
	RefreshFailed    string // why a refresh failed; empty if it did not, or was not tried
	LeftBehind       string // what could not be removed afterwards, and how to; empty if nothing
	RegisteredClient bool   // the run registered the client
}

// invalidScope matches the error code of RFC 6749 section 4.1.2.1.
var invalidScope = regexp.MustCompile(`\binvalid_scope\b`)

// IsEndpoint reports whether the target is an MCP endpoint, and not an issuer.
func (r *Report) IsEndpoint() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool {
		name, _, _ := strings.Cut(f.ID, ".")
		return name == "endpoint"
	})
}

// Blocking returns the first fault with which no new client can sign in, or nil if there is
// none.
func (r *Report) Blocking() *Finding {
	_, last := checkOf("registration")
	for i := range r.Findings {
		if _, at := checkOf(r.Findings[i].ID); at <= last && r.Findings[i].Level == Fault {
			return &r.Findings[i]
		}
	}
	return nil
}

// AddSignIn adds the findings of a sign-in to the report.
func (r *Report) AddSignIn(s SignIn) {
	d := &doctor{findings: r.Findings, cfg: Config{Token: s.Token}}
	switch {
	case s.Skipped != "":
		d.skip("signin", s.Skipped, "")
	case s.Failed != "":
		d.addFailedSignIn(s)
	default:
		d.addSignIn(s)
	}
	r.Findings = sorted(d.findings)
}

// addFailedSignIn adds the reason of a failure. The error code of the issuer decides which row of
// the table it is; errors of Microsoft Entra ID name their cause by a code of their own.
func (d *doctor) addFailedSignIn(s SignIn) {
	if e := Explain("signin.invalid_scope"); invalidScope.MatchString(s.Failed) {
		e.Fix = s.Fix
		d.foundProblem(e, s.Failed+leftBehind(s))
		return
	}
	d.found("signin.failed", s.Failed+leftBehind(s), "fix", s.Fix)
	f := &d.findings[len(d.findings)-1]
	if e, ok := ExplainEntra(s.Failed); ok {
		f.Title, f.Consequence, f.Fix = e.Title, e.Consequence, e.Fix
	}
}

func (d *doctor) addSignIn(s SignIn) {
	evidence := fmt.Sprintf("client %s at %s asked for %s and got %s", quote.String(s.Client), s.Issuer,
		quote.List(s.Requested), quote.List(s.Granted))
	if s.ToolsFailed != "" {
		d.found("signin.tools", s.ToolsFailed, "fix", s.ToolsFix)
	}
	if s.RefreshFailed != "" {
		d.found("signin.refresh", s.RefreshFailed)
	}
	if !s.HasRefreshToken {
		d.found("signin.no_refresh", evidence+"; the token response has no refresh_token", "lifetime", lifetime(s.Lifetime))
	}
	lacking := slices.DeleteFunc(slices.Clone(s.Requested), func(scope string) bool {
		return slices.Contains(s.Granted, scope) || scope == "offline_access"
	})
	if len(lacking) > 0 {
		d.found("signin.scopes", evidence, "scopes", strings.Join(lacking, ", "))
	}
	refreshed := "; the token was refreshed"
	if !s.HasRefreshToken || s.RefreshFailed != "" {
		refreshed = ""
	}
	d.ok("signin", "%s; tools/list returned %d tools%s%s", evidence, s.Tools, refreshed, leftBehind(s))
}

func leftBehind(s SignIn) string {
	if s.LeftBehind == "" {
		return ""
	}
	return "; left behind: " + s.LeftBehind
}

func lifetime(d time.Duration) string {
	if d <= 0 {
		return "a time that the response does not say"
	}
	return seconds(d)
}
