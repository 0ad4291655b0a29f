package window

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

var kindsAtClerk = map[localclerk.Step]kind{
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

// fromClerk makes a step of an event, whose secrets are shortened already.
func (w *Window) fromClerk(e localclerk.Event) (Step, hint) {
	k := cmp.Or(kindsAtClerk[e.Step], kindOther)
	if k == kindToken && e.Request["grant_type"] == "refresh_token" {
		k = kindRefresh
	}
	if k == kindAuthorization && e.Response["code"] != "" {
		k = kindDecision // without pages, by localclerk's headers
	}
	s := Step{
		Time: e.Time, Took: milliseconds(e.Took),
		From: whoAsksClerk(k, e), To: Clerk,
		Kind:     k,
		Title:    titleAtClerk(k, e, w.userName(e.User)),
		Line:     e.Method + " " + scrub(e.Path),
		Status:   e.Status,
		Outcome:  Good,
		Purpose:  about[k].purpose,
		Request:  fields(e.Request),
		Response: fields(e.Response),
	}
	s.Request.add("User-Agent", scrub(e.UserAgent))
	s.Request.add("Origin", scrub(e.Origin))
	s.explain(e)
	h := hint{
		userAgent: e.UserAgent,
		clientID:  cmp.Or(e.Client, claim(e.Request["Authorization.claims"], "client_id")),
		client:    e.ClientName,
		fromUser:  s.From == Browser,
		fromSrv:   s.From == Server,
	}
	if e.User != "" {
		h.user = w.userName(e.User)
	}
	if k == kindToken || k == kindRefresh {
		h.issued = w.issued(e)
	}
	return s, h
}

// explain says what went wrong, if something did.
func (s *Step) explain(e localclerk.Event) {
	code := e.Error
	if s.Kind == kindMetadata && s.From == Client && offersNoRegistration(e) {
		code = registrationOff
	}
	if code == "" || s.Kind == kindOther && e.Status == http.StatusNotFound {
		if s.Status >= http.StatusBadRequest {
			s.Outcome = Neutral
		}
		return
	}
	s.Outcome = Failed
	s.Why, s.Do = causes[code].explain(sentence(scrub(e.Problem)), sentence(scrub(e.Fix)))
	s.Response.add(errorCodeField, code)
}

// offersNoRegistration reports whether a client that reads the metadata of e
// has no way to introduce itself. One that is registered already goes on.
func offersNoRegistration(e localclerk.Event) bool {
	return e.Path == "/.well-known/oauth-authorization-server" && e.Response["issuer"] != "" &&
		e.Response["registration_endpoint"] == "" && e.Response["client_id_metadata_document_supported"] != "true"
}

// whoAsksClerk tells client, browser and server apart: some endpoints are for
// one of them only, and a Gatehouse server says who it is.
func whoAsksClerk(k kind, e localclerk.Event) Party {
	switch k {
	case kindAuthorization, kindPage, kindDecision:
		return Browser
	case kindKeys, kindUserInfo, kindIntrospection, kindBackend:
		return Server
	case kindMetadata:
		if e.UserAgent == "gatehouse" {
			return Server
		}
	}
	return Client
}

func titleAtClerk(k kind, e localclerk.Event, user string) string {
	title := about[k].title
	switch {
	case k == kindRegistration && e.ClientName != "":
		return "Registers as " + clip(e.ClientName, maxName)
	case k == kindRegistration && e.Request["client_name"] != "":
		return "Registers as " + clip(e.Request["client_name"], maxName)
	case k == kindPage && e.Status == http.StatusOK && e.User != "":
		return "Shows the consent page to " + user
	case k == kindPage && e.Status == http.StatusOK:
		return "Shows the sign-in page"
	case k == kindDecision && e.Request["action"] == "sign_in":
		return "Chooses an account"
	case k == kindDecision && e.Request["action"] == "sign_out":
		return "Switches the account"
	case k == kindDecision && e.Error == "access_denied":
		return "Denies" + as(user)
	case k == kindDecision && e.Step == localclerk.StepAuthorization:
		return "Signs in and allows" + as(user)
	case k == kindDecision && e.Response["code"] != "":
		return "Allows" + as(user)
	}
	return title
}

func as(user string) string {
	if user == "" {
		return ""
	}
	return ", as " + user
}

// fields are an event's parameters, in the order of their names.
func fields(params map[string]string) Message {
	var m Message
	for _, name := range slices.Sorted(maps.Keys(params)) {
		value := scrub(params[name])
		if base, ok := strings.CutSuffix(name, ".claims"); ok {
			name, value = base+" says", indent(value)
		}
		m.add(name, value)
	}
	return m
}

// claim returns a string member of a JSON object, or "".
func claim(object, name string) string {
	var claims map[string]any
	if json.Unmarshal([]byte(object), &claims) != nil {
		return ""
	}
	value, _ := claims[name].(string)
	return value
}

// issued is the JWT that a token endpoint's answer carried, or nil.
func (w *Window) issued(e localclerk.Event) *Token {
	text := e.Response["access_token.claims"]
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
		Claims: indent(scrub(text)),
	}
}

// sentence makes a phrase a sentence.
func sentence(phrase string) string {
	phrase = strings.TrimSpace(phrase)
	if phrase == "" {
		return ""
	}
	phrase = strings.ToUpper(phrase[:1]) + phrase[1:]
	if !strings.HasSuffix(phrase, ".") {
		phrase += "."
	}
	return phrase
}
