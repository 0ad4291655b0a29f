package window

import (
	"fmt"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/diagnose"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// fromTable returns the explanation of a problem that "gatehouse doctor" finds too, in its words.
// seen says what was seen, in a phrase; it may be empty.
func (w *Window) fromTable(e diagnose.Explanation, seen string) explanation {
	why := redact(e.Title)
	if seen != "" {
		why += ": " + seen
	}
	return explanation{
		why:      sentence(why),
		effect:   sentence(redact(e.Consequence)),
		do:       strings.TrimSpace(sentence(redact(e.Fix)) + " " + w.here(e.ID)),
		headline: redact(e.Clause()),
		problem:  e.ID,
	}
}

// Where a setting is on the page.
const (
	lookAtFaults   = "On this page: look at Faults."
	setClerkClock  = "On this page: set Clerk’s clock to the right time under Faults."
	turnOnInPage   = "On this page: turn on “%s” under Clerk settings."
	lookAtOutput   = "Look at the output of your server: it must listen on the port in the environment variable PORT, or at --upstream."
	addDefaultHere = "On this page: change “Default scopes for dynamic clients” under Clerk settings, and have the client register again."
)

// hereByProblem says for problems of the table where their fix is on the page, or in what
// "gatehouse dev" gives to a server. The table is about servers that are deployed.
var hereByProblem = map[string]string{
	"registration.closed_clerk": fmt.Sprintf(turnOnInPage, "Dynamic client registration"),
	"scopes.organization":       fmt.Sprintf(turnOnInPage, "Organizations"),
	"scopes.unknown":            "On this page: add it to “Custom scopes” under More settings.",
	"scopes.openid":             addDefaultHere,
	"scopes.default":            addDefaultHere,
	"signin.invalid_scope":      addDefaultHere,
	"clerk.default_scopes":      addDefaultHere,
	"clerk.opaque":              fmt.Sprintf(turnOnInPage, "Generate access tokens as JWTs"),
	"server.error":              lookAtFaults,
	"keys.unreachable":          lookAtFaults,
	"issuer.unreachable":        lookAtFaults,
	"token.unavailable":         lookAtFaults + " The server accepts tokens again as soon as Clerk answers.",
	"clock.differs":             setClerkClock,
	"clock.machine":             setClerkClock,
	"endpoint.gateway":          lookAtOutput,
	"revisions.neither":         lookAtOutput,
}

// here returns where the fix of a problem is in "gatehouse dev", in sentences, or "".
func (w *Window) here(id string) string {
	about, _, _ := strings.Cut(id, ".")
	if about == "resource" || id == "challenge.other_host" || id == "challenge.plain_http" {
		return fmt.Sprintf("With “gatehouse dev” the public URL is %q; the environment variable MCP_URL has its origin.", w.config.Endpoint)
	}
	return hereByProblem[id]
}

// hereOfFinding is here for a finding of a check. For a token that the server rejects, it depends on
// the reason, which is in the fix.
func (w *Window) hereOfFinding(f *diagnose.Finding) string {
	if f.ID != "revisions.rejected" {
		return w.here(f.ID)
	}
	because := func(r reason.Reason) bool {
		info, ok := reason.InfoOf(r)
		return ok && strings.HasPrefix(f.Fix, info.When)
	}
	switch {
	case because(reason.Opaque):
		return w.here("clerk.opaque")
	case because(reason.Unbound):
		return fmt.Sprintf(turnOnInPage, "Audience claim")
	case w.clerk.Faults().ClockOffset.Abs() >= noticeableOffset && (because(reason.NotYetValid) || because(reason.Expired)):
		return setClerkClock
	}
	return ""
}

// explainScopes explains a rejection by the local Clerk that is about scopes. ok is false if the
// event is not one.
func (w *Window) explainScopes(e localclerk.Event) (_ explanation, ok bool) {
	isRegistration := e.Step == localclerk.StepRegistration && strings.Contains(e.Problem, "scope")
	if e.Error != "invalid_scope" && !isRegistration {
		return explanation{}, false
	}
	asked, supported := strings.Fields(e.Request["scope"]), w.clerk.Settings().SupportedScopes()
	seen := redact(e.Problem)
	if isRegistration {
		x, ok := diagnose.ExplainScopes(asked, supported, w.clerk.Issuer(), clerkDocumentation)
		return w.fromTable(x, seen), ok
	}
	return w.fromTable(diagnose.ExplainInvalidScope(e.Problem, asked, supported, w.clerk.Issuer(), clerkDocumentation), seen), true
}

// clerkDocumentation begins service_documentation in the metadata of Clerk, by which it is
// recognized.
const clerkDocumentation = "https://clerk.com/"
