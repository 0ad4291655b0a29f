package main

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
)

func TestDescribeResult(t *testing.T) {
	t.Parallel()
	structured := map[string]any{"a": 1.0, "b": "<&>"}
	for _, test := range []struct {
		name   string
		result mcp.CallToolResult
		want   string
	}{
		{"nothing", mcp.CallToolResult{}, ""},
		{
			"texts",
			mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "one"}, &mcp.TextContent{Text: "two\n"}}},
			"one\ntwo\n",
		},
		{"structured", mcp.CallToolResult{StructuredContent: structured}, "{\n  \"a\": 1,\n  \"b\": \"<&>\"\n}\n"},
		{
			"structured, and the same as text",
			mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: `{"b":"<&>", "a":1}`}}, StructuredContent: structured},
			"{\n  \"a\": 1,\n  \"b\": \"<&>\"\n}\n",
		},
		{
			"structured, and a summary",
			mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "fine"}}, StructuredContent: []any{true}},
			"fine\n[\n  true\n]\n",
		},
		{
			"other content",
			mcp.CallToolResult{Content: []mcp.Content{
				&mcp.ImageContent{MIMEType: "image/png", Data: []byte("123")},
				&mcp.AudioContent{MIMEType: "audio/wav", Data: []byte("1")},
				&mcp.ResourceLink{URI: "file:///a"},
				&mcp.EmbeddedResource{Resource: &mcp.ResourceContents{URI: "file:///b", Text: "inside"}},
				&mcp.EmbeddedResource{Resource: &mcp.ResourceContents{URI: "file:///c", MIMEType: "a/b", Blob: []byte("12")}},
				&mcp.EmbeddedResource{},
			}},
			`[image, image/png, 3 bytes; --json shows it]
[audio, audio/wav, 1 bytes; --json shows it]
[resource file:///a]
inside
[resource file:///c, a/b, 2 bytes; --json shows it]
[empty resource]
`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, describeResult(&test.result)); diff != "" {
				t.Errorf("describeResult (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDescribeTools(t *testing.T) {
	t.Parallel()
	tools := []*mcp.Tool{
		{Name: "bare"},
		{Name: "full", Description: "One line.\nAnother.", InputSchema: map[string]any{
			"properties": map[string]any{
				"z": map[string]any{"type": "string"},
				"b": map[string]any{"type": []any{"string", "null"}, "description": "what"},
				"a": map[string]any{},
			},
			"required": []any{"z"},
		}},
		{Name: "odd", InputSchema: true},
	}
	want := `bare

full
  One line.
  Another.
    z (string, required)
    a
    b (string or null): what

odd
`
	if diff := cmp.Diff(want, describeTools(tools)); diff != "" {
		t.Errorf("describeTools (-want +got):\n%s", diff)
	}
	if got := describeTools(nil); got != "no tools\n" {
		t.Errorf("describeTools of none = %q", got)
	}
}

// TestPrintOnATerminal has a server that tries to control the terminal.
func TestPrintOnATerminal(t *testing.T) {
	t.Parallel()
	const text = "a\x1b[2Jb\tc\nd\u009be"
	for terminal, want := range map[bool]string{true: `a\u001b[2Jb` + "\tc\nd" + `\u009be`, false: text} {
		var stdout bytes.Buffer
		con := &console{stdout: &stdout, stdoutIsTerminal: terminal}
		if err := con.print(text); err != nil {
			t.Fatal(err)
		}
		if got := stdout.String(); got != want {
			t.Errorf("print on a terminal (%v) = %q, want %q", terminal, got, want)
		}
	}
}

func TestReportIsOneLine(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	con := &console{stderr: &stderr}
	con.reportError(failure.New("do\nthis", "one\ntwo\x1b[2J"))
	want := "gatehouse: error: one two [2J\ngatehouse: hint: do this\n"
	if got := stderr.String(); got != want {
		t.Errorf("report = %q, want %q", got, want)
	}
}
