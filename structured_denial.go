package gatehouse

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

const (
	// maxAuthorizationDetails bounds [DraftRemediation.AuthorizationDetails], in bytes.
	maxAuthorizationDetails = 16 << 10
	// maxRemediationText bounds the message and the URL of a [DraftRemediation], in bytes.
	maxRemediationText = 2048
	// codeURLElicitation is the JSON-RPC error code of MCP for a page that the user must open
	// (MCP 2025-11-25, client/elicitation, URL mode).
	codeURLElicitation = -32042
	// codeInsufficientDetails is the error code of a challenge for a token with other
	// authorization details (draft-zehavi-oauth-rar-metadata).
	codeInsufficientDetails = "insufficient_authorization_details"
)

// DraftRemediation is an error for [Require.Check] to return: it rejects the operation and says
// what would help. Clients see that only with [Config.DraftStructuredDenials], in the form of
// the draft SEP-2643 of MCP, which may change. What is set here is sent to the client, so it must
// not say what the caller may not know. Without the setting, it is an error like others.
type DraftRemediation struct {
	// Message is for the user, at most 2048 bytes. If empty, the phrase of the reason is sent.
	Message string

	// URL is a page on which the user can change what the server decides by, such as an approval.
	// It must be https, or http on loopback. The client gets the error of URL mode elicitation,
	// -32042, with status 200, because clients read that code in an answer only.
	URL string

	// AuthorizationDetails is the JSON array of authorization details that the client should
	// request (RFC 9396 §2): objects with a type, at most 16 KiB. The answer then has a challenge.
	AuthorizationDetails json.RawMessage

	// AdditionalCredential says that the client should keep the token that it has, and use the
	// new one for this operation only.
	AdditionalCredential bool

	// Err has the details, for logs only. It may be nil.
	Err error
}

// Error returns the details, or the message if there are none. r may be nil: a Check that returns a
// variable of this type, which was never set, returns an error that is not nil.
func (r *DraftRemediation) Error() string {
	switch {
	case r == nil:
		return "Check returned a *DraftRemediation that is nil; return nil as an error to allow the operation"
	case r.Err != nil:
		return r.Err.Error()
	}
	return cmp.Or(r.Message, "a remediation is needed")
}

// Unwrap returns Err.
func (r *DraftRemediation) Unwrap() error {
	if r == nil {
		return nil
	}
	return r.Err
}

// valid returns r without what is not valid. A URL of another scheme could start a program of
// the user, and a text of any length could fill a log.
func (r *DraftRemediation) valid() DraftRemediation {
	out := *r
	out.Message = quote.Clip(r.Message, maxRemediationText)
	if u, err := url.Parse(r.URL); err != nil || len(r.URL) > maxRemediationText || u.User != nil || u.Hostname() == "" ||
		u.Scheme != "https" && (u.Scheme != "http" || !wellknown.IsLoopback(u.Host)) {
		out.URL = ""
	}
	if !validAuthorizationDetails(r.AuthorizationDetails) {
		out.AuthorizationDetails = nil
	}
	return out
}

// validAuthorizationDetails reports whether text is an array of objects that name their type
// (RFC 9396 §2), in JSON that every client can read.
func validAuthorizationDetails(text []byte) bool {
	type detail struct {
		Type string `json:"type"`
	}
	var details []detail
	if len(text) > maxAuthorizationDetails || strictjson.Unmarshal(text, &details) != nil || len(details) == 0 {
		return false
	}
	return !slices.ContainsFunc(details, func(d detail) bool { return d.Type == "" })
}

// remediationOf returns the valid part of the remediation of a rejection by Check.
func remediationOf(rejection *Rejection) DraftRemediation {
	var r *DraftRemediation
	if rejection.Reason != reason.InsufficientPermission || !errors.As(rejection.Err, &r) || r == nil {
		return DraftRemediation{}
	}
	return r.valid()
}

// needsAuthorizationDetails reports whether the answer has a challenge for a token with other
// authorization details.
func (g *Guard) needsAuthorizationDetails(rejection Rejection) bool {
	return g.DraftStructuredDenials && remediationOf(&rejection).AuthorizationDetails != nil
}

// denials of check 8, in the sense of SEP-2643.
var structuredReasons = []Reason{reason.InsufficientScope, reason.InsufficientPermission, reason.NoOrganization}

type remediationHint struct {
	Type                 string          `json:"type"`
	AuthorizationDetails json.RawMessage `json:"authorization_details,omitempty"`
}

type urlElicitation struct {
	Mode    string `json:"mode"`
	ID      string `json:"elicitationId"`
	URL     string `json:"url"`
	Message string `json:"message"`
}

// denialData is the data of the JSON-RPC error: that of every rejection, and what the draft adds.
type denialData struct {
	errorBody
	Authorization struct {
		Reason                string            `json:"reason"`
		CredentialDisposition string            `json:"credentialDisposition,omitempty"`
		RemediationHints      []remediationHint `json:"remediationHints,omitempty"`
	} `json:"authorization"`
	Elicitations []urlElicitation `json:"elicitations,omitempty"`
}

// denialOf returns the JSON-RPC error for a rejection: its code, message and data. The data is nil
// if the rejection is not a denial.
func denialOf(rejection *Rejection) (code int, message string, data *denialData) {
	info := infoOf(rejection.Reason)
	if !slices.Contains(structuredReasons, info.Reason) {
		return codeForbidden, info.Phrase, nil
	}
	r := remediationOf(rejection)
	code, message, data = codeForbidden, cmp.Or(r.Message, info.Phrase), &denialData{errorBody: newErrorBody(info)}
	data.Authorization.Reason = "insufficient_authorization"
	if r.AdditionalCredential {
		data.Authorization.CredentialDisposition = "additional"
	}
	hint := func(h remediationHint) {
		data.Authorization.RemediationHints = append(data.Authorization.RemediationHints, h)
	}
	if r.AuthorizationDetails != nil {
		hint(remediationHint{"oauth_authorization_details", r.AuthorizationDetails})
	}
	if r.URL != "" {
		code = codeURLElicitation
		hint(remediationHint{Type: "url"})
		data.Elicitations = []urlElicitation{{"url", rand.Text(), r.URL, message}}
	}
	return code, message, data
}

// writeDenial answers a request that check 8 rejected with a JSON-RPC error, and returns the
// status. It returns 0 if the body was not one JSON-RPC request, or if something else rejected
// it, and has written nothing then.
func (g *Guard) writeDenial(w http.ResponseWriter, r *http.Request, rejection Rejection, challenge string, info ReasonInfo) int {
	code, text, data := denialOf(&rejection)
	if _, method := requestIn(r); data == nil || method == "" {
		return 0
	}
	status := info.Status
	if code == codeURLElicitation {
		status = http.StatusOK
	} else if challenge != "" {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	if !writeErrorResponse(w, r, status, code, text, data) {
		return 0
	}
	return status
}
