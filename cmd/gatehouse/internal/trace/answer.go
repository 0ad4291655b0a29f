package trace

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// maxChallenge bounds all WWW-Authenticate headers of one response, in bytes. The
// go-sdk's parser takes quadratic time: 0.1 s for 8 KiB of commas, 80 s for 256 KiB.
const maxChallenge = 8 << 10

// Answer describes the response of the MCP endpoint to one request, as far as it
// explains the outcome of a call.
type Answer struct {
	Action     string            // what the request asked for, such as "called whoami"
	WithToken  bool              // the request carried an access token
	Status     int               // HTTP status
	MediaType  string            // of the body
	RetryAfter string            // the Retry-After header as received
	Challenge  map[string]string // parameters of the Bearer challenge; nil without one
	Reason     reason.Reason     // why Gatehouse's guard rejected the request; "" for other servers
	Failure    string            // why a gateway could not forward the request, as it says itself
	ErrorText  string            // the error that the body describes
}

// recordMCP records and reports an exchange with the MCP endpoint.
func (t *Transport) recordMCP(req *http.Request, resp *http.Response) error {
	action, notification := t.describe(req)
	a := &Answer{
		Action:     action,
		WithToken:  req.Header.Get("Authorization") != "",
		Status:     resp.StatusCode,
		RetryAfter: resp.Header.Get("Retry-After"),
		Challenge:  BearerChallenge(resp.Header),
	}
	a.MediaType, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if a.Status >= 400 {
		body, err := Peek(resp, MaxErrorBody)
		if err != nil {
			return err
		}
		parsed := parseErrorBody(resp, body)
		a.ErrorText, a.Reason = parsed.text(), parsed.knownReason()
		a.Failure = parsed.otherReason()
	} else {
		resp.Body = &limitedBody{ReadCloser: resp.Body, left: maxAnswerBody}
	}
	if a.Action == "" || notification && a.Status < 400 {
		return nil
	}
	t.mu.Lock()
	t.last = a
	t.mu.Unlock()
	if metadata := a.Challenge["resource_metadata"]; metadata != "" {
		t.Learn(metadata, RoleResourceMetadata)
	}
	t.step("%s", a)
	return nil
}

// describe returns what a request to the MCP endpoint asks for, or "" if it carries no
// message, and whether it is a notification.
func (t *Transport) describe(req *http.Request) (action string, notification bool) {
	if req.Method != http.MethodPost {
		return "", false
	}
	var message struct {
		Method string `json:"method"`
		Params struct {
			Name string `json:"name"`
		} `json:"params"`
	}
	if json.Unmarshal(requestBody(req), &message) != nil {
		return "asked " + t.endpoint, false
	}
	switch message.Method {
	case "tools/call":
		return "called " + message.Params.Name, false
	case "tools/list":
		return "listed the tools", false
	}
	if strings.HasPrefix(message.Method, "notifications/") {
		return "sent " + message.Method, true
	}
	return "asked " + t.endpoint, false
}

// String describes the exchange in one line.
func (a *Answer) String() string {
	var b strings.Builder
	b.WriteString(a.Action)
	if !a.WithToken {
		b.WriteString(" without a token")
	}
	fmt.Fprintf(&b, ": %d", a.Status)
	switch {
	case a.Status == http.StatusUnauthorized && a.WithToken:
		b.WriteString(", the server rejects the token")
	case a.Status == http.StatusUnauthorized:
		b.WriteString(", the server asks for sign-in")
	case a.AsksForScope():
		fmt.Fprintf(&b, ", the server asks for scope %q", a.Challenge["scope"])
	}
	if metadata := a.Challenge["resource_metadata"]; metadata != "" {
		fmt.Fprintf(&b, " (resource_metadata=%s)", metadata)
	}
	if description := a.Description(); description != "" && (a.WithToken || a.Status != http.StatusUnauthorized) {
		fmt.Fprintf(&b, ": %s", description)
	}
	return b.String()
}

// Description returns what the server says about its rejection, or "" if it says
// nothing. The reason of Gatehouse's guard comes first: it is the most precise.
func (a *Answer) Description() string {
	if a.Status < 400 {
		return ""
	}
	said := a.ErrorText
	if description := a.Challenge["error_description"]; description != "" {
		said = quote.Clip(OneLine(description), maxErrorText)
	}
	return JoinNonEmpty(": ", string(a.Reason), said)
}

// AsksForScope reports whether the server asks for more scopes (RFC 6750 section 3.1).
func (a *Answer) AsksForScope() bool {
	return a.Status == http.StatusForbidden && a.Challenge["error"] == "insufficient_scope"
}

// IsMCP reports whether the answer has the form of an MCP answer: a success with JSON
// or an event stream.
func (a *Answer) IsMCP() bool {
	return a.Status < 300 && (a.MediaType == "application/json" || a.MediaType == "text/event-stream")
}

// BearerChallenge returns the parameters of the Bearer challenge in a response, or nil
// if there is none that can be parsed. It removes challenges that are too long from
// the header, because the go-sdk parses them again.
func BearerChallenge(header http.Header) map[string]string {
	values := header.Values("WWW-Authenticate")
	length := 0
	for _, value := range values {
		length += len(value)
	}
	if length > maxChallenge {
		header.Del("WWW-Authenticate")
		return nil
	}
	challenges, err := oauthex.ParseWWWAuthenticate(values)
	if err != nil {
		return nil
	}
	for _, c := range challenges {
		if c.Scheme == "bearer" {
			return c.Params
		}
	}
	return nil
}
