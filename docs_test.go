package gatehouse_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
)

var update = flag.Bool("update", false, "rewrite generated documentation")

var (
	goBlock = regexp.MustCompile("(?s)(?:<!-- from (\\S+) -->\n)?```go\n(.*?)```")
	excerpt = regexp.MustCompile("(?s)<!-- from (\\S+) -->\n```[a-z]+\n(.*?)```")
	link    = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	// A code block has no links, but f[In, Out](x) in Go looks like one.
	codeBlock = regexp.MustCompile("(?s)```.*?```")
)

// documents returns the pages for users. Go code in them must be an excerpt of a file that is
// compiled. Code in other languages may be one of a file.
func documents(t *testing.T) []string {
	pages, err := filepath.Glob("docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("found %d pages in docs, %v", len(pages), err)
	}
	// The code in docs/upstream.md is a change to another project, which bench/upstream.patch
	// has whole.
	pages = slices.DeleteFunc(pages, func(page string) bool { return filepath.Base(page) == "upstream.md" })
	return append(pages, "README.md", "CONTRIBUTING.md", "SECURITY.md")
}

func TestCodeInDocumentsIsCompiled(t *testing.T) {
	blocks := 0
	for _, name := range documents(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, block := range goBlock.FindAllStringSubmatch(string(text), -1) {
			if block[1] == "" {
				t.Errorf("%s: a Go block has no file that it is an excerpt of; write <!-- from FILE --> above it", name)
			}
		}
		for _, block := range excerpt.FindAllStringSubmatch(string(text), -1) {
			blocks++
			source, err := os.ReadFile(block[1])
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if !strings.Contains(string(source), strings.TrimSuffix(block[2], "\n")) {
				t.Errorf("%s: the block from %s is not in that file", name, block[1])
			}
		}
	}
	if blocks < 2 {
		t.Errorf("found %d excerpts, want at least those of the README", blocks)
	}
}

func TestLinksInDocumentsExist(t *testing.T) {
	for _, name := range documents(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, l := range link.FindAllStringSubmatch(codeBlock.ReplaceAllString(string(text), ""), -1) {
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

// TestReasonsDocument checks that docs/reasons.md was generated from the present table.
func TestReasonsDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# Why a request was rejected

Each rejected request has one reason, which the log, ` + "`Stats`" + ` and ` + "`OnReject`" + ` name. The answer to the client has
the status, and a JSON body with the code (` + "`error`" + `), the phrase (` + "`error_description`" + `) and the reason
(` + "`reason`" + `). If the request is one operation and the status is 400 or 403, that is the ` + "`data`" + ` of a JSON-RPC error
with the code -32040. Details are in the log only. This page is generated from the table in the code.

| reason | answer | phrase | what happened | what to do |
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
		t.Errorf("%s is out of date (%v); run go test . -run TestReasonsDocument -update", name, err)
	}
}
