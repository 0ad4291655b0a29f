package gatehouse_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
)

// Anyone can send a request that is rejected, so the text that it adds to the log is bounded.
func TestLogOfARejectionIsBounded(t *testing.T) {
	var log bytes.Buffer
	handler := newGuard(t, newIssuer(t), func(cfg *gatehouse.Config) {
		cfg.Logger = slog.New(slog.NewJSONHandler(&log, nil))
	}).Wrap(behind)
	send(handler, request{method: strings.Repeat("M", 100_000), target: "/" + strings.Repeat("p", 100_000)})
	if got := log.String(); log.Len() > 4096 || !strings.Contains(got, "no_credentials") {
		t.Errorf("got %d bytes in the log, want at most 4096 and the reason: %.200s", log.Len(), got)
	}
}
