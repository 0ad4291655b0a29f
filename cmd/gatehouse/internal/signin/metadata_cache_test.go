package signin

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
)

func TestMetadataCacheFetchesOnce(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		status int
		change func(req *http.Request)
		want   int // requests that are sent, of two
	}{
		{"control", 200, func(*http.Request) {}, 1},
		{"not found", 404, func(*http.Request) {}, 2},
		{"post", 200, func(req *http.Request) { req.Method = http.MethodPost }, 2},
		{"query", 200, func(req *http.Request) { req.URL.RawQuery = "a=b" }, 2},
		{"with a token", 200, func(req *http.Request) { req.Header.Set("Authorization", "Bearer x") }, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			sent := 0
			next := roundTripper(func(*http.Request) (*http.Response, error) {
				sent++
				rec := httptest.NewRecorder()
				rec.Header().Set("Content-Type", "application/json")
				rec.WriteHeader(test.status)
				rec.WriteString(`{"a":1}`)
				return rec.Result(), nil
			})
			cache := &metadataCache{next: next}
			for range 2 {
				req := httptest.NewRequest(http.MethodGet, "https://issuer.example.com/.well-known/x", nil)
				test.change(req)
				resp, err := cache.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				if err != nil || string(body) != `{"a":1}` || resp.Header.Get("Content-Type") != "application/json" {
					t.Errorf("response = %q %v, %v", body, resp.Header, err)
				}
			}
			if sent != test.want {
				t.Errorf("%d requests were sent, want %d", sent, test.want)
			}
		})
	}
}

func TestMetadataCacheLimits(t *testing.T) {
	t.Parallel()
	size := 1
	cache := &metadataCache{next: roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(strings.Repeat("x", size)))}, nil
	})}
	for i := range maxCachedDocuments + 5 {
		req := httptest.NewRequest(http.MethodGet, "https://issuer.example.com/"+strings.Repeat("x", i), nil)
		if _, err := cache.RoundTrip(req); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(cache.documents); n != maxCachedDocuments {
		t.Errorf("caches %d documents, want %d", n, maxCachedDocuments)
	}
	cache.documents, size = nil, trace.MaxDocument+1
	_, err := cache.RoundTrip(httptest.NewRequest(http.MethodGet, "https://issuer.example.com/long", nil))
	wantErr(t, err, "response is longer than")
}
