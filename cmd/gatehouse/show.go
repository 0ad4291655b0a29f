package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// describeResult returns a tool's result for people: texts as they are, other
// content named, structured content as indented JSON. A text that only repeats
// the structured content is left out.
func describeResult(result *mcp.CallToolResult) string {
	var parts []string
	for _, content := range result.Content {
		if text, ok := content.(*mcp.TextContent); ok && repeats(text.Text, result.StructuredContent) {
			continue
		}
		parts = append(parts, describeContent(content))
	}
	if result.StructuredContent != nil {
		parts = append(parts, indented(result.StructuredContent))
	}
	var b strings.Builder
	for _, part := range parts {
		b.WriteString(part)
		if !strings.HasSuffix(part, "\n") {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// repeats reports whether a text is the JSON of value.
func repeats(text string, value any) bool {
	if value == nil {
		return false
	}
	var said any
	return json.Unmarshal([]byte(text), &said) == nil && reflect.DeepEqual(said, value)
}

func describeContent(content mcp.Content) string {
	switch content := content.(type) {
	case *mcp.TextContent:
		return content.Text
	case *mcp.ImageContent:
		return fmt.Sprintf("[image, %s, %d bytes; --json shows it]", content.MIMEType, len(content.Data))
	case *mcp.AudioContent:
		return fmt.Sprintf("[audio, %s, %d bytes; --json shows it]", content.MIMEType, len(content.Data))
	case *mcp.ResourceLink:
		return fmt.Sprintf("[resource %s]", content.URI)
	case *mcp.EmbeddedResource:
		return describeResource(content.Resource)
	}
	return "[content of another kind; --json shows it]"
}

func describeResource(resource *mcp.ResourceContents) string {
	switch {
	case resource == nil:
		return "[empty resource]"
	case resource.Text != "":
		return resource.Text
	}
	return fmt.Sprintf("[resource %s, %s, %d bytes; --json shows it]", resource.URI, resource.MIMEType, len(resource.Blob))
}

// indented returns v as indented JSON. v was JSON before, so it is again.
func indented(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Sprintf("[structured content: %v]", err)
	}
	return b.String()
}

// describeTools returns a list of tools for people: name, description and, one a
// line, the arguments.
func describeTools(tools []*mcp.Tool) string {
	if len(tools) == 0 {
		return "no tools\n"
	}
	var b strings.Builder
	for i, tool := range tools {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(tool.Name + "\n")
		for line := range strings.Lines(strings.TrimSpace(tool.Description)) {
			b.WriteString("  " + strings.TrimRight(line, "\n") + "\n")
		}
		for _, argument := range describeArguments(tool.InputSchema) {
			b.WriteString("    " + argument + "\n")
		}
	}
	return b.String()
}

// describeArguments returns one line for each property of an input schema, the
// required ones first.
func describeArguments(schema any) []string {
	object, _ := schema.(map[string]any)
	properties, _ := object["properties"].(map[string]any)
	required, _ := object["required"].([]any)
	var must, may []string
	for name, property := range properties {
		details, _ := property.(map[string]any)
		kind := typeName(details["type"])
		description, _ := details["description"].(string)
		if slices.Contains(required, any(name)) {
			must = append(must, joinNonEmpty(": ", fmt.Sprintf("%s (%s)", name, joinNonEmpty(", ", kind, "required")), description))
		} else {
			may = append(may, joinNonEmpty(": ", name+ifSet(" (%s)", kind), description))
		}
	}
	slices.Sort(must)
	slices.Sort(may)
	return append(must, may...)
}

// typeName returns the type of a JSON Schema: "string", or "string or null".
func typeName(kind any) string {
	switch kind := kind.(type) {
	case string:
		return kind
	case []any:
		names := make([]string, len(kind))
		for i, name := range kind {
			names[i] = fmt.Sprint(name)
		}
		return strings.Join(names, " or ")
	}
	return ""
}
