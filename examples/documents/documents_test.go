package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Of several changes of one version, one succeeds; the others learn which version there is.
func TestConcurrentUpdates(t *testing.T) {
	f := start(t)
	author := f.signIn(t, grace)
	document := author.createShared("plan")
	users := []user{author, f.signIn(t, ada)}
	const n = 16
	var succeeded atomic.Int32
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			text := fmt.Sprint("by ", i)
			problem := users[i%2].try("update_document", updateInput{ID: document.ID, Version: document.Version, Text: &text}, &Document{})
			switch {
			case problem == "":
				succeeded.Add(1)
			case !strings.Contains(problem, "has version 3 and not 2"):
				t.Errorf("update %d: %s", i, problem)
			}
		})
	}
	group.Wait()
	if got := succeeded.Load(); got != 1 {
		t.Errorf("%d of %d updates succeeded, want 1", got, n)
	}
	var after Document
	author.call("read_document", readInput{document.ID}, &after)
	if after.Version != document.Version+1 {
		t.Errorf("the document has version %d, want %d", after.Version, document.Version+1)
	}
	author.wantProblem("has version 3 and not 2", "delete_document", deleteInput{document.ID, document.Version})
}

// Everything that a caller sends is bounded, and the error says what is wrong.
func TestLimits(t *testing.T) {
	f := start(t)
	u := f.signIn(t, grace)
	longest := createInput{strings.Repeat("ü", maxTitle), strings.Repeat("x", maxText)}
	var document Document
	u.call("create_document", longest, &document)
	for _, test := range []struct {
		in   createInput
		want string
	}{
		{createInput{longest.Title + "x", "text"}, "the title has 201 characters"},
		{createInput{"", "text"}, "the title has 0 characters"},
		{createInput{" ", "text"}, "the title has 1 characters"},
		{createInput{"two\nlines", "text"}, "in one line"},
		{createInput{"title", longest.Text + "x"}, "the text has 32769 bytes, want at most 32768"},
		{createInput{"title", "a\x00b"}, "NUL"},
	} {
		u.wantProblem(test.want, "create_document", test.in)
		u.wantProblem(test.want, "update_document", updateInput{ID: document.ID, Version: 1, Title: &test.in.Title, Text: &test.in.Text})
	}
	u.wantProblem("got 0 words", "search_documents", searchInput{Words: " "})
	u.wantProblem("got 9 words", "search_documents", searchInput{Words: strings.Repeat("x ", maxWords+1)})
	u.wantProblem("at most 64 bytes", "search_documents", searchInput{Words: strings.Repeat("x", maxWord+1)})
	u.wantProblem("validating", "read_document", map[string]any{})
	u.wantProblem("validating", "read_document", map[string]any{"id": document.ID, "tenant": "organization|other"})

	tx, err := f.store.db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxDocuments - 1 {
		_, err := tx.Exec("INSERT INTO documents (tenant, id, author, title, text, created, updated) SELECT tenant, ?, author, ?, '', ?, 0 FROM documents WHERE id = ?",
			fmt.Sprint("id", i), fmt.Sprint("title ", i), i, document.ID)
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	u.wantProblem("the workspace has 1000 documents, which is the limit", "create_document", createInput{"one more", "text"})
	f.signIn(t, alan).create("control, in another workspace")

	seen := map[string]bool{}
	for after, pages := "", 0; ; pages++ {
		var page listOutput
		u.call("list_documents", listInput{after}, &page)
		for _, document := range page.Documents {
			seen[document.ID] = true
			if document.Text != "" {
				t.Errorf("the list has the text of %s", document.ID)
			}
		}
		if after = page.Next; after == "" {
			if len(seen) != maxDocuments || pages != maxDocuments/pageSize-1 {
				t.Errorf("the pages had %d documents, and %d pages were followed by another", len(seen), pages)
			}
			break
		}
	}
}

// A search finds the documents that have all words, and reads no pattern in them.
func TestSearch(t *testing.T) {
	f := start(t)
	u := f.signIn(t, grace)
	for _, title := range []string{"100% done", "1000 done", "snake_case", "snakes case"} {
		u.create(title)
	}
	for words, want := range map[string]string{
		"100%": "100% done", "snake_": "snake_case", "DONE": "1000 done, 100% done", "done 1000": "1000 done",
		"text snakes": "snakes case", `\`: "", "' OR 1=1 --": "", "absent": "",
	} {
		var out listOutput
		u.call("search_documents", searchInput{Words: words}, &out)
		var got []string
		for _, document := range out.Documents {
			got = append(got, document.Title)
		}
		if out.Documents == nil || len(got) != len(strings.Split(want, ", ")) && want != "" || want == "" && len(got) > 0 {
			t.Errorf("%q found %q, want %q", words, got, want)
		}
		for _, title := range got {
			if !strings.Contains(want, title) {
				t.Errorf("%q found %q, want %q", words, got, want)
			}
		}
	}
}

// The details of an error that is not for the model stay in the server, in tools, resources and prompts.
func TestErrorsDoNotLeak(t *testing.T) {
	f := start(t)
	u := f.signIn(t, grace)
	id := u.create("plan").ID
	f.store.Close()
	for name, got := range map[string]string{
		"tool":     u.try("read_document", readInput{id}, &Document{}),
		"list":     u.try("list_documents", listInput{}, &listOutput{}),
		"resource": problem(u.session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: documentURIPrefix + id})),
		"prompt":   problem(u.session.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "review_document", Arguments: map[string]string{"id": id}})),
	} {
		if !strings.Contains(got, errInternal.Error()) || strings.Contains(got, "sql") || strings.Contains(got, "closed") {
			t.Errorf("%s: got the error %q, want %q", name, got, errInternal)
		}
	}
}

// A panic in a tool is an error of that call, and the process goes on.
func TestPanic(t *testing.T) {
	f := start(t)
	panics := func(context.Context, call, noInput) (noInput, error) { panic("secret") }
	addTool(&documentServer{Server: f.server, store: f.store}, &mcp.Tool{Name: "panic"}, gatehouse.Require{SignedIn: true}, panics)
	u := f.signIn(t, grace)
	if got := u.try("panic", noInput{}, &noInput{}); !strings.Contains(got, "internal error") || strings.Contains(got, "secret") {
		t.Errorf("got %q, want an internal error", got)
	}
	u.create("control")
}

// Queries end with the context of the request.
func TestCanceledCall(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "documents.db"))
	d := documents{s, workspace{tenant: "t", user: "u"}}
	ctx, cancel := context.WithCancel(t.Context())
	created, err := d.create(ctx, "title", "text")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	_, listErr := listDocuments(ctx, call{documents: d}, listInput{})
	_, createErr := d.create(ctx, "title", "text")
	_, changeErr := d.change(ctx, created.ID, 1, func(*Document) error { return nil })
	for name, err := range map[string]error{"list": listErr, "create": createErr, "change": changeErr, "delete": d.delete(ctx, created.ID, 1)} {
		if got := forModel(ctx, name, err); !errors.Is(err, context.Canceled) || got != errTimeout {
			t.Errorf("%s: got %v, which the model reads as %v", name, err, got)
		}
	}
	if n, err := d.count(t.Context()); n != 1 || err != nil {
		t.Errorf("there are %d documents, %v, want 1", n, err)
	}
}

// A database is kept over restarts, and one that a newer version of the server has used is not opened.
func TestMigrations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "with space & 100%.db")
	s := open(t, path)
	if _, err := (documents{s, workspace{tenant: "t", user: "u"}}).create(t.Context(), "title", "text"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the database has another name: %v", err)
	}
	s = open(t, path)
	if n, err := (documents{s, workspace{tenant: "t", user: "u"}}).count(t.Context()); n != 1 || err != nil {
		t.Errorf("after a restart there are %d documents, %v, want 1", n, err)
	}
	if _, err := s.db.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	_, err := openStore(t.Context(), path)
	if err == nil || !strings.Contains(err.Error(), "it has version 99, want at most 2") {
		t.Errorf("a newer database: got %v", err)
	}
	_, err = openStore(t.Context(), filepath.Join(t.TempDir(), "absent", "documents.db"))
	if err == nil || !strings.Contains(err.Error(), "set DOCUMENTS_DB") {
		t.Errorf("a folder that does not exist: got %v", err)
	}
}

// run reports what is missing in the environment, and stops when its context ends.
func TestRun(t *testing.T) {
	t.Setenv("DOCUMENTS_DB", filepath.Join(t.TempDir(), "documents.db"))
	for _, variable := range []string{"MCP_USE_OAUTH_CLERK_FRONTEND_API_URL", "CLERK_PUBLISHABLE_KEY", "CLERK_SECRET_KEY"} {
		t.Setenv(variable, "")
	}
	if err := run(t.Context()); err == nil || !strings.Contains(err.Error(), "MCP_USE_OAUTH_CLERK_FRONTEND_API_URL") {
		t.Errorf("without settings: got %v", err)
	}
}
