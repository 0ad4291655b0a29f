package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
)

// TestHealth changes the answer of a healthy server in one way each.
func TestHealth(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	t.Cleanup(elsewhere.Close) // after the parallel tests
	tests := []struct {
		name    string
		answer  http.HandlerFunc
		wantErr string // a part of the error, or empty for a healthy server
	}{
		{"ready", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("ready\n")) }, ""},
		{"not ready", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "draining", http.StatusServiceUnavailable) },
			`answered 503 Service Unavailable: "draining"`},
		{"another success", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) }, "answered 204 No Content"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, "answered 302 Found"},
		{"no end", func(w http.ResponseWriter, r *http.Request) {
			w.Write([]byte("x"))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, "reading the answer"},
		{"no answer", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "did not answer within"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(test.answer)
			defer server.Close()
			timeout := time.Minute
			if strings.HasPrefix(test.name, "no ") {
				timeout = 200 * time.Millisecond
			}
			var stdout bytes.Buffer
			err := checkHealth(context.Background(), &console{stdout: &stdout}, server.URL+"/readyz", timeout)
			if test.wantErr == "" {
				if err != nil || stdout.String() != "ready\n" {
					t.Fatalf("got %q, %v; want the text of the answer", stdout.String(), err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.wantErr) {
				t.Fatalf("got error %v, want one with %q", err, test.wantErr)
			}
			if hint := (*failure.Error)(nil); !errors.As(err, &hint) || hint.Hint == "" {
				t.Error("the error has no hint")
			}
		})
	}
}
