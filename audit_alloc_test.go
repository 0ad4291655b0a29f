//go:build !race

package gatehouse_test

import (
	"net/http"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
)

// The allocations of the guard for one request, from before there was an audit. If another
// change moves them, measure them again without an audit.
const (
	allowedAllocations  = 35
	rejectedAllocations = 25
)

// Without a hook and a logger, the audit costs nothing. The race detector changes the number
// of allocations.
func TestDisabledAuditAllocatesNothing(t *testing.T) {
	is := newIssuer(t)
	noLog := func(cfg *gatehouse.Config) { cfg.OnReject = func(*http.Request, gatehouse.Rejection) {} }
	var log auditLog
	disabled, audited := newGuard(t, is, noLog).Wrap(behind), newGuard(t, is, noLog, log.configure).Wrap(behind)
	for name, test := range map[string]struct {
		request request
		want    float64
	}{
		"allowed":  {request{header: bearer(is.token(resource)), body: toolCall("read")}, allowedAllocations},
		"rejected": {request{}, rejectedAllocations},
	} {
		allocations := func(h http.Handler) float64 {
			return testing.AllocsPerRun(100, func() { h.ServeHTTP(discardWriter{make(http.Header)}, test.request.make()) }) -
				testing.AllocsPerRun(100, func() { test.request.make() })
		}
		if got := allocations(disabled); got != test.want {
			t.Errorf("%s: got %v allocations without an audit, want %v", name, got, test.want)
		}
		if got := allocations(audited); got <= test.want {
			t.Errorf("%s: got %v allocations with an audit, want more than %v: the test measures nothing", name, got, test.want)
		}
	}
	if got := gatehouse.DisabledAuditAllocations(); got != 0 {
		t.Errorf("got %v allocations in the auditor, want 0", got)
	}
}
