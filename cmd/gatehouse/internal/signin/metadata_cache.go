package signin

import (
	"bytes"
	"io"
	"net/http"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
)

// maxCachedDocuments bounds the metadata documents of one run. A sign-in needs two.
const maxCachedDocuments = 16

// metadataCache is an [http.RoundTripper] that fetches each metadata document once.
// This program reads the documents to choose a client, and the go-sdk reads them again
// to sign in: both must act on the same copy.
type metadataCache struct {
	next http.RoundTripper

	mu        sync.Mutex
	documents map[string]document // by URL
}

type document struct {
	header http.Header
	body   []byte
}

// RoundTrip implements [http.RoundTripper].
func (c *metadataCache) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet || req.URL.RawQuery != "" || req.Header.Get("Authorization") != "" {
		return c.next.RoundTrip(req)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if doc, ok := c.documents[req.URL.String()]; ok {
		return doc.response(req), nil
	}
	resp, err := c.next.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusOK || len(c.documents) >= maxCachedDocuments {
		return resp, err
	}
	body, err := trace.Peek(resp, trace.MaxDocument)
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	if c.documents == nil {
		c.documents = map[string]document{}
	}
	c.documents[req.URL.String()] = document{header: resp.Header.Clone(), body: body}
	return resp, nil
}

func (d document) response(req *http.Request) *http.Response {
	return &http.Response{
		Status:        "200 OK",
		StatusCode:    http.StatusOK,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        d.header.Clone(),
		Body:          io.NopCloser(bytes.NewReader(d.body)),
		ContentLength: int64(len(d.body)),
		Request:       req,
	}
}
