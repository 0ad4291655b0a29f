package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

const (
	maxDocument = 1 << 20  // bytes of a metadata document or of a token answer
	maxRefusal  = 64 << 10 // bytes of an error answer
	maxAnswer   = 64 << 20 // bytes of an answer of the MCP endpoint
	maxQuoted   = 300      // letters of an error answer that are shown
)

// traffic is an [http.RoundTripper] that watches a call and the sign-in before
// it. It tells the console each step in plain words, and remembers what explains
// a failure, since the libraries above it keep neither status nor body. It never
// shows tokens, codes, verifiers or secrets: it names the members it prints.
type traffic struct {
	next     http.RoundTripper
	endpoint string // the URL of the MCP endpoint, without query
	con      *console

	mu      sync.Mutex
	roles   map[string]role // by URL without query, as learnt from challenges and metadata
	last    *answer         // of the MCP endpoint
	refused map[role]string // the newest refusal of each endpoint of the sign-in
	named   string          // the resource that the newest protected resource document names
}

// role is what a URL is for.
type role int

const (
	roleOther role = iota
	roleMCP
	roleResource
	roleIssuer
	roleRegistration
	roleToken
	roleRevocation
)

func newTraffic(next http.RoundTripper, endpoint string, con *console) *traffic {
	if u, err := url.Parse(endpoint); err == nil {
		endpoint = withoutQuery(u)
	}
	return &traffic{
		next:     next,
		endpoint: endpoint,
		con:      con,
		roles:    map[string]role{endpoint: roleMCP},
		refused:  map[role]string{},
	}
}

// RoundTrip implements [http.RoundTripper].
func (t *traffic) RoundTrip(req *http.Request) (*http.Response, error) {
	role := t.roleOf(req.URL)
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		if req.Context().Err() == nil {
			t.con.step("%s: %v", attempt(role, req), err)
		}
		return nil, err
	}
	switch role {
	case roleMCP:
		err = t.sawMCP(req, resp)
	case roleOther:
	default:
		err = t.sawOAuth(role, req, resp)
	}
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

func (t *traffic) roleOf(u *url.URL) role {
	t.mu.Lock()
	defer t.mu.Unlock()
	if role, ok := t.roles[withoutQuery(u)]; ok {
		return role
	}
	switch {
	case strings.HasPrefix(u.Path, wellknown.ProtectedResourcePath):
		return roleResource
	case strings.HasPrefix(u.Path, wellknown.AuthorizationServerPath), strings.Contains(u.Path, wellknown.OpenIDConfigurationPath):
		return roleIssuer
	}
	return roleOther
}

func (t *traffic) learn(endpoint string, r role) {
	u, err := url.Parse(endpoint)
	if err != nil || endpoint == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if where := withoutQuery(u); where != t.endpoint {
		t.roles[where] = r
	}
}

// lastAnswer returns the newest answer of the MCP endpoint that says something,
// nil before the first. A refusal always does.
func (t *traffic) lastAnswer() *answer {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// namedResource returns the resource that the newest protected resource document
// names, or "".
func (t *traffic) namedResource() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.named
}

// refusalOf returns what an endpoint of the sign-in said when it last refused, or
// "". The libraries' own errors may quote an answer whole, secrets and all.
func (t *traffic) refusalOf(r role) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refused[r]
}

// attempt says what a request was for, where it failed.
func attempt(r role, req *http.Request) string {
	where := withoutQuery(req.URL)
	switch r {
	case roleMCP:
		return "asked " + where
	case roleResource:
		return "looked for the protected resource document at " + where
	case roleIssuer:
		return "looked for the metadata of the authorization server at " + where
	case roleRegistration:
		return "asked " + where + " to register a client"
	case roleToken:
		return "asked " + where + " for a token"
	case roleRevocation:
		return "asked " + where + " to revoke a token"
	}
	return req.Method + " " + where
}

// sawOAuth tells of an exchange of the sign-in.
func (t *traffic) sawOAuth(r role, req *http.Request, resp *http.Response) error {
	body, err := peek(resp, maxDocument)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return t.sawRefusal(r, req, resp, joinNonEmpty(": ", fmt.Sprint(resp.StatusCode), refusal(resp, body)))
	}
	var doc struct {
		oauthex.ProtectedResourceMetadata
		Issuer       string `json:"issuer"`
		Registration string `json:"registration_endpoint"`
		Token        string `json:"token_endpoint"`
		Revocation   string `json:"revocation_endpoint"`
		ClientID     string `json:"client_id"`
		Scope        string `json:"scope"`
		ExpiresIn    int64  `json:"expires_in"`
	}
	if err := json.Unmarshal(body, &doc); err != nil && r != roleRevocation {
		t.con.step("%s: %d, but no JSON document", attempt(r, req), resp.StatusCode)
		return nil
	}
	switch r {
	case roleResource:
		t.mu.Lock()
		t.named = doc.Resource
		t.mu.Unlock()
		t.con.step("read the protected resource document %s: resource %s, sign-in at %s",
			withoutQuery(req.URL), doc.Resource, strings.Join(doc.AuthorizationServers, " or "))
	case roleIssuer:
		t.learn(doc.Registration, roleRegistration)
		t.learn(doc.Token, roleToken)
		t.learn(doc.Revocation, roleRevocation)
		t.con.step("read the metadata of the authorization server %s: %s", doc.Issuer, withoutQuery(req.URL))
	case roleRegistration:
		t.con.step("registered as client %s%s", doc.ClientID, ifSet(" (scope %q)", sortedScope(doc.Scope)))
	case roleToken:
		act := "exchanged it for an access token"
		if grantOf(req) == "refresh_token" {
			act = "refreshed the access token"
		}
		t.con.step("%s (%s)", act, joinNonEmpty(", ", ifSet("scope %q", sortedScope(doc.Scope)), lifetime(doc.ExpiresIn)))
	case roleRevocation:
		t.con.step("revoked a token at %s: %d", withoutQuery(req.URL), resp.StatusCode)
	}
	return nil
}

// sawRefusal remembers and tells a refusal. A redirect of what was posted is an
// error: followed, it would take codes and tokens to a place that no metadata
// names.
func (t *traffic) sawRefusal(r role, req *http.Request, resp *http.Response, said string) error {
	t.mu.Lock()
	t.refused[r] = said
	t.mu.Unlock()
	t.con.step("%s: %s", attempt(r, req), said)
	if resp.StatusCode < 400 && req.Method == http.MethodPost {
		return fail("tell who runs the authorization server: its metadata must name the endpoint itself",
			"%q redirects%s: not sending secrets there", withoutQuery(req.URL), towards(resp.Header.Get("Location")))
	}
	return nil
}

// grantOf returns the grant_type of a token request (RFC 6749, section 4).
func grantOf(req *http.Request) string {
	form, err := url.ParseQuery(string(sent(req)))
	if err != nil {
		return ""
	}
	return form.Get("grant_type")
}

// sortedScope returns a scope with its words in order: servers and the go-sdk
// shuffle them.
func sortedScope(scope string) string {
	words := strings.Fields(scope)
	slices.Sort(words)
	return strings.Join(words, " ")
}

func lifetime(seconds int64) string {
	if seconds <= 0 {
		return "no expiry told"
	}
	return "expires in " + (time.Duration(seconds) * time.Second).String()
}

// sent returns a copy of the body of a request, nil if it cannot be had twice.
func sent(req *http.Request) []byte {
	if req.GetBody == nil {
		return nil
	}
	body, err := req.GetBody()
	if err != nil {
		return nil
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, maxDocument))
	if err != nil {
		return nil
	}
	return data
}

// peek reads the body of an answer and puts it back. One longer than limit is an
// error.
func peek(resp *http.Response, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("answer is longer than %d bytes", limit)
	}
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(data))
	return data, nil
}

// refusal returns what an error answer says of itself: the members of RFC 6749,
// section 5.2, those of Clerk's own errors, or the start of a text.
func refusal(resp *http.Response, body []byte) string {
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if mediaType == "text/plain" {
		return clip(oneLine(string(body)), maxQuoted)
	}
	var e oauthError
	if json.Unmarshal(body, &e) != nil {
		return ""
	}
	return clip(e.String(), maxQuoted)
}

// oauthError is the body of an error answer: RFC 6749, section 5.2, or the form
// of Clerk's own API.
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
	Errors      []struct {
		Code        string `json:"code"`
		Message     string `json:"message"`
		LongMessage string `json:"long_message"`
	} `json:"errors"`
}

func (e oauthError) String() string {
	if e.Code == "" && len(e.Errors) > 0 {
		first := e.Errors[0]
		return joinNonEmpty(": ", first.Code, first.Message)
	}
	return joinNonEmpty(": ", e.Code, e.Description)
}

func withoutQuery(u *url.URL) string {
	bare := *u
	bare.User, bare.RawQuery, bare.Fragment, bare.RawFragment = nil, "", "", ""
	return bare.String()
}

// towards names where a redirect leads, without its query.
func towards(location string) string {
	u, err := url.Parse(location)
	if err != nil || location == "" {
		return ""
	}
	return " to " + withoutQuery(u)
}

// clip returns the first letters of a text that may be long.
func clip(s string, limit int) string {
	if runes := []rune(s); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return s
}

// ifSet formats s if there is one.
func ifSet(format, s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf(format, s)
}

// joinNonEmpty joins the parts that are there.
func joinNonEmpty(separator string, parts ...string) string {
	var there []string
	for _, part := range parts {
		if part != "" {
			there = append(there, part)
		}
	}
	return strings.Join(there, separator)
}
