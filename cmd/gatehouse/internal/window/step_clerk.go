package window

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

var kindsOfEvents = map[localclerk.Step]kind{
	localclerk.StepMetadata:      kindMetadata,
	localclerk.StepKeys:          kindKeys,
	localclerk.StepRegistration:  kindRegistration,
	localclerk.StepAuthorization: kindAuthorization,
	localclerk.StepPage:          kindPage,
	localclerk.StepDecision:      kindDecision,
	localclerk.StepToken:         kindToken,
	localclerk.StepUserInfo:      kindUserInfo,
	localclerk.StepIntrospection: kindIntrospection,
	localclerk.StepRevocation:    kindRevocation,
	localclerk.StepBackend:       kindBackend,
	localclerk.StepPreflight:     kindPreflight,
	localclerk.StepOther:         kindOther,
}

// stepOfClerk returns the step of an event, in which secrets are shortened already.
func (w *Window) stepOfClerk(e localclerk.Event) (Step, owner) {
	k := kindOfEvent(e)
	s := Step{
		Time: e.Time, Took: milliseconds(e.Took),
		From: senderOf(k, e), To: Clerk,
		Kind:     k,
		Title:    titleOf(k, e, w.userName(e.User)),
		Spec:     specOf(k, e),
		Line:     e.Method + " " + redact(e.Path),
		Status:   e.Status,
		Purpose:  kinds[k].purpose,
		Request:  messageOf(e.Request),
		Response: messageOf(e.Response),
	}
	s.Request.add("User-Agent", redact(e.UserAgent))
	s.Request.add("Origin", redact(e.Origin))
	w.explainEvent(&s, e)
	o := owner{
		userAgent:   e.UserAgent,
		clientID:    cmp.Or(e.Client, stringMember(e.Request["Authorization.claims"], "client_id")),
		client:      e.ClientName,
		transaction: cmp.Or(e.Request["transaction"], e.Response["transaction"]),
		fromBrowser: s.From == Browser,
		fromServer:  s.From == Server,
	}
	if e.User != "" {
		o.user = w.userName(e.User)
	}
	if s.From == Server && w.isOfCheck(o, e.Time) {
		o.fromCheck, o.clientID, o.user = true, "", ""
	}
	if k == kindToken || k == kindRefresh {
		o.issued = w.issuedToken(e)
	}
	return s, o
}

// isOfCheck reports whether a request of the MCP server to Clerk may be a consequence of a check: it
// is about a token of a check, or about no client while a check runs.
func (w *Window) isOfCheck(o owner, at time.Time) bool {
	return o.clientID == w.checkClient || o.clientID == "" && w.checkTime.contains(at)
}

func kindOfEvent(e localclerk.Event) kind {
	switch k := cmp.Or(kindsOfEvents[e.Step], kindOther); {
	case k == kindToken && e.Request["grant_type"] == "refresh_token":
		return kindRefresh
	case k == kindAuthorization && e.Response["code"] != "":
		return kindDecision // without pages, because localclerk's headers decided
	default:
		return k
	}
}

// senderOf returns who sent the request: some endpoints are used only by the browser or
// by the server, and a Gatehouse server has a User-Agent of its own.
func senderOf(k kind, e localclerk.Event) Party {
	switch k {
	case kindAuthorization, kindPage, kindDecision:
		if e.Request[localclerk.SignInHeader] != "" {
			return Client // without pages, so without a browser
		}
		return Browser
	case kindKeys, kindUserInfo, kindIntrospection, kindBackend:
		return Server
	case kindMetadata:
		// The second one is that of the checks with which a server begins. It is also that of
		// "gatehouse doctor", whose other requests are steps of a client.
		if e.UserAgent == "gatehouse" || e.UserAgent == "gatehouse-doctor" {
			return Server
		}
	}
	return Client
}

func titleOf(k kind, e localclerk.Event, user string) string {
	switch {
	case k == kindMetadata && senderOf(k, e) == Server:
		return "Fetches Clerk's metadata"
	case k == kindRegistration && cmp.Or(e.ClientName, e.Request["client_name"]) != "":
		return "Registers as " + redactName(cmp.Or(e.ClientName, e.Request["client_name"]))
	case k == kindPage && e.Status == http.StatusOK && e.User != "":
		return "Shows the consent page to " + user
	case k == kindPage && e.Status == http.StatusOK:
		return "Shows the sign-in page"
	case k == kindDecision && e.Request["action"] == "sign_in":
		return "Chooses an account"
	case k == kindDecision && e.Request["action"] == "sign_out":
		return "Switches the account"
	case k == kindDecision && e.Error == "access_denied":
		return "Denies access" + asUser(user)
	case k == kindDecision && e.Step == localclerk.StepAuthorization:
		return "Signs in and allows access" + asUser(user)
	case k == kindDecision && e.Response["code"] != "":
		return "Allows access" + asUser(user)
	}
	return kinds[k].title
}

// specOf returns the name of a request in its specification.
func specOf(k kind, e localclerk.Event) string {
	switch {
	case k == kindMetadata && e.Path == "/.well-known/openid-configuration":
		return "OpenID Connect Discovery §4"
	case k == kindMetadata && senderOf(k, e) == Client:
		return "RFC 8414" // the title has the name
	case k == kindDecision && e.Step == localclerk.StepDecision && e.Response["code"] == "" && e.Error == "":
		return kinds[kindPage].spec // the user signs in or out
	}
	return kinds[k].spec
}

func asUser(name string) string {
	if name == "" {
		return ""
	}
	return " as " + name
}

// claimsSuffix ends the name under which an event has the claims of a token.
const claimsSuffix = ".claims"

// messageOf returns the parameters of an event, sorted by name.
func messageOf(parameters map[string]string) Message {
	var m Message
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		value := redact(parameters[name])
		if token, ok := strings.CutSuffix(name, claimsSuffix); ok {
			name, value = "claims of "+token, indent(value)
		}
		m.add(name, value)
	}
	return m
}

// stringMember returns a string member of a JSON object, or "".
func stringMember(object, name string) string {
	var members map[string]any
	if json.Unmarshal([]byte(object), &members) != nil {
		return ""
	}
	value, _ := members[name].(string)
	return value
}

// issuedToken returns the JWT that the token endpoint issued, or nil.
func (w *Window) issuedToken(e localclerk.Event) *Token {
	text := e.Response["access_token"+claimsSuffix]
	var c struct {
		Subject      string `json:"sub"`
		ID           string `json:"jti"`
		Client       string `json:"client_id"`
		Scope        string `json:"scope"`
		Organization string `json:"org_id"`
		Issued       int64  `json:"iat"`
		Expires      int64  `json:"exp"`
	}
	if json.Unmarshal([]byte(text), &c) != nil {
		return nil
	}
	return &Token{
		ID: c.ID, Form: "JWT", ClientID: c.Client, ClientName: e.ClientName, User: w.userName(c.Subject),
		Organization: c.Organization, Scopes: strings.Fields(c.Scope), Issued: seconds(c.Issued), Expires: seconds(c.Expires),
		Claims: indent(redact(text)),
	}
}
