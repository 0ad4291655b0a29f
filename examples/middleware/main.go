// A guard around a plain go-sdk server, in a program that has its own HTTP server.
//
//	go run ./cmd/gatehouse dev -- go run ./examples/middleware
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	server := mcp.NewServer(&mcp.Implementation{Name: "middleware", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "hello", Description: "Greet the caller"}, hello)
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true})

	port := cmp.Or(os.Getenv("PORT"), "3000")
	origin := cmp.Or(os.Getenv("MCP_URL"), "http://localhost:"+port)

	guard, err := gatehouse.New(gatehouse.Config{
		Resource: origin + "/mcp", // the public URL of the endpoint
		Provider: clerk.FromEnv(),
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	guard.Mount(mux, handler)

	log.Printf("serving %s", guard.Resource())
	srv := &http.Server{Addr: "localhost:" + port, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(srv.ListenAndServe())
}

func hello(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	id, _ := gatehouse.IdentityOf(req)
	return &mcp.CallToolResult{Content: []mcp.Content{
		&mcp.TextContent{Text: fmt.Sprintf("hello, %s", id.Subject)},
	}}, nil, nil
}
