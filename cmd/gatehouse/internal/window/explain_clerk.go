package window

import (
	"cmp"
	"fmt"
	"net/http"

	"github.com/gatehouse-mcp/gatehouse/diagnose"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// clerkError describes an error code of Clerk's, unless the table of package diagnose does. An
// empty field leaves the words of the event as they are.
type clerkError struct {
	short string // ends the headline "stopped at registration: …"
	why   string
	do    string
}

// registrationOff is Clerk's error code. The window also uses it for a client that finds
// no registration_endpoint in the metadata.
const registrationOff = "feature_requires_dynamic_oauth_client_registration"

var clerkErrors = map[string]clerkError{
	"access_denied": {
		short: "the user denied consent",
		why:   "The user pressed Deny, or is not allowed to sign in.",
		do:    "Sign in again and press Allow.",
	},
	"internal_clerk_error": {
		short: "Clerk has an outage",
		why:   "The local Clerk answers with an error because a fault is turned on.",
		do:    "Turn off the outage under Faults on this page.",
	},
	"canceled":                {short: "Clerk was too slow"},
	"invalid_client":          {short: "Clerk does not know the client"},
	"invalid_client_metadata": {short: "the client metadata is invalid"},
	"invalid_grant":           {short: "the authorization code or refresh token is no longer valid"},
	"invalid_redirect_uri":    {short: "the redirect URI is invalid"},
	"invalid_request":         {short: "the request is malformed"},
	"invalid_state":           {short: "the state parameter is too short"},
	"invalid_target":          {short: "the resource parameter is invalid"},
}

// explainEvent sets the outcome of s, the step of e, and its explanation.
func (w *Window) explainEvent(s *Step, e localclerk.Event) {
	s.errorCode = e.Error
	if s.Kind == kindMetadata && s.From == Client && offersNoRegistration(e) {
		s.errorCode = registrationOff
	}
	if s.errorCode == "" || s.Kind == kindOther && e.Status == http.StatusNotFound {
		s.Outcome = Succeeded
		if s.Status >= http.StatusBadRequest {
			s.Outcome = Neutral
		}
		return
	}
	s.Outcome = Failed
	if s.Kind == kindBackend && e.Status == http.StatusNotFound {
		s.Outcome = Neutral // Clerk does not know the token or the user that the server asked about
	}
	s.explain(w.explainClerkError(s.errorCode, e))
	s.Response.add("error code", s.errorCode)
}

// explainClerkError explains an error code of the local Clerk, in the words of package diagnose if
// "gatehouse doctor" finds the problem too.
func (w *Window) explainClerkError(code string, e localclerk.Event) explanation {
	if code == registrationOff {
		table := diagnose.ExplainNoRegistration(w.clerk.Issuer(), clerkDocumentation)
		return w.fromTable(table, redact(e.Problem))
	}
	if x, ok := w.explainScopes(e); ok {
		return x
	}
	c := clerkErrors[code]
	return explanation{
		why: cmp.Or(c.why, sentence(redact(e.Problem))), do: cmp.Or(c.do, sentence(redact(e.Fix))), headline: c.short,
	}
}

// offersNoRegistration reports whether e answers with metadata in which a client finds no
// way to register. A client that is registered already does not need one.
func offersNoRegistration(e localclerk.Event) bool {
	return e.Path == "/.well-known/oauth-authorization-server" && e.Response["issuer"] != "" &&
		e.Response["registration_endpoint"] == "" && e.Response["client_id_metadata_document_supported"] != "true"
}

// summary ends the headline of a run that stopped at s: "stopped at registration: …".
func (s Step) summary() string {
	return cmp.Or(s.headline, clause(s.Why), fmt.Sprintf("status %d", s.Status))
}

// stage returns the stage of a sign-in at which s failed.
func (s Step) stage() string { return kinds[s.failedKind()].stage }

// failedKind returns the kind of the step at which a sign-in stopped with s. A client that
// finds no way to register in the metadata stopped at registration.
func (s Step) failedKind() kind {
	if s.errorCode == registrationOff {
		return kindRegistration
	}
	return s.Kind
}
