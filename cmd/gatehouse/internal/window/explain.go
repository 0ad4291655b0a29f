package window

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

// explanation says why a step failed and how to fix that, each in a sentence.
type explanation struct{ why, do string }

// lookAtServer is the advice if nothing better is known.
const lookAtServer = "Look at the response, and at the log of the MCP server."

// outcomeOf returns how a request to the MCP server ended, and an explanation if that
// was not a success.
func (w *Window) outcomeOf(x *roundTrip, k kind) (Outcome, explanation) {
	switch {
	case x.status == 0 && x.request.Context().Err() != nil:
		return Neutral, explanation{why: "The client disconnected before the response."}
	case x.status == 0:
		return Failed, explanation{"The response broke off.", "Look at the log of the MCP server."}
	case x.status == http.StatusBadGateway:
		return Failed, explanation{
			"The MCP server does not answer.",
			"Look at its log; it must listen on the port in the environment variable PORT.",
		}
	case k == kindResource && x.status == http.StatusOK:
		return w.outcomeOfResource(x)
	case (k == kindResource || k == kindServerMetadata) && x.status == http.StatusNotFound, k == kindOther, k == kindPagePart:
		return Neutral, explanation{}
	case k == kindLanding && x.status < http.StatusBadRequest:
		return Succeeded, explanation{}
	case k == kindLanding:
		return Neutral, explanation{why: "This server has no page for browsers, which is allowed."}
	case k == kindStream && x.status == http.StatusMethodNotAllowed:
		return Neutral, explanation{why: "This server does not offer such a stream, which is allowed."}
	case k == kindChallenge:
		return outcomeOfChallenge(x)
	case x.status >= http.StatusBadRequest:
		return Failed, w.explainRejection(x)
	}
	if problem := rpcError(x); problem != "" {
		return Neutral, explanation{why: sentence("the response is a JSON-RPC error: " + problem)}
	}
	return Succeeded, explanation{}
}

// outcomeOfResource compares the protected resource metadata with the URL that the client
// called and with the local Clerk. Clients stop if these differ (RFC 9728 §3.3).
func (w *Window) outcomeOfResource(x *roundTrip) (Outcome, explanation) {
	var metadata struct {
		Resource             string   `json:"resource"`
		AuthorizationServers []string `json:"authorization_servers"`
	}
	body, _ := x.responseBody.read()
	if err := json.Unmarshal(body, &metadata); err != nil {
		return Failed, explanation{
			"The protected resource metadata is not a JSON object.",
			"Have the server answer this URL with its protected resource metadata (RFC 9728).",
		}
	}
	called := "http://" + x.request.Host + strings.TrimPrefix(x.request.URL.EscapedPath(), "/.well-known/oauth-protected-resource")
	switch {
	case !sameResource(metadata.Resource, called):
		return Failed, explanation{
			fmt.Sprintf("Resource mismatch: the metadata names the resource %s, but the client called %s. Clients stop here.",
				quote.String(metadata.Resource), quote.String(called)),
			fmt.Sprintf("Set the server's public URL to exactly %q; the environment variable MCP_URL has its origin.", w.config.Endpoint),
		}
	case !slices.Contains(metadata.AuthorizationServers, w.clerk.Issuer()):
		return Failed, explanation{
			fmt.Sprintf("The metadata names the authorization servers %s, not this local Clerk.", quote.List(metadata.AuthorizationServers)),
			fmt.Sprintf("Set the server's Clerk Frontend API URL to %q, for example with the environment variable %s.",
				w.clerk.Issuer(), "MCP_USE_OAUTH_CLERK_FRONTEND_API_URL"),
		}
	}
	return Succeeded, explanation{}
}

func outcomeOfChallenge(x *roundTrip) (Outcome, explanation) {
	if x.bearerChallenge()["resource_metadata"] == "" {
		return Neutral, explanation{
			"The challenge does not have the URL of the protected resource metadata (resource_metadata).",
			"Clients will guess the URL; have the server send it in the WWW-Authenticate header.",
		}
	}
	return Succeeded, explanation{}
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
var fixedWords = []string{"alg", "aud", "exp", "iss", "kid", "nbf", "sub", "typ", "Clerk", "Clerk's"}

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
