package prometheus

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the table in docs/operations.md")

// The generated part of the page is between these lines.
const (
	operationsPage = "../../docs/operations.md"
	tableBegin     = "<!-- generated from metrics/prometheus: begin -->\n"
	tableEnd       = "<!-- generated from metrics/prometheus: end -->\n"
)

// TestOperationsDocument checks that the table of metrics in docs/operations.md is that of the code.
func TestOperationsDocument(t *testing.T) {
	var table strings.Builder
	table.WriteString("| Prometheus | OpenTelemetry | type | labels | meaning |\n| --- | --- | --- | --- | --- |\n")
	all := observed
	for _, s := range states {
		all = append(all, s.metric)
	}
	for _, m := range all {
		if m.help == "" || m.otel == "" || m.kind == "" {
			t.Errorf("%s lacks a description, a kind or a name in OpenTelemetry", m.name)
		}
		table.WriteString("| `" + m.name + "` | `" + m.otel + "` | " + m.kind + " | `" + strings.Join(m.labels, "` `") + "` | " + m.help + " |\n")
	}
	text, err := os.ReadFile(operationsPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found1 := strings.Cut(string(text), tableBegin)
	current, after, found2 := strings.Cut(rest, tableEnd)
	if !found1 || !found2 {
		t.Fatalf("%s lacks the lines %q and %q", operationsPage, tableBegin, tableEnd)
	}
	if current == table.String() {
		return
	}
	if !*update {
		t.Fatalf("the table in %s is not that of the code; run \"go test -run OperationsDocument -update\"", operationsPage)
	}
	if err := os.WriteFile(operationsPage, []byte(before+tableBegin+table.String()+tableEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
