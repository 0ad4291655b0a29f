package gatehousetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// maxSamples bounds a file of samples, in bytes.
const maxSamples = 1 << 20

// Vendor is what an identity provider issues: its documents, tokens that must be accepted, and
// tokens that look like them and must be rejected. [LoadVendor] reads one from JSON, whose
// members have the names of the fields in lower case.
type Vendor struct {
	// Vendor is the name of the provider.
	Vendor string `json:"vendor"`

	// Sources say where the documents and samples are from.
	Sources []Source `json:"sources"`

	// Configured says in words how the provider under test is configured.
	Configured string `json:"configured"`

	// Resource is the URL of the MCP server; empty means [VendorResource].
	Resource string `json:"resource"`

	// Documents are what the provider answers to GET, by URL: an object, or the name of a
	// file in the same folder. The key set is not one of them.
	Documents map[string]json.RawMessage `json:"documents"`

	// JWKS is the URL of the key set, which has the keys of all samples.
	JWKS string `json:"jwks"`

	// Secret is the key of samples that are signed with HS256.
	Secret string `json:"secret"`

	// Tokens must be accepted, and LookAlikes rejected.
	Tokens     []Sample `json:"tokens"`
	LookAlikes []Sample `json:"lookalikes"`

	folder string
	keys   sampleKeys
}

// VendorResource is the URL of the MCP server if [Vendor.Resource] is empty.
const VendorResource = "https://mcp.example.com/mcp"

// Source says where a fact about a provider is from.
type Source struct {
	URL  string `json:"url"`
	Date string `json:"date"` // when it was read or measured: 2026-11-26
	What string `json:"what"`
}

// Sample is one token.
type Sample struct {
	// Name says which token it is: "ID token".
	Name string `json:"name"`

	// Source says where its form is from: a URL, a measured version, or "assumed".
	Source string `json:"source"`

	// Header and Claims are those of a JWT. The dates exp, iat, nbf, auth_time and
	// updated_at are in seconds from now. In a look-alike they are changes of the token
	// that Like names, or of the first one; null removes a member.
	Header map[string]any `json:"header"`
	Claims map[string]any `json:"claims"`
	Like   string         `json:"like"`

	// Opaque is the text of a token that is not a JWT, and Answers what the provider
	// answers when it is asked about it, by URL without query: the body, or an object with
	// the members status and body.
	Opaque  string                     `json:"opaque"`
	Answers map[string]json.RawMessage `json:"answers"`

	// Reason is why a look-alike must be rejected.
	Reason string `json:"reason"`

	// Want is what the identity of an accepted token must contain. Empty fields are not
	// compared.
	Want Wanted `json:"want"`
}

// Wanted is the identity of a [Sample].
type Wanted struct {
	Subject      string   `json:"subject"`
	Client       string   `json:"client"`
	Scopes       []string `json:"scopes"`
	Roles        []string `json:"roles"`
	Permissions  []string `json:"permissions"`
	Organization string   `json:"organization"`
	Kind         string   `json:"kind"` // "user" or "machine"
}

// LoadVendor reads the samples of a file, such as testdata/vendor.json.
func LoadVendor(path string) (*Vendor, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(text) > maxSamples {
		return nil, fmt.Errorf("%s: %d bytes, want at most %d", path, len(text), maxSamples)
	}
	v := &Vendor{folder: filepath.Dir(path), keys: newSampleKeys()}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if v.Resource == "" {
		v.Resource = VendorResource
	}
	for i := range v.LookAlikes {
		if err := v.complete(&v.LookAlikes[i]); err != nil {
			return nil, fmt.Errorf("%s: look-alike %q: %w", path, v.LookAlikes[i].Name, err)
		}
	}
	for url, document := range v.Documents {
		if v.Documents[url], err = v.read(document); err != nil {
			return nil, fmt.Errorf("%s: document %s: %w", path, url, err)
		}
	}
	return v, nil
}

// read returns a document: itself, or the content of the file that it names.
func (v *Vendor) read(document json.RawMessage) (json.RawMessage, error) {
	var name string
	if err := json.Unmarshal(document, &name); err != nil {
		return document, nil // an object
	}
	return os.ReadFile(filepath.Join(v.folder, filepath.Base(name)))
}

// complete adds to a look-alike what it does not change.
func (v *Vendor) complete(s *Sample) error {
	if s.Reason == "" {
		return errors.New("has no reason")
	}
	if s.Opaque != "" {
		return nil
	}
	base, err := v.token(s.Like)
	if err != nil {
		return err
	}
	s.Header, s.Claims = changed(base.Header, s.Header), changed(base.Claims, s.Claims)
	return nil
}

// token returns the token with the name, or the first JWT.
func (v *Vendor) token(name string) (*Sample, error) {
	for i := range v.Tokens {
		if s := &v.Tokens[i]; s.Opaque == "" && (name == "" || s.Name == name) {
			return s, nil
		}
	}
	return nil, fmt.Errorf("there is no JWT %q among the tokens", name)
}

// changed returns a copy of m with the changes, of which null removes a member.
func changed(m, changes map[string]any) map[string]any {
	out := make(map[string]any, len(m)+len(changes))
	for _, from := range []map[string]any{m, changes} {
		for name, value := range from {
			out[name] = value
		}
	}
	for name, value := range changes {
		if value == nil {
			delete(out, name)
		}
	}
	return out
}

// dates are the claims whose values are written in seconds from now.
var dates = map[string]bool{"exp": true, "iat": true, "nbf": true, "auth_time": true, "updated_at": true}

// dated returns a copy of claims with the dates counted from now.
func dated(claims map[string]any, now time.Time) map[string]any {
	out := changed(claims, nil)
	for name, value := range out {
		if offset, ok := value.(float64); ok && dates[name] {
			out[name] = now.Add(time.Duration(offset) * time.Second).Unix()
		}
	}
	return out
}

// Client returns a client whose requests the documents and samples of v answer. Nothing is
// sent over a network. Use it for a provider that sends requests of its own.
func (v *Vendor) Client() *http.Client { return &http.Client{Transport: vendorTransport{v}} }

// vendorTransport answers requests as the provider would.
type vendorTransport struct{ vendor *Vendor }

// RoundTrip implements [http.RoundTripper].
func (t vendorTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := t.vendor.answer(r)
	return &http.Response{
		StatusCode: status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:  http.Header{"Content-Type": {"application/json"}},
		Body:    io.NopCloser(strings.NewReader(string(body))),
		Request: r,
	}, nil
}

func (v *Vendor) answer(r *http.Request) (status int, body []byte) {
	address := *r.URL
	address.RawQuery = ""
	if address.String() == v.JWKS && r.Method == http.MethodGet {
		return http.StatusOK, v.keys.document()
	}
	if document, ok := v.Documents[r.URL.String()]; ok && r.Method == http.MethodGet {
		return http.StatusOK, document
	}
	query := r.URL.RawQuery
	if r.Body != nil {
		form, err := io.ReadAll(io.LimitReader(r.Body, maxSamples))
		if err != nil {
			return http.StatusBadRequest, nil
		}
		query += "&" + string(form)
	}
	for _, s := range append(v.Tokens, v.LookAlikes...) {
		if answer, ok := s.Answers[address.String()]; ok && strings.Contains(query+r.Header.Get("Authorization"), s.Opaque) {
			return statusAndBody(answer)
		}
	}
	return http.StatusNotFound, []byte(`{"error":"not_found"}`)
}

// statusAndBody reads an answer of [Sample.Answers].
func statusAndBody(answer json.RawMessage) (int, []byte) {
	var wrapped struct {
		Status int             `json:"status"`
		Body   json.RawMessage `json:"body"`
	}
	if err := json.Unmarshal(answer, &wrapped); err == nil && wrapped.Status != 0 && wrapped.Body != nil {
		return wrapped.Status, datedBody(wrapped.Body)
	}
	return http.StatusOK, datedBody(answer)
}

// datedBody returns an answer with its dates counted from now. A date as a text, as in some
// vendors' answers, stays a text.
func datedBody(body json.RawMessage) []byte {
	var members map[string]any
	if json.Unmarshal(body, &members) != nil {
		return body
	}
	now := time.Now()
	for name, value := range members {
		if text, ok := value.(string); ok && dates[name] {
			var offset int
			if _, err := fmt.Sscan(text, &offset); err == nil {
				members[name] = fmt.Sprint(now.Add(time.Duration(offset) * time.Second).Unix())
			}
		}
	}
	out, err := json.Marshal(dated(members, now))
	if err != nil {
		return body
	}
	return out
}
