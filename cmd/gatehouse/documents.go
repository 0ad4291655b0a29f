package main

import (
	"bytes"
	"io"
	"net/http"
	"sync"
)

// maxDocuments is how many metadata documents a run remembers; a sign-in needs
// two.
const maxDocuments = 16

// documents is an [http.RoundTripper] that asks for each metadata document once:
// this program reads them to choose a client, and the go-sdk reads them again to
// sign in. Both then act on the same copy.
type documents struct {
	next http.RoundTripper

	mu   sync.Mutex
	kept map[string]document
}

type document struct {
	header http.Header
	body   []byte
}

// RoundTrip implements [http.RoundTripper].
func (d *documents) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet || req.URL.RawQuery != "" || req.Header.Get("Authorization") != "" {
		return d.next.RoundTrip(req)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if doc, ok := d.kept[req.URL.String()]; ok {
		return doc.answer(req), nil
	}
	resp, err := d.next.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusOK || len(d.kept) >= maxDocuments {
		return resp, err
	}
	body, err := peek(resp, maxDocument)
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	if d.kept == nil {
		d.kept = map[string]document{}
	}
	d.kept[req.URL.String()] = document{header: resp.Header.Clone(), body: body}
	return resp, nil
}

func (d document) answer(req *http.Request) *http.Response {
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
