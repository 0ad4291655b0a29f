package reply_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/gatehouse-mcp/gatehouse/reply"
)

const encodingError = `{"content": [{"type": "text", "text": "The tool's result could not be encoded as JSON."}], "isError": true}`

type goldenCase struct {
	name   string
	result *mcp.CallToolResult
	want   string
}

// golden returns the result of every function with its JSON. Each test makes its own,
// because a server changes results.
func golden() []goldenCase {
	return []goldenCase{
		{
			"text",
			reply.Text("hello"),
			`{"_meta": {"mimeType": "text/plain"}, "content": [{"type": "text", "text": "hello"}]}`,
		},
		{
			"empty text",
			reply.Text(""),
			`{"_meta": {"mimeType": "text/plain"}, "content": [{"type": "text", "text": ""}]}`,
		},
		{
			"markdown",
			reply.Markdown("# hi"),
			`{"_meta": {"mimeType": "text/markdown"}, "content": [{"type": "text", "text": "# hi"}]}`,
		},
		{
			"html",
			reply.HTML("<b>&</b>"),
			`{"_meta": {"mimeType": "text/html"}, "content": [{"type": "text", "text": "<b>&</b>"}]}`,
		},
		{
			"xml",
			reply.XML("<a/>"),
			`{"_meta": {"mimeType": "text/xml"}, "content": [{"type": "text", "text": "<a/>"}]}`,
		},
		{"css", reply.CSS("a{}"), `{"_meta": {"mimeType": "text/css"}, "content": [{"type": "text", "text": "a{}"}]}`},
		{
			"javascript",
			reply.JavaScript("f()"),
			`{"_meta": {"mimeType": "text/javascript"}, "content": [{"type": "text", "text": "f()"}]}`,
		},
		{
			"error",
			reply.Error("no such city"),
			`{"content": [{"type": "text", "text": "no such city"}], "isError": true}`,
		},

		{
			"object", reply.Object(map[string]any{"name": "Ada <ada@example.com>", "tags": []string{"a"}, "none": nil, "big": 9007199254740993}),
			`{"_meta": {"mimeType": "application/json"},
		  "content": [{"type": "text", "text": "{\n  \"big\": 9007199254740993,\n  \"name\": \"Ada <ada@example.com>\",\n  \"none\": null,\n  \"tags\": [\n    \"a\"\n  ]\n}"}],
		  "structuredContent": {"name": "Ada <ada@example.com>", "tags": ["a"], "none": null, "big": 9007199254740993}}`,
		},
		{
			"object of a struct", reply.Object(struct {
				ID string `json:"id"`
			}{"user_1"}),
			`{"_meta": {"mimeType": "application/json"}, "content": [{"type": "text", "text": "{\n  \"id\": \"user_1\"\n}"}], "structuredContent": {"id": "user_1"}}`,
		},
		{
			"object without members",
			reply.Object(struct{}{}),
			`{"_meta": {"mimeType": "application/json"}, "content": [{"type": "text", "text": "{}"}], "structuredContent": {}}`,
		},
		{
			"object of a nil map",
			reply.Object(map[string]int(nil)),
			`{"_meta": {"mimeType": "application/json"}, "content": [{"type": "text", "text": "{}"}], "structuredContent": {}}`,
		},
		{
			"object of raw JSON",
			reply.Object(json.RawMessage(" { } ")),
			`{"_meta": {"mimeType": "application/json"}, "content": [{"type": "text", "text": "{}"}], "structuredContent": {}}`,
		},
		{
			"object of a slice",
			reply.Object([]int{1, 2}),
			`{"content": [{"type": "text", "text": "[\n  1,\n  2\n]"}], "structuredContent": {"result": [1, 2]}}`,
		},
		{"object of a string", reply.Object("text"), encodingError},
		{"object of nil", reply.Object(nil), encodingError},
		{"object of a nil pointer", reply.Object((*struct{})(nil)), encodingError},
		{"object of a channel", reply.Object(map[string]any{"c": make(chan int)}), encodingError},
		{"object of broken raw JSON", reply.Object(json.RawMessage("{")), encodingError},

		{
			"array",
			reply.Array([]string{"<a>"}),
			`{"content": [{"type": "text", "text": "[\n  \"<a>\"\n]"}], "structuredContent": {"result": ["<a>"]}}`,
		},
		{
			"array of a nil slice",
			reply.Array([]string(nil)),
			`{"content": [{"type": "text", "text": "[]"}], "structuredContent": {"result": []}}`,
		},
		{"array of an object", reply.Array(struct{}{}), encodingError},
		{"array of null", reply.Array(json.RawMessage("null")), encodingError},
		{"array of a channel", reply.Array([]any{make(chan int)}), encodingError},

		{
			"image",
			reply.Image([]byte{0xfb, 0xff}, "image/jpeg"),
			`{"_meta": {"mimeType": "image/jpeg", "isImage": true}, "content": [{"type": "image", "data": "+/8=", "mimeType": "image/jpeg"}]}`,
		},
		{
			"image by default",
			reply.Image(nil, ""),
			`{"_meta": {"mimeType": "image/png", "isImage": true}, "content": [{"type": "image", "data": "", "mimeType": "image/png"}]}`,
		},
		{
			"audio",
			reply.Audio([]byte("ab"), "audio/mpeg"),
			`{"_meta": {"mimeType": "audio/mpeg", "isAudio": true}, "content": [{"type": "audio", "data": "YWI=", "mimeType": "audio/mpeg"}]}`,
		},
		{
			"audio by default",
			reply.Audio([]byte("ab"), ""),
			`{"_meta": {"mimeType": "audio/wav", "isAudio": true}, "content": [{"type": "audio", "data": "YWI=", "mimeType": "audio/wav"}]}`,
		},
		{
			"binary",
			reply.Binary([]byte("ab"), "application/zip"),
			`{"_meta": {"mimeType": "application/zip", "isBinary": true}, "content": [{"type": "text", "text": "YWI="}]}`,
		},
		{
			"binary by default",
			reply.Binary([]byte("ab"), ""),
			`{"_meta": {"mimeType": "application/octet-stream", "isBinary": true}, "content": [{"type": "text", "text": "YWI="}]}`,
		},

		{
			"resource",
			reply.Resource("docs://a", "text/markdown", "# A"),
			`{"content": [{"type": "resource", "resource": {"uri": "docs://a", "mimeType": "text/markdown", "text": "# A"}}]}`,
		},
		{
			"resource without type",
			reply.Resource("docs://a", "", "A"),
			`{"content": [{"type": "resource", "resource": {"uri": "docs://a", "text": "A"}}]}`,
		},
		{
			"resource without text",
			reply.Resource("docs://a", "text/plain", ""),
			`{"content": [{"type": "resource", "resource": {"uri": "docs://a", "mimeType": "text/plain", "text": ""}}]}`,
		},
		{
			"resource of a reply",
			reply.ResourceOf("docs://a", reply.CSS("a{}")),
			`{"content": [{"type": "resource", "resource": {"uri": "docs://a", "mimeType": "text/css", "text": "a{}"}}]}`,
		},
		{
			"resource of an image",
			reply.ResourceOf("docs://a", reply.Image([]byte("ab"), "")),
			`{"content": [{"type": "resource", "resource": {"uri": "docs://a", "mimeType": "image/png", "text": ""}}]}`,
		},
		{
			"resource of a mix",
			reply.ResourceOf("docs://a", reply.Mix(reply.Audio(nil, ""), reply.Text("a"), reply.Text("b"))),
			`{"content": [{"type": "resource", "resource": {"uri": "docs://a", "mimeType": "text/plain", "text": "a"}}]}`,
		},
		{
			"resource of nil",
			reply.ResourceOf("docs://a", nil),
			`{"content": [{"type": "resource", "resource": {"uri": "docs://a", "text": ""}}]}`,
		},

		{
			"mix", reply.Mix(reply.Text("a"), reply.Object(map[string]int{"x": 1, "y": 1}), nil, reply.Object(map[string]int{"y": 2}), reply.Image([]byte("ab"), "")),
			`{"_meta": {"mimeType": "image/png", "isImage": true},
		  "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "{\n  \"x\": 1,\n  \"y\": 1\n}"}, {"type": "text", "text": "{\n  \"y\": 2\n}"}, {"type": "image", "data": "YWI=", "mimeType": "image/png"}],
		  "structuredContent": {"x": 1, "y": 2}}`,
		},
		{"mix of no results", reply.Mix(), `{"content": []}`},
		{
			"mix without members",
			reply.Mix(reply.Object(struct{}{})),
			`{"_meta": {"mimeType": "application/json"}, "content": [{"type": "text", "text": "{}"}]}`,
		},
		{
			"mix without meta",
			reply.Mix(reply.Resource("docs://a", "", "A")),
			`{"content": [{"type": "resource", "resource": {"uri": "docs://a", "text": "A"}}]}`,
		},
		{
			"mix with an error",
			reply.Mix(reply.Text("a"), reply.Error("b"), reply.Text("c")),
			`{"_meta": {"mimeType": "text/plain"}, "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, {"type": "text", "text": "c"}], "isError": true}`,
		},
		{
			"mix with foreign content",
			reply.Mix(&mcp.CallToolResult{StructuredContent: map[string]int{"x": 1}}, reply.Object(map[string]int{"y": 2})),
			`{"_meta": {"mimeType": "application/json"}, "content": [{"type": "text", "text": "{\n  \"y\": 2\n}"}], "structuredContent": {"x": 1, "y": 2}}`,
		},
		{
			"mix that ends in a number",
			reply.Mix(reply.Array([]int{1}), &mcp.CallToolResult{StructuredContent: 7}),
			`{"content": [{"type": "text", "text": "[\n  1\n]"}], "structuredContent": 7}`,
		},
		{
			"mix that begins with a number",
			reply.Mix(&mcp.CallToolResult{StructuredContent: 7}, reply.Array([]int{1})),
			`{"content": [{"type": "text", "text": "[\n  1\n]"}], "structuredContent": {"result": [1]}}`,
		},
		{
			"mix with a channel",
			reply.Mix(reply.Text("a"), &mcp.CallToolResult{StructuredContent: make(chan int)}),
			encodingError,
		},
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	for _, tt := range golden() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			data, err := json.Marshal(tt.result)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(decode(t, tt.want), decode(t, string(data))); diff != "" {
				t.Errorf("JSON (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSession returns each result from a tool and reads what the server sends, in a
// revision with sessions and in a stateless one.
func TestSession(t *testing.T) {
	t.Parallel()
	for _, revision := range []string{"2025-11-25", "2026-07-28"} {
		t.Run(revision, func(t *testing.T) {
			t.Parallel()
			server := mcp.NewServer(&mcp.Implementation{Name: "replies", Version: "1"}, nil)
			tests := golden()
			for i, tt := range tests {
				mcp.AddTool(server, &mcp.Tool{Name: fmt.Sprint("tool", i)},
					func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
						return tt.result, nil, nil
					})
			}
			session, wire := connect(t, server, revision)
			for i, tt := range tests {
				if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: fmt.Sprint("tool", i)}); err != nil {
					t.Errorf("%s: %v", tt.name, err)
					continue
				}
				if diff := cmp.Diff(decode(t, tt.want), wire()); diff != "" {
					t.Errorf("%s on the wire (-want +got):\n%s", tt.name, diff)
				}
			}
		})
	}
}

// connect returns a session of the revision, and a function that returns the result in
// the server's last message, without the members that the protocol adds.
func connect(t *testing.T, server *mcp.Server, revision string) (*mcp.ClientSession, func() any) {
	t.Helper()
	ours, theirs := mcp.NewInMemoryTransports()
	serving, err := server.Connect(t.Context(), theirs, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { serving.Wait() })
	var log bytes.Buffer
	client := mcp.NewClient(&mcp.Implementation{Name: "reader", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.LoggingTransport{Transport: ours, Writer: &log}, &mcp.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return session, func() any {
		t.Helper()
		text := log.String()
		text = text[strings.LastIndex(text, "read: ")+len("read: "):]
		message, _ := decode(t, text).(map[string]any)
		result, _ := message["result"].(map[string]any)
		delete(result, "resultType")
		if meta, ok := result["_meta"].(map[string]any); ok {
			if delete(meta, "io.modelcontextprotocol/serverInfo"); len(meta) == 0 {
				delete(result, "_meta")
			}
		}
		return result
	}
}

// decode reads JSON and keeps numbers as text.
func decode(t *testing.T, text string) any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("decoding %s: %v", text, err)
	}
	return value
}

// TestTypedOutput checks what the package documentation says about typed outputs.
func TestTypedOutput(t *testing.T) {
	t.Parallel()
	type output struct {
		X int `json:"x"`
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "replies", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "typed"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, output, error) {
		return reply.Object(map[string]int{"y": 2}), output{X: 1}, nil
	})
	session, _ := connect(t, server, "2025-11-25")
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "typed"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"x": 1.0}, result.StructuredContent); diff != "" {
		t.Errorf("structured content (-want +got):\n%s", diff)
	}
}

func TestCauseStaysOnTheServer(t *testing.T) {
	t.Parallel()
	var unsupported *json.UnsupportedTypeError
	for name, result := range map[string]*mcp.CallToolResult{
		"object": reply.Object(make(chan int)),
		"array":  reply.Array(make(chan int)),
		"mix":    reply.Mix(reply.Text("a"), reply.Object(make(chan int))),
	} {
		if err := result.GetError(); !errors.As(err, &unsupported) {
			t.Errorf("%s: GetError = %v, want the error of encoding/json", name, err)
		}
		if data, err := json.Marshal(result); err != nil || strings.Contains(string(data), "chan") {
			t.Errorf("%s: JSON = %s, %v, want it without the cause", name, data, err)
		}
	}
	const want = `encoding the reply: got a string, want a JSON object or array`
	if err := reply.Object("x").GetError(); err == nil || err.Error() != want {
		t.Errorf("GetError = %v, want %s", err, want)
	}
	if err := reply.Error("x").GetError(); err != nil {
		t.Errorf("GetError = %v, want none", err)
	}
}

func TestMixDoesNotChangeItsParts(t *testing.T) {
	t.Parallel()
	parts := []*mcp.CallToolResult{reply.Object(map[string]int{"x": 1}), reply.Image(nil, "")}
	before := fmt.Sprint(decodeResult(t, parts[0]), decodeResult(t, parts[1]))
	mixed := reply.Mix(parts...)
	mixed.Meta["own"] = true
	mixed.Content[0] = &mcp.TextContent{Text: "other"}
	if after := fmt.Sprint(decodeResult(t, parts[0]), decodeResult(t, parts[1])); after != before {
		t.Errorf("Mix changed its parts: got %s, want %s", after, before)
	}
}

func decodeResult(t *testing.T, result *mcp.CallToolResult) any {
	t.Helper()
	data, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, string(data))
}

func FuzzObject(f *testing.F) {
	for _, seed := range []string{`{"a": 1}`, `[1, {"b": "<&>"}]`, `null`, `"s"`, `{`, "{\"a\":\"\u2028\"}", ` [ ] `} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		result := reply.Object(json.RawMessage(text))
		got, _ := decodeResult(t, result).(map[string]any)
		if result.IsError {
			if diff := cmp.Diff(decode(t, encodingError), any(got)); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			return
		}
		want := decode(t, text)
		if _, array := want.([]any); array {
			want = map[string]any{"result": want}
		}
		if diff := cmp.Diff(want, got["structuredContent"]); diff != "" {
			t.Errorf("structured content (-want +got):\n%s", diff)
		}
	})
}
