package window

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// cause is why a step failed, in words for a person. An empty part keeps what
// was said already.
type cause struct {
	short string // ends the sentence "stopped at registration: …"
	why   string
	do    string
	also  string // follows what was said already
}

func (c cause) explain(why, do string) (string, string) {
	return cmp.Or(c.why, why), strings.TrimSpace(cmp.Or(c.do, do) + " " + c.also)
}

// registrationOff is Clerk's error code, and what a client concludes that finds
// no registration_endpoint.
const registrationOff = "feature_requires_dynamic_oauth_client_registration"

// causes are those of Clerk's error codes.
var causes = map[string]cause{
	registrationOff: {
		short: "dynamic registration is off",
		why:   "Dynamic client registration is switched off, so a client that Clerk does not know cannot introduce itself.",
		do:    "Switch on “Dynamic client registration” under Settings on this page. At Clerk: Configure → OAuth applications → Settings.",
	},
	"invalid_scope": {
		short: "a scope was asked for that the client does not hold",
		also:  "Or add it to “Default scopes for dynamic clients” under Settings, and have the client register again; a server should advertise no more than clients hold from the start.",
	},
	"access_denied": {
		short: "consent was denied",
		why:   "The person pressed Deny, or may not sign in.",
		do:    "Sign in again and press Allow.",
	},
	"invalid_target":          {short: "the resource is not acceptable"},
	"invalid_client":          {short: "the client is unknown"},
	"invalid_grant":           {short: "the code or refresh token is not good any more"},
	"invalid_redirect_uri":    {short: "the redirect URI is not acceptable"},
	"invalid_state":           {short: "the state parameter is too short"},
	"invalid_request":         {short: "the request is malformed"},
	"internal_clerk_error":    {short: "Clerk has an outage", why: "The local Clerk is out of order because a fault is switched on.", do: "Switch the outage off under Faults on this page."},
	"canceled":                {short: "Clerk was too slow"},
	"invalid_client_metadata": {short: "what the client says about itself is not acceptable"},
}

// errorCode is what Clerk called the failure of s, or "".
func (s Step) errorCode() string {
	for _, f := range s.Response.Fields {
		if f.Name == errorCodeField {
			return f.Value
		}
	}
	return ""
}

// errorCodeField is the name under which a step shows it.
const errorCodeField = "error code"

// shortOf ends the sentence about a run that stopped at s.
func shortOf(s Step) string {
	if c := causes[s.errorCode()]; c.short != "" {
		return c.short
	}
	text := strings.TrimSuffix(s.Why, ".")
	if text == "" {
		return fmt.Sprintf("status %d", s.Status)
	}
	return strings.ToLower(text[:1]) + text[1:]
}

// judge says how an exchange with the MCP server came out, and if badly why and
// what to do.
func (w *Window) judge(x *exchange, k kind) (Outcome, string, string) {
	switch {
	case x.status == 0 && x.request.Context().Err() != nil:
		return Neutral, "The client went away before the answer.", ""
	case x.status == 0:
		return Failed, "The answer broke off.", "Look at the log of the MCP server."
	case x.status == http.StatusBadGateway:
		return Failed, "The MCP server does not answer.", "Look at its log; it must listen on the port that the environment variable PORT names."
	case k == kindResource && x.status == http.StatusOK:
		return w.judgeCard(x)
	case k == kindResource && x.status == http.StatusNotFound, k == kindServerMetadata && x.status == http.StatusNotFound, k == kindOther:
		return Neutral, "", ""
	case k == kindStream && x.status == http.StatusMethodNotAllowed:
		return Neutral, "This server offers no such stream, which is allowed.", ""
	case k == kindChallenge:
		return w.judgeChallenge(x)
	case x.status == http.StatusServiceUnavailable:
		return Failed, "The server cannot check tokens now: Clerk, or its signing keys, are out of reach.",
			"Look at the faults on this page; the server takes tokens again as soon as Clerk answers."
	case x.token.raw != "" && x.status >= http.StatusBadRequest && x.status < http.StatusInternalServerError:
		why, do := w.whyRefused(x)
		return Failed, why, do
	case x.status >= http.StatusBadRequest:
		return Failed, sentence(fmt.Sprintf("the server answered %d %s", x.status, http.StatusText(x.status))), "Look at the answer, and at the log of the MCP server."
	}
	if problem := rpcError(x); problem != "" {
		return Neutral, sentence("the answer is a JSON-RPC error: " + problem), ""
	}
	return Good, "", ""
}

// judgeCard compares the protected resource metadata with the world around it:
// clients refuse to go on where these differ (RFC 9728 section 3.3).
func (w *Window) judgeCard(x *exchange) (Outcome, string, string) {
	var card struct {
		Resource             string   `json:"resource"`
		AuthorizationServers []string `json:"authorization_servers"`
	}
	body, _ := x.answer.kept()
	if err := json.Unmarshal(body, &card); err != nil {
		return Failed, "The server's description is not a JSON object.", "Have the server answer this address with protected resource metadata (RFC 9728)."
	}
	called := "http://" + x.request.Host + strings.TrimPrefix(x.request.URL.EscapedPath(), "/.well-known/oauth-protected-resource")
	switch {
	case !sameResource(card.Resource, called):
		return Failed, fmt.Sprintf("Resource mismatch: the server calls itself %q, but the client came to %q; clients give up here.", clip(card.Resource, maxName), clip(called, maxName)),
			fmt.Sprintf("Set the server's public URL to %q, to the letter; the environment variable MCP_URL holds its origin.", w.config.Endpoint)
	case !slices.Contains(card.AuthorizationServers, w.clerk.Issuer()):
		return Failed, fmt.Sprintf("The server sends people to %q to sign in, not to this local Clerk.", clip(strings.Join(card.AuthorizationServers, " "), maxName)),
			fmt.Sprintf("Set MCP_USE_OAUTH_CLERK_FRONTEND_API_URL to %q, as the environment variable of that name does.", w.clerk.Issuer())
	}
	return Good, "", ""
}

func (w *Window) judgeChallenge(x *exchange) (Outcome, string, string) {
	if x.bearer()["resource_metadata"] == "" {
		return Neutral, "The challenge does not say where the server describes itself (resource_metadata).",
			"Clients will guess the address; have the server name it in WWW-Authenticate."
	}
	return Good, "", ""
}

// whyRefused explains a refused token by what the token says of itself, and
// then by what the server said.
func (w *Window) whyRefused(x *exchange) (why, do string) {
	said := x.bearer()
	if x.status == http.StatusForbidden && said["error"] == "insufficient_scope" {
		return sentence(fmt.Sprintf("the token lacks a scope; needed are %q", field("scope", said["scope"]))),
			"Nothing, if the client signs in again for them; else grant the scope to the client."
	}
	if x.status == http.StatusForbidden {
		return "The person may not do this: a role, a permission or an active organization is missing, or the session is another's.",
			"Sign in as somebody who may, or choose an organization on the consent page."
	}
	if x.status != http.StatusUnauthorized {
		return sentence(fmt.Sprintf("the server answered %d %s", x.status, http.StatusText(x.status))), "Look at the answer, and at the log of the MCP server."
	}
	for _, ask := range tokenCauses {
		if why, do := ask(w, x); why != "" {
			return why, do
		}
	}
	return sentence(cmp.Or(field("error_description", said["error_description"]), "the server refused the token")),
		"Look at the log of the MCP server, and at what the token says."
}

// tokenCauses look at a refused token, the surest cause first.
var tokenCauses = []func(*Window, *exchange) (why, do string){
	func(w *Window, x *exchange) (string, string) {
		if x.token.kind != "opaque access token" {
			return "", ""
		}
		if t, ok := w.clerk.OpaqueToken(x.token.raw); ok && t.Revoked {
			return "The opaque token was revoked.", "Sign in again."
		} else if !ok {
			return "Clerk does not know this opaque token: it has expired, or is another instance's.", "Sign in again."
		}
		return "This server does not take opaque tokens.",
			"Switch on “Generate access tokens as JWTs” under Settings and sign in again, or give the server CLERK_SECRET_KEY so that it can ask Clerk."
	},
	func(_ *Window, x *exchange) (string, string) {
		if x.token.kind == "access token" || x.token.kind == "JWT" || x.token.kind == "malformed JWT" {
			return "", ""
		}
		return fmt.Sprintf("This is %s, not an OAuth access token.", withArticle(x.token.kind)), "Have the client send the access_token of its sign-in; all of Clerk's tokens have the same signature, and only that one is for servers."
	},
	func(_ *Window, x *exchange) (string, string) {
		if x.token.Problem == nil {
			return "", ""
		}
		return "The token is malformed.", "Look at what the client sends; it may be cut short."
	},
	func(w *Window, x *exchange) (string, string) {
		if x.token.Issuer == w.clerk.Issuer() {
			return "", ""
		}
		return fmt.Sprintf("The token is from %q, and this server trusts %q.", name(x.token.Issuer), w.clerk.Issuer()),
			"Sign in again; tokens of another instance are of no use here."
	},
	func(_ *Window, x *exchange) (string, string) {
		ago := x.began.Sub(x.token.Expiry).Round(time.Second)
		if x.token.Expiry.IsZero() || ago < 0 {
			return "", ""
		}
		return fmt.Sprintf("The token expired %s ago.", ago), "Nothing, if the client refreshes or signs in again; else sign in again."
	},
	func(w *Window, x *exchange) (string, string) {
		called := "http://" + x.request.Host + x.request.URL.Path
		if len(x.token.Audience) == 0 || slices.ContainsFunc(x.token.Audience, func(aud string) bool { return sameResource(aud, called) }) {
			return "", ""
		}
		return fmt.Sprintf("The token is for %q, not for this server.", name(strings.Join(x.token.Audience, " "))),
			fmt.Sprintf("Have the client send resource=%s, to the letter, when it signs in.", w.config.Endpoint)
	},
	func(w *Window, x *exchange) (string, string) {
		offset := w.clerk.Faults().ClockOffset
		if offset < time.Minute {
			return "", ""
		}
		return fmt.Sprintf("Clerk's clock is %s ahead, so the token is not valid yet.", offset), "Set the clock offset to 0 under Faults on this page."
	},
	func(w *Window, x *exchange) (string, string) {
		if len(x.token.Audience) > 0 || !strings.Contains(x.bearer()["error_description"], "not issued for a particular server") {
			return "", ""
		}
		return "The token names no server (aud), and this server insists on it.",
			"Switch on “Audience claim” under Settings, and sign in again with a client that sends resource."
	},
	func(_ *Window, x *exchange) (string, string) {
		phrase := x.bearer()["error_description"]
		if !strings.Contains(phrase, "key") && !strings.Contains(phrase, "signature") {
			return "", ""
		}
		return "The token's signing key is gone, or its signature is wrong; keys may have been rotated since it was issued.", "Sign in again; tokens of removed keys are of no use."
	},
}

// withArticle is a kind of token after "a" or "an", as it is spoken.
func withArticle(kind string) string {
	if strings.ContainsAny(kind[:1], "AEIMOaeio") {
		return "an " + kind
	}
	return "a " + kind
}

// rpcError is the message of a JSON-RPC error in an answer, or "".
func rpcError(x *exchange) string {
	body, _ := x.answer.kept()
	if isEventStream(x.header) {
		for line := range strings.Lines(string(body)) {
			if data, ok := strings.CutPrefix(line, "data:"); ok && strings.Contains(data, `"error"`) {
				body = []byte(strings.TrimSpace(data))
				break
			}
		}
	}
	var answer struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	return scrub(clip(answer.Error.Message, maxValue))
}
