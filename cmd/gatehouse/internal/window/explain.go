package window

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/diagnose"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// explanation says why a step failed and how to fix that. The texts are sentences; all may be
// empty. See because and fromTable.
type explanation struct {
	why    string // what went wrong
	effect string // what clients and users see
	do     string // how to fix it

	headline string // ends the headline of a run: "stopped at discovery: …"; empty if why does
	problem  string // ID in the table of package diagnose, if the explanation is from there
}

// because returns the explanation of a cause that only the window can see.
func because(why, do string) explanation { return explanation{why: why, do: do} }

// lookAtServer is the advice if nothing better is known.
const lookAtServer = "Look at the response, and at the log of the MCP server."

// outcomeOf returns how a request to the MCP server ended, and an explanation if that
// was not a success.
func (w *Window) outcomeOf(x *roundTrip, k kind) (Outcome, explanation) {
	switch {
	case x.status == 0 && x.request.Context().Err() != nil:
		return Neutral, explanation{why: "The client disconnected before the response."}
	case x.status == 0:
		return Failed, because("The response broke off.", "Look at the log of the MCP server.")
	case x.status == http.StatusBadGateway:
		e, _ := diagnose.ExplainEndpoint(x.status, false)
		return Failed, w.fromTable(e, "")
	case k == kindResource && x.status != http.StatusNotFound:
		return w.outcomeOfResource(x)
	case k == kindServerMetadata && x.status == http.StatusOK:
		return w.outcomeOfServerMetadata(x)
	case (k == kindResource || k == kindServerMetadata) && x.status == http.StatusNotFound, k == kindOther, k == kindPagePart:
		return Neutral, explanation{}
	case k == kindLanding && x.status < http.StatusBadRequest:
		return Succeeded, explanation{}
	case k == kindLanding:
		return Neutral, explanation{why: "This server has no page for browsers, which is allowed."}
	case k == kindStream && x.status == http.StatusMethodNotAllowed:
		return Neutral, explanation{why: "This server does not offer such a stream, which is allowed."}
	case k == kindChallenge:
		return w.outcomeOfChallenge(x)
	case k == kindCall && x.status >= http.StatusMultipleChoices && x.status < http.StatusBadRequest:
		return Failed, w.explainRedirect(x)
	case x.status >= http.StatusBadRequest:
		return Failed, w.explainRejection(x)
	}
	if problem := rpcError(x); problem != "" {
		return Neutral, explanation{why: sentence("the response is a JSON-RPC error: " + problem)}
	}
	return Succeeded, explanation{}
}

// outcomeOfResource judges the answer to a request for the protected resource metadata. It
// compares the document with the URL that the client called and with the local Clerk. Clients
// stop if these differ (RFC 9728 §3.3).
func (w *Window) outcomeOfResource(x *roundTrip) (Outcome, explanation) {
	address := "http://" + x.request.Host + x.request.URL.EscapedPath()
	if x.status >= http.StatusMultipleChoices && x.status < http.StatusBadRequest {
		return w.outcomeOfMovedResource(x, address)
	}
	if x.status != http.StatusOK {
		e, ok := diagnose.ExplainMetadataAnswer(x.status, x.isHTML(), address)
		if !ok {
			return Failed, because(sentence(fmt.Sprintf("the server answered %d %s", x.status, http.StatusText(x.status))), lookAtServer)
		}
		return Failed, w.fromTable(e, fmt.Sprintf("%s answered %d", address, x.status))
	}
	var metadata struct {
		Resource             string   `json:"resource"`
		AuthorizationServers []string `json:"authorization_servers"`
	}
	body, _ := x.responseBody.read()
	if err := json.Unmarshal(body, &metadata); err != nil || x.isHTML() {
		e, _ := diagnose.ExplainMetadataAnswer(x.status, x.isHTML(), address)
		return Failed, w.fromTable(e, "")
	}
	if outcome, e := w.compareResource(x, metadata.Resource); outcome != Succeeded {
		return outcome, e
	}
	return w.compareIssuer(metadata.AuthorizationServers)
}

// outcomeOfMovedResource judges a redirect of the protected resource metadata. Clients follow it
// within the origin.
func (w *Window) outcomeOfMovedResource(x *roundTrip, address string) (Outcome, explanation) {
	from, err := url.Parse(address)
	if err != nil {
		return Neutral, explanation{}
	}
	to, err := from.Parse(x.header.Get("Location"))
	if err != nil || to.Scheme == from.Scheme && to.Host == from.Host {
		return Neutral, explanation{}
	}
	return Failed, w.fromTable(diagnose.Explain("metadata.redirect", "url", address), "it redirects to "+redactURL(to))
}

// compareResource compares the resource of the metadata with the URL that the client called.
func (w *Window) compareResource(x *roundTrip, resource string) (Outcome, explanation) {
	suffix := strings.TrimPrefix(x.request.URL.EscapedPath(), wellknown.ProtectedResourcePath)
	called := "http://" + x.request.Host + suffix
	if suffix == "" { // the document at the root does not say which URL the client called
		called += w.endpointPath()
	}
	if sameResource(resource, called) {
		return Succeeded, explanation{}
	}
	seen := fmt.Sprintf("the metadata names the resource %s, and the client called %s",
		quote.String(redact(resource)), quote.String(redact(called)))
	e, ok := diagnose.ExplainResource(resource, called)
	if !ok {
		return Failed, because(sentence(seen), w.here("resource"))
	}
	return Failed, w.fromTable(e, seen)
}

// endpointPath returns the path of the URL that clients connect to.
func (w *Window) endpointPath() string {
	u, err := url.Parse(w.config.Endpoint)
	if err != nil {
		return ""
	}
	return u.EscapedPath()
}

// compareIssuer compares the authorization servers of the metadata with the local Clerk.
func (w *Window) compareIssuer(issuers []string) (Outcome, explanation) {
	if slices.Contains(issuers, w.clerk.Issuer()) {
		return Succeeded, explanation{}
	}
	if len(issuers) == 0 {
		return Failed, w.fromTable(diagnose.Explain("metadata.no_servers"), "")
	}
	seen := fmt.Sprintf("authorization_servers is %s", redact(quote.List(issuers)))
	if e, ok := diagnose.ExplainIssuer(issuers[0], w.config.Endpoint); ok {
		return Failed, w.fromTable(e, seen)
	}
	if strings.TrimSuffix(issuers[0], "/") == w.clerk.Issuer() {
		return Failed, w.fromTable(diagnose.ExplainOtherIssuer(w.clerk.Issuer(), issuers[0]), seen)
	}
	return Failed, because(
		fmt.Sprintf("The metadata names the authorization servers %s, not this local Clerk.", redact(quote.List(issuers))),
		fmt.Sprintf("Set the server's Clerk Frontend API URL to %q, for example with the environment variable %s.",
			w.clerk.Issuer(), "MCP_USE_OAUTH_CLERK_FRONTEND_API_URL"),
	)
}

// outcomeOfServerMetadata judges metadata of an authorization server that the MCP server serves.
// Only clients of the 2025-03-26 revision use it.
func (w *Window) outcomeOfServerMetadata(x *roundTrip) (Outcome, explanation) {
	address := "http://" + x.request.Host + x.request.URL.EscapedPath()
	var metadata struct {
		Issuer string `json:"issuer"`
	}
	body, cut := x.responseBody.read()
	switch err := json.Unmarshal(body, &metadata); {
	case x.isHTML():
		return Neutral, w.fromTable(diagnose.Explain("server.copy_html", "url", address), "")
	case err == nil && !cut && metadata.Issuer != w.clerk.Issuer():
		seen := "its issuer is " + quote.String(redact(metadata.Issuer))
		return Neutral, w.fromTable(diagnose.Explain("server.copy", "url", address), seen)
	}
	return Succeeded, explanation{}
}

// outcomeOfChallenge judges the 401 to a request without a token. A problem of the challenge does
// not stop every client: most look for the metadata at the well-known URLs too.
func (w *Window) outcomeOfChallenge(x *roundTrip) (Outcome, explanation) {
	_, fromGuard := x.reason()
	e, ok := diagnose.ExplainChallenge(x.header, x.called(), fromGuard)
	if !ok {
		return Succeeded, explanation{}
	}
	seen := ""
	if header := strings.Join(x.header.Values("WWW-Authenticate"), ", "); header != "" {
		seen = "WWW-Authenticate is " + redactField("WWW-Authenticate", header)
	}
	return Neutral, w.fromTable(e, seen)
}

// called returns the URL that the client called, without its query.
func (x *roundTrip) called() *url.URL {
	return &url.URL{Scheme: "http", Host: x.request.Host, Path: x.request.URL.Path, RawPath: x.request.URL.RawPath}
}

// explainRedirect explains a redirect of the endpoint.
func (w *Window) explainRedirect(x *roundTrip) explanation {
	to, err := x.called().Parse(x.header.Get("Location"))
	if err != nil || x.header.Get("Location") == "" {
		return because(sentence(fmt.Sprintf("the server answered %d %s", x.status, http.StatusText(x.status))), lookAtServer)
	}
	return w.fromTable(diagnose.ExplainRedirect(x.called(), to), "")
}

// rpcError returns the message of a JSON-RPC error in the response, or "".
func rpcError(x *roundTrip) string {
	body, _ := x.responseBody.read()
	if isEventStream(x.header) {
		for line := range strings.Lines(string(body)) {
			if data, ok := strings.CutPrefix(line, "data:"); ok && strings.Contains(data, `"error"`) {
				body = []byte(strings.TrimSpace(data))
				break
			}
		}
	}
	var response struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &response) != nil {
		return ""
	}
	return quote.Clip(redact(response.Error.Message), maxValue)
}

// fixedWords keep their spelling at the start of a sentence: parameters of tokens, and names.
var fixedWords = []string{
	"alg", "aud", "exp", "iss", "kid", "nbf", "sub", "typ", "resource", "resource_metadata", "authorization_servers",
	"WWW-Authenticate", "Clerk", "Clerk's", "MCP", "PKCE", "ChatGPT",
}

// sentence returns phrase as a sentence: with a capital letter and a full stop.
func sentence(phrase string) string {
	phrase = strings.TrimSpace(phrase)
	if phrase == "" {
		return ""
	}
	if word, _, _ := strings.Cut(phrase, " "); !slices.Contains(fixedWords, word) {
		phrase = strings.ToUpper(phrase[:1]) + phrase[1:]
	}
	if !strings.HasSuffix(phrase, ".") {
		phrase += "."
	}
	return phrase
}

// clause returns a sentence as it follows a colon.
func clause(sentence string) string {
	if sentence == "" {
		return ""
	}
	if word, _, _ := strings.Cut(sentence, " "); !slices.Contains(fixedWords, word) {
		sentence = strings.ToLower(sentence[:1]) + sentence[1:]
	}
	return strings.TrimSuffix(sentence, ".")
}
