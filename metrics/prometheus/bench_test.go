package prometheus_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/metrics/prometheus"
)

// BenchmarkRequest is one admitted request with a known token, without a handler that does anything.
// The command in bench compares whole calls.
func BenchmarkRequest(b *testing.B) {
	clerk := gatehousetest.Clerk(b)
	const resource = "http://localhost:3000/mcp"
	token := clerk.Token(b, resource, gatehousetest.Person{})
	for name, observers := range map[string][]gatehouse.Observer{
		"without": nil,
		"empty":   {{Decision: func(context.Context, gatehouse.Decision) context.Context { return nil }}},
		"metrics": {prometheus.New().Observer()},
	} {
		b.Run(name, func(b *testing.B) {
			guard, err := gatehouse.New(gatehouse.Config{
				Resource: resource, Provider: clerk.Provider(), Observers: observers, Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				b.Fatal(err)
			}
			defer guard.Close()
			handler := guard.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, resource, strings.NewReader(
					`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"hello","arguments":{}}}`))
				r.Header.Set("Authorization", "Bearer "+token)
				w := httptest.NewRecorder()
				if handler.ServeHTTP(w, r); w.Code != http.StatusOK {
					b.Fatalf("got status %d", w.Code)
				}
			}
		})
	}
}
