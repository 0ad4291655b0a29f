package gateway

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/diagnose"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// "gatehouse call" and "gatehouse doctor" explain every reason of the gateway.
func TestReasonsAreExplained(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	// Those that clients meet without a fault of anyone.
	expected := map[string]bool{"session_ended": true, "method_not_allowed": true}
	found := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`reason: "([a-z_]+)"`).FindAllStringSubmatch(string(text), -1) {
			found++
			_, byGuard := reason.InfoOf(reason.Reason(match[1]))
			_, byGateway := diagnose.GatewayFix(match[1])
			if !byGuard && !byGateway && !expected[match[1]] {
				t.Errorf("%s has the reason %q, which is not explained; add it to diagnose/gateway.go", file, match[1])
			}
		}
	}
	if found < 10 {
		t.Errorf("found %d reasons, want at least 10", found)
	}
}
