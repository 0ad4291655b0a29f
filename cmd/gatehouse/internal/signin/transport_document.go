package signin

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"slices"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// documentKind says which members of a metadata document package oauthex gets. It rejects a
// document for the form of any member that it knows, and most of them do not matter to a
// sign-in. Members that are in neither list may have any form.
type documentKind struct {
	used  []string // by this program; oauthex checks their form
	links []string // that oauthex checks for schemes such as javascript; ignored unless they are strings
}

// The documents that this program reads.
var (
	resourceDocument = documentKind{ // RFC 9728 section 2
		used: []string{"resource", "authorization_servers", "scopes_supported"},
	}
	serverDocument = documentKind{ // RFC 8414 section 2
		used: []string{
			"issuer",
			"authorization_endpoint",
			"token_endpoint",
			"registration_endpoint",
			"revocation_endpoint",
			"introspection_endpoint",
			"jwks_uri",
			"scopes_supported",
			"token_endpoint_auth_methods_supported",
			"code_challenge_methods_supported",
			"authorization_response_iss_parameter_supported",
		},
		links: []string{"service_documentation", "op_policy_uri", "op_tos_uri"},
	}
)

// client returns a copy of base for requests for documents of this kind.
// What is received is recorded in seen.
func (k documentKind) client(base *http.Client, seen *documentAnswer) *http.Client {
	client := *base
	client.Transport = &documentTransport{next: base.Transport, kind: k, seen: seen}
	return &client
}

const jsonType = "application/json"

// documentAnswer is what is known about the answer to a request for a document.
type documentAnswer struct {
	url       string
	status    int // 0 without an answer
	mediaType string
	isHTML    bool
	isObject  bool // it is a JSON object
}

// trim returns the members of body that oauthex gets, or body itself if it is not a JSON
// object, so that oauthex explains that.
func (k documentKind) trim(body []byte) ([]byte, error) {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil || members == nil {
		return body, nil
	}
	for name, value := range members {
		link := slices.Contains(k.links, name) && strictjson.Kind(string(value)) == '"'
		if !link && !slices.Contains(k.used, name) {
			delete(members, name)
		}
	}
	return json.Marshal(members)
}

// documentTransport is an [http.RoundTripper] that trims documents.
type documentTransport struct {
	next http.RoundTripper
	kind documentKind
	seen *documentAnswer
}

// RoundTrip implements [http.RoundTripper].
func (t *documentTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		*t.seen = documentAnswer{}
		return nil, err
	}
	*t.seen = documentAnswer{status: resp.StatusCode}
	t.seen.mediaType, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	t.seen.isHTML = t.seen.mediaType == "text/html"
	if resp.StatusCode != http.StatusOK {
		return resp, nil
	}
	body, err := trace.Peek(resp, trace.MaxDocument)
	if err == nil {
		t.seen.isObject = json.Valid(body) && strictjson.Kind(string(bytes.TrimSpace(body))) == '{'
		body, err = t.kind.trim(body)
	}
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
	return resp, nil
}
