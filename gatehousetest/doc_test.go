package gatehousetest_test

import (
	"os"
	"strings"
	"testing"
)

// TestDocumentationIsTheExample checks that the code of the package documentation is
// that of Example, which runs.
func TestDocumentationIsTheExample(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for line := range strings.Lines(string(doc)) {
		if indented, ok := strings.CutPrefix(line, "//\t"); ok {
			code.WriteString("\t" + indented)
		} else if line == "//\n" && code.Len() > 0 {
			code.WriteString("\n")
		}
	}
	want := strings.TrimRight(code.String(), "\n")
	if want == "" || !strings.Contains(string(example), want) {
		t.Errorf("example_test.go does not contain the code of doc.go:\n%s", want)
	}
}
