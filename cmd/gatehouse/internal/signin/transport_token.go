package signin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// tokenTransport is an [http.RoundTripper] for the token endpoint. A success response
// without a token is an error that says what the response is. An expires_in that is not an
// integer, which package oauth2 rejects, is rounded down: RFC 6749 section 5.1 asks for a
// number. Members of an error response are removed from a success response.
type tokenTransport struct{ next http.RoundTripper }

// tokenClient returns a copy of base for requests to the token endpoint.
func tokenClient(base *http.Client) *http.Client {
	client := *base
	client.Transport = &tokenTransport{base.Transport}
	return &client
}

// RoundTrip implements [http.RoundTripper].
func (t *tokenTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil || req.Method != http.MethodPost || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	body, err := trace.Peek(resp, trace.MaxDocument)
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	problem := ""
	switch mediaType {
	case "application/x-www-form-urlencoded", "text/plain": // package oauth2 reads both as a form
		problem = checkTokenForm(body)
	default:
		body, problem = normalizeTokenJSON(body)
	}
	if problem != "" {
		return nil, failure.New(
			"report this to the operator of the authorization server; check that its metadata names the right token_endpoint",
			"token endpoint %q answered %d%s, but %s (RFC 6749 section 5.1)",
			trace.WithoutQuery(req.URL), resp.StatusCode, trace.IfSet(" with %s", mediaType), problem)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
	return resp, nil
}

// checkTokenForm returns what is wrong with a response in the form of a query string, or
// "". Some servers answer so if they are not asked for JSON.
func checkTokenForm(body []byte) string {
	form, err := url.ParseQuery(string(body))
	if err != nil || form.Get("access_token") == "" && form.Get("error") == "" {
		return "the body has no access_token"
	}
	return ""
}

// checkTokenType returns what is wrong with a token_type, or "". A token of another type must
// not be used as a bearer token (RFC 6749 section 7.1). Some servers send none.
func checkTokenType(raw json.RawMessage) string {
	if len(raw) == 0 || string(raw) == "null" {
		return ""
	}
	var name string
	if json.Unmarshal(raw, &name) != nil || !strings.EqualFold(name, "Bearer") {
		return fmt.Sprintf("token_type is %s, want \"Bearer\"", quote.String(cmp.Or(name, string(raw))))
	}
	return ""
}

// normalizeTokenJSON returns the body with an expires_in that is an integer and without the
// members of an error response, or what is wrong with the body. It does not quote values,
// which may be secrets.
func normalizeTokenJSON(body []byte) (normalized []byte, problem string) {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil || members == nil {
		return nil, "the body is not a JSON object"
	}
	if raw, ok := members["error"]; ok && string(raw) != "null" {
		return body, "" // some servers answer 200 with an error
	}
	var token, refresh string
	if json.Unmarshal(members["access_token"], &token) != nil || token == "" {
		return nil, "the body has no access_token"
	}
	if raw := members["refresh_token"]; len(raw) > 0 && json.Unmarshal(raw, &refresh) != nil {
		return nil, fmt.Sprintf("the refresh token is %s, want a string", strictjson.Describe(string(raw)))
	}
	if problem := checkTokenType(members["token_type"]); problem != "" {
		return nil, problem
	}
	if raw := string(members["expires_in"]); raw != "" && raw != "null" {
		seconds, problem := wholeSeconds(raw)
		if problem != "" {
			return nil, problem
		}
		members["expires_in"] = json.RawMessage(seconds)
	}
	for _, name := range []string{"error", "error_description", "error_uri"} { // package oauth2 reads them
		delete(members, name)
	}
	normalized, err := json.Marshal(members)
	if err != nil {
		return nil, "the body is not a JSON object"
	}
	return normalized, ""
}

// wholeSeconds returns an expires_in as an integer, or what is wrong with it.
func wholeSeconds(raw string) (seconds, problem string) {
	if _, err := strconv.ParseInt(raw, 10, 64); err == nil {
		return raw, ""
	}
	text := raw
	if unquoted, err := strconv.Unquote(raw); err == nil {
		text = unquoted // at least one provider sends a string
	}
	number, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(number) || number < 0 {
		return "", fmt.Sprintf("expires_in is %s, want a number of seconds", quote.String(text))
	}
	return strconv.FormatInt(int64(min(number, math.MaxInt32)), 10), ""
}
