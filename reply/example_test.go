package reply_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/gatehouse-mcp/gatehouse/reply"
)

type cityInput struct {
	City string `json:"city"`
}

func weather(ctx context.Context, req *mcp.CallToolRequest, in cityInput) (*mcp.CallToolResult, any, error) {
	if in.City != "Oslo" {
		return reply.Error("Only Oslo has weather. Ask for Oslo."), nil, nil
	}
	return reply.Object(map[string]any{"city": in.City, "celsius": 7}), nil, nil
}

func Example() {
	server := mcp.NewServer(&mcp.Implementation{Name: "weather", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "weather", Description: "Weather of a city"}, weather)

	result, _, err := weather(context.Background(), nil, cityInput{City: "Oslo"})
	show(result, err)
	result, _, err = weather(context.Background(), nil, cityInput{City: "Rome"})
	show(result, err)
	// Output:
	// {"_meta":{"mimeType":"application/json"},"content":[{"type":"text","text":"{\n  \"celsius\": 7,\n  \"city\": \"Oslo\"\n}"}],"structuredContent":{"celsius":7,"city":"Oslo"}}
	// {"content":[{"type":"text","text":"Only Oslo has weather. Ask for Oslo."}],"isError":true}
}

func ExampleMix() {
	show(reply.Mix(
		reply.Markdown("**Two** users"),
		reply.Array([]string{"ada", "grace"}),
	), nil)
	// Output:
	// {"_meta":{"mimeType":"text/markdown"},"content":[{"type":"text","text":"**Two** users"},{"type":"text","text":"[\n  \"ada\",\n  \"grace\"\n]"}],"structuredContent":{"result":["ada","grace"]}}
}

func ExampleResourceOf() {
	show(reply.ResourceOf("docs://readme", reply.Markdown("# Readme")), nil)
	// Output:
	// {"content":[{"type":"resource","resource":{"uri":"docs://readme","mimeType":"text/markdown","text":"# Readme"}}]}
}

func show(result *mcp.CallToolResult, err error) {
	if err != nil {
		log.Fatal(err)
	}
	data, err := json.Marshal(result)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(data))
}
