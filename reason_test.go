package gatehouse_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
)

func TestEveryReasonIsDescribed(t *testing.T) {
	seen := map[gatehouse.Reason]bool{}
	for _, row := range gatehouse.Reasons() {
		if seen[row.Reason] {
			t.Errorf("%s appears twice", row.Reason)
		}
		seen[row.Reason] = true
		if row.Status < 400 || row.Phrase == "" || row.When == "" || row.Do == "" {
			t.Errorf("%s has an incomplete description: %+v", row.Reason, row)
		}
		// Some clients search the whole header for "scope=" and similar text.
		if strings.ContainsAny(row.Phrase, "=\"\\") {
			t.Errorf("%s has a phrase that clients would misread: %s", row.Reason, row.Phrase)
		}
	}
}
