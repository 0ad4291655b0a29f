package gatehouse_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
)

// BenchmarkGuard measures what the guard does for one call, without an MCP server: with a known
// token, with a requirement for the tool, and with an audit whose events are written as JSON.
func BenchmarkGuard(b *testing.B) {
	is := newIssuer(b)
	rq := request{header: bearer(is.token(resource)), body: toolCall("read")}
	for _, bench := range []struct {
		name      string
		configure func(*gatehouse.Config)
	}{
		{"plain", func(*gatehouse.Config) {}},
		{"requirement", func(cfg *gatehouse.Config) {
			cfg.Requirements = []gatehouse.Requirement{{Tool: "read", Require: gatehouse.Require{Person: true}}}
		}},
		{"audit", func(cfg *gatehouse.Config) { cfg.AuditLogger = slog.New(slog.NewJSONHandler(io.Discard, nil)) }},
		{"audit hook", func(cfg *gatehouse.Config) { cfg.Audit = func(context.Context, gatehouse.AuditEvent) {} }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			handler := newGuard(b, is, bench.configure).Wrap(behind)
			if resp := send(handler, rq); resp.StatusCode != http.StatusOK {
				b.Fatalf("got status %d: %s", resp.StatusCode, body(b, resp))
			}
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(discardWriter{make(http.Header)}, rq.make())
			}
		})
	}
}
