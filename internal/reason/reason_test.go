package reason_test

import (
	"net/http"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

func TestTableIsComplete(t *testing.T) {
	reasons, phrases := map[reason.Reason]bool{}, map[string]bool{}
	for i, info := range reason.All() {
		if info.Reason == "" || info.Code == "" || info.Phrase == "" || info.When == "" || info.Do == "" {
			t.Errorf("%+v has an empty field", info)
		}
		if http.StatusText(info.Status) == "" || info.Status < 400 {
			t.Errorf("%s has status %d, want an error", info.Reason, info.Status)
		}
		if reasons[info.Reason] {
			t.Errorf("reason %q appears twice", info.Reason)
		}
		if phrases[info.Phrase] {
			t.Errorf("phrase %q appears twice", info.Phrase)
		}
		reasons[info.Reason], phrases[info.Phrase] = true, true
		if got, ok := reason.Index(info.Reason); !ok || got != i {
			t.Errorf("Index(%q) = %d, %v, want %d", info.Reason, got, ok, i)
		}
		if got, ok := reason.InfoOf(info.Reason); !ok || got != info {
			t.Errorf("InfoOf(%q) = %+v, %v", info.Reason, got, ok)
		}
	}
}

func TestUnknownReason(t *testing.T) {
	if i, ok := reason.Index("no_such_reason"); ok {
		t.Errorf("Index = %d, true, want false", i)
	}
	if info, ok := reason.InfoOf("no_such_reason"); ok {
		t.Errorf("InfoOf = %+v, true, want false", info)
	}
}
