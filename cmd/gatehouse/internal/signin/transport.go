package signin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// checkedTransport is an [http.RoundTripper] that sends requests only to URLs that
// checkURL accepts. A redirect of a request with a body is an error: if it were followed,
// codes and tokens would be sent to a URL that no metadata names.
type checkedTransport struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (t *checkedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if _, err := checkURL(req.URL.String()); err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, fmt.Errorf("not requesting %s: it %w", quote.String(trace.WithoutQuery(req.URL)), err)
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil || req.Method == http.MethodGet || resp.StatusCode < 300 || resp.StatusCode >= 400 {
		return resp, err
	}
	resp.Body.Close()
	return nil, failure.New("report this to the operator of the authorization server: its metadata must name the endpoint itself",
		"%q redirects%s; not sending secrets there", trace.WithoutQuery(req.URL), trace.RedirectTarget(resp.Header.Get("Location")))
}

// unauthorized returns a request and a response with which the go-sdk signs in at the
// authorization server. The response has no challenge, so that the go-sdk asks for the
// metadata at the well-known URLs, and gets it from knownMetadata.
func (s *authServer) unauthorized() (*http.Request, *http.Response, error) {
	u, err := url.Parse(s.resource)
	if err != nil {
		return nil, nil, err
	}
	resp := &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{}, Body: http.NoBody}
	return &http.Request{Method: http.MethodPost, URL: u}, resp, nil
}

// client returns a copy of base for the go-sdk, with the metadata of s.
func (s *authServer) client(base *http.Client) *http.Client {
	client := *base
	client.Transport = &knownMetadata{next: base.Transport, server: s}
	return &client
}

// knownMetadata is an [http.RoundTripper] for the go-sdk, which reads the metadata again to
// sign in. It answers with the metadata that this package read and checked, so that a
// server cannot show the go-sdk other metadata.
type knownMetadata struct {
	next   http.RoundTripper
	server *authServer
}

// RoundTrip implements [http.RoundTripper].
func (m *knownMetadata) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet {
		return m.next.RoundTrip(req)
	}
	var document any = m.server.metadata
	if strings.HasPrefix(req.URL.Path, wellknown.ProtectedResourcePath) {
		document = &oauthex.ProtectedResourceMetadata{
			Resource:             m.server.resource,
			AuthorizationServers: []string{m.server.metadata.Issuer},
		}
	}
	body, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		Status:        "200 OK",
		StatusCode:    http.StatusOK,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
		Request:       req,
	}, nil
}
