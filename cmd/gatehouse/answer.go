package main

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// answer is what the MCP endpoint said to one request, as far as it explains the
// outcome of a call.
type answer struct {
	act          string // what was asked for, in plain words
	notification bool   // whether no answer is wanted, only that it was taken in
	withToken    bool   // whether the request carried one
	status       int
	mediaType    string
	retryAfter   string            // Retry-After, unread
	bearer       map[string]string // the parameters of the Bearer challenge, nil without one
	problem      string            // what the body of a refusal says
}

// sawMCP remembers and tells an exchange with the MCP endpoint.
func (t *traffic) sawMCP(req *http.Request, resp *http.Response) error {
	a := &answer{
		withToken:  req.Header.Get("Authorization") != "",
		status:     resp.StatusCode,
		retryAfter: resp.Header.Get("Retry-After"),
		bearer:     bearerChallenge(resp.Header),
	}
	a.act, a.notification = t.actOf(req)
	a.mediaType, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode >= 400 {
		body, err := peek(resp, maxRefusal)
		if err != nil {
			return err
		}
		a.problem = refusal(resp, body)
	} else {
		resp.Body = &cappedBody{ReadCloser: resp.Body, left: maxAnswer}
	}
	if a.act == "" || a.notification && a.status < 400 {
		return nil
	}
	t.mu.Lock()
	t.last = a
	t.mu.Unlock()
	if hint := a.bearer["resource_metadata"]; hint != "" {
		t.learn(hint, roleResource)
	}
	t.con.step("%s", a)
	return nil
}

// actOf says what a request to the MCP endpoint asks for, "" for one that brings
// no message, and whether it is a notification.
func (t *traffic) actOf(req *http.Request) (act string, notification bool) {
	if req.Method != http.MethodPost {
		return "", false
	}
	var message struct {
		Method string `json:"method"`
		Params struct {
			Name string `json:"name"`
		} `json:"params"`
	}
	if json.Unmarshal(sent(req), &message) != nil {
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

// String tells the exchange in plain words.
func (a *answer) String() string {
	var b strings.Builder
	b.WriteString(a.act)
	if !a.withToken {
		b.WriteString(" without a token")
	}
	fmt.Fprintf(&b, ": %d", a.status)
	switch {
	case a.status == http.StatusUnauthorized && a.withToken:
		b.WriteString(", it refuses the token")
	case a.status == http.StatusUnauthorized:
		b.WriteString(", it wants sign-in")
	case a.stepUp():
		fmt.Fprintf(&b, ", it wants scope %q", a.bearer["scope"])
	}
	if hint := a.bearer["resource_metadata"]; hint != "" {
		fmt.Fprintf(&b, " (resource_metadata=%s)", hint)
	}
	if why := a.why(); why != "" && (a.withToken || a.status != http.StatusUnauthorized) {
		fmt.Fprintf(&b, ": %s", why)
	}
	return b.String()
}

// why is what the endpoint says of its refusal, "" where it says nothing.
func (a *answer) why() string {
	if description := a.bearer["error_description"]; description != "" {
		return clip(description, maxQuoted)
	}
	if a.status >= 400 {
		return a.problem
	}
	return ""
}

// stepUp reports whether the endpoint asks for more scopes (RFC 6750, section
// 3.1).
func (a *answer) stepUp() bool {
	return a.status == http.StatusForbidden && a.bearer["error"] == "insufficient_scope"
}

// bearerChallenge returns the parameters of the Bearer challenge in an answer,
// nil if there is none that can be read.
func bearerChallenge(header http.Header) map[string]string {
	challenges, err := oauthex.ParseWWWAuthenticate(header.Values("WWW-Authenticate"))
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

// cappedBody is a body that ends in an error when it is too long.
type cappedBody struct {
	io.ReadCloser
	left int64
}

func (b *cappedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("answer is longer than %d bytes", int64(maxAnswer))
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}
