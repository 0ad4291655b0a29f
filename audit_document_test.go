package gatehouse_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

// The generated part of docs/audit.md is between these lines.
const (
	auditPage  = "docs/audit.md"
	auditBegin = "<!-- generated from AuditEvent: begin -->\n"
	auditEnd   = "<!-- generated from AuditEvent: end -->\n"
)

// exampleEvent has every field that an allowed call can have.
var exampleEvent = gatehouse.AuditEvent{
	Schema:         gatehouse.AuditSchema,
	Time:           time.Date(2026, 12, 1, 9, 30, 0, 123456789, time.UTC),
	ID:             "4PF7LCWXJAVYNJQ6ZBGNKZ3RHM",
	Decision:       gatehouse.AuditAllow,
	Layer:          gatehouse.AuditHTTP,
	Status:         200,
	Resource:       "https://mcp.example.com/mcp",
	Issuer:         "https://verb-noun-42.clerk.accounts.dev",
	SubjectHash:    "Qm1c0G5Zk3yXw9Jt2sVb7A",
	Kind:           "user",
	Organization:   "org_2x4K",
	ClientID:       "https://client.example.com/oauth/metadata.json",
	ClientHost:     "client.example.com",
	HTTPMethod:     "POST",
	Operations:     []gatehouse.AuditOperation{{Method: "tools/call", Name: "delete_document"}},
	OperationCount: 1,
	Duration:       4_200_000,
	CorrelationID:  "req-8f14e45f",
	TraceID:        "0af7651916cd43dd8448eb211c80319c",
}

// TestAuditDocument checks that the table and the example in docs/audit.md were generated from
// the present type.
func TestAuditDocument(t *testing.T) {
	docs := fieldDocs(t, "audit_event.go")
	var generated strings.Builder
	generated.WriteString("| field | type | meaning |\n| --- | --- | --- |\n")
	writeFields(t, &generated, docs, reflect.TypeFor[gatehouse.AuditEvent](), "")
	example, err := json.MarshalIndent(exampleEvent, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&generated, "\nAn allowed call, as `json.Marshal` writes it:\n\n```json\n%s\n```\n", example)

	text, err := os.ReadFile(auditPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), auditBegin)
	_, after, ok2 := strings.Cut(rest, auditEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no %q and %q", auditPage, auditBegin, auditEnd)
	}
	want := before + auditBegin + generated.String() + auditEnd + after
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatalf("%s is out of date; run go test . -run AuditDocument -update", auditPage)
	}
	if err := os.WriteFile(auditPage, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// writeFields writes the rows of a struct, and of the structs in its lists.
func writeFields(t *testing.T, w *strings.Builder, docs map[string]string, of reflect.Type, prefix string) {
	t.Helper()
	for i := range of.NumField() {
		field := of.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		doc := docs[of.Name()+"."+field.Name]
		if name == "" || doc == "" {
			t.Errorf("%s.%s has no name in JSON or no comment", of.Name(), field.Name)
		}
		kind := map[reflect.Kind]string{reflect.String: "text", reflect.Slice: "list"}[field.Type.Kind()]
		switch {
		case field.Type == reflect.TypeFor[time.Time]():
			kind = "time, RFC 3339"
		case kind == "":
			kind = "number"
		}
		if options == "" {
			kind += ", always there"
		}
		fmt.Fprintf(w, "| `%s%s` | %s | %s |\n", prefix, name, kind, doc)
		if field.Type.Kind() == reflect.Slice {
			writeFields(t, w, docs, field.Type.Elem(), prefix+name+"[].")
		}
	}
}

// fieldDocs returns the comments of the fields in a file, by "Type.Field".
func fieldDocs(t *testing.T, file string) map[string]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	docs := make(map[string]string)
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if s, ok := spec.Type.(*ast.StructType); ok {
			for _, field := range s.Fields.List {
				for _, name := range field.Names {
					docs[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(field.Doc.Text()), " ")
				}
			}
		}
		return true
	})
	return docs
}
