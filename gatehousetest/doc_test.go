package gatehousetest_test

import (
	"os"
	"strings"
	"testing"
)

// TestDocumentationIsTheExample keeps the code of the package documentation the
// same as that of TestHello, which runs it.
func TestDocumentationIsTheExample(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var snippet strings.Builder
	for line := range strings.Lines(string(text)) {
		if code, ok := strings.CutPrefix(line, "//\t"); ok {
			snippet.WriteString("\t" + code)
		} else if line == "//\n" && snippet.Len() > 0 {
			snippet.WriteString("\n")
		}
	}
	want := strings.TrimRight(snippet.String(), "\n")
	if want == "" || !strings.Contains(string(example), want) {
		t.Errorf("example_test.go does not have the code of doc.go:\n%s", want)
	}
}
