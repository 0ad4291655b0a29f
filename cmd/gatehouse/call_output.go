package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
)

// describeResult formats the result of a tool for people: text unchanged, other content
// by name, structured content as indented JSON. It omits text that only repeats the
// structured content.
func describeResult(result *mcp.CallToolResult) string {
	var parts []string
	for _, content := range result.Content {
		if text, ok := content.(*mcp.TextContent); ok && isJSONOf(text.Text, result.StructuredContent) {
			continue
		}
		parts = append(parts, describeContent(content))
	}
	if result.StructuredContent != nil {
		text, err := indentedJSON(result.StructuredContent)
		if err != nil {
			text = fmt.Sprintf("[structured content: %v]", err)
		}
		parts = append(parts, text)
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

// isJSONOf reports whether text is the JSON of value. It returns false if value is nil.
func isJSONOf(text string, value any) bool {
	if value == nil {
		return false
	}
	var parsed any
	return json.Unmarshal([]byte(text), &parsed) == nil && reflect.DeepEqual(parsed, value)
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
	return "[content of an unknown type; --json shows it]"
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

// describeTools formats a list of tools for people: name, description, and the
// arguments, one per line.
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

// describeArguments returns one line for each property of an input schema. Required
// properties come first.
func describeArguments(schema any) []string {
	object, _ := schema.(map[string]any)
	properties, _ := object["properties"].(map[string]any)
	required, _ := object["required"].([]any)
	var requiredLines, optionalLines []string
	for name, property := range properties {
		details, _ := property.(map[string]any)
		kind := typeName(details["type"])
		description, _ := details["description"].(string)
		if slices.Contains(required, any(name)) {
			signature := fmt.Sprintf("%s (%s)", name, trace.JoinNonEmpty(", ", kind, "required"))
			requiredLines = append(requiredLines, trace.JoinNonEmpty(": ", signature, description))
		} else {
			optionalLines = append(optionalLines, trace.JoinNonEmpty(": ", name+trace.IfSet(" (%s)", kind), description))
		}
	}
	slices.Sort(requiredLines)
	slices.Sort(optionalLines)
	return append(requiredLines, optionalLines...)
}

// typeName formats the type of a JSON Schema, such as "string" or "string or null".
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
