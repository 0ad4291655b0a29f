package gatehouse_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
)

var update = flag.Bool("update", false, "rewrite generated documentation")

var (
	goBlock = regexp.MustCompile("(?s)(?:<!-- from (\\S+) -->\n)?```go\n(.*?)```")
	link    = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
)

// documents are the pages for users. Code in them is an excerpt of a file that
// the compiler sees.
var documents = []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/clerk.md", "docs/reasons.md", "docs/reliability.md", "docs/local-clerk.md", "docs/performance.md"}

func TestCodeInDocumentsIsCompiled(t *testing.T) {
	blocks := 0
	for _, name := range documents {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, block := range goBlock.FindAllStringSubmatch(string(text), -1) {
			blocks++
			source, err := os.ReadFile(block[1])
			if err != nil {
				t.Errorf("%s: a Go block does not say which file it is from (<!-- from FILE --> above it): %v", name, err)
			} else if !strings.Contains(string(source), strings.TrimSuffix(block[2], "\n")) {
				t.Errorf("%s: the block from %s is no longer in that file", name, block[1])
			}
		}
	}
	if blocks < 2 {
		t.Errorf("found %d Go blocks, want those of the README at least", blocks)
	}
}

func TestLinksInDocumentsLeadSomewhere(t *testing.T) {
	for _, name := range documents {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, l := range link.FindAllStringSubmatch(string(text), -1) {
			target := l[1]
			if strings.HasPrefix(name, "docs/") {
				target = "docs/" + target
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", name, l[1], err)
			}
		}
	}
}

// TestReasonsDocument keeps docs/reasons.md the same as the table in the code.
func TestReasonsDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# Why a request was refused

Each refused request has one reason, in the log, in ` + "`Stats`" + ` and for ` + "`OnReject`" + `. The outside learns the status, the code
and the phrase, and nothing more. This page is generated from the table in the code.

| reason | answer | told outside | what happened | what to do |
| --- | --- | --- | --- | --- |
`)
	for _, row := range gatehouse.Reasons() {
		fmt.Fprintf(&b, "| `%s` | %d `%s` | %s | %s | %s |\n", row.Reason, row.Status, row.Code, row.Phrase, row.When, row.Do)
	}
	const name = "docs/reasons.md"
	if *update {
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil || string(got) != b.String() {
		t.Errorf("%s is stale; run: go test . -run TestReasonsDocument -update (%v)", name, err)
	}
	if n := len(gatehouse.Reasons()); n > gatehouse.MaxReasons {
		t.Errorf("there are %d reasons and room for %d", n, gatehouse.MaxReasons)
	}
}
