package serve_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/reply"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A whole program: one tool, sign-in with Clerk, and a graceful stop on Ctrl-C.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	server, err := serve.New(serve.Config{
		Name:     "my-server",
		Version:  "1.0.0",
		Provider: clerk.FromEnv(),
	})
	if err != nil {
		log.Fatal(err)
	}
	mcp.AddTool(server.MCP, &mcp.Tool{Name: "whoami", Description: "Get the ID of the signed-in user"},
		func(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			id, _ := gatehouse.IdentityOf(req)
			return reply.Text(id.Subject), nil, nil
		})
	if err := server.ListenAndServe(ctx); err != nil {
		log.Fatal(err)
	}
}

// New reports every wrong setting, each with what to do about it.
func ExampleNew() {
	_, err := serve.New(serve.Config{
		Version:  "1.0.0",
		URL:      "mcp.example.com",
		Provider: clerk.Provider("verb-noun-42"),
	})
	fmt.Println(err)
	// Output:
	// gatehouse: Name is missing; name the server, like "my-server"
	// gatehouse: URL "mcp.example.com" is not an absolute URL; write it in full, like "https://mcp.example.com/mcp"
	// gatehouse: FrontendAPIURL "verb-noun-42" is a bare subdomain; paste "https://verb-noun-42.clerk.accounts.dev"
}

// Serve on a listener of your own, here on a free port.
func ExampleServer_Serve() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server, err := serve.New(serve.Config{
		Name:     "my-server",
		Version:  "1.0.0",
		URL:      "http://" + listener.Addr().String(),
		Provider: clerk.Provider("http://localhost:4000"), // a local Clerk
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error)
	go func() { stopped <- server.Serve(ctx, listener) }()

	resp, err := http.Post(server.URL(), "application/json", nil)
	if err != nil {
		log.Fatal(err)
	}
	resp.Body.Close()
	fmt.Println("without a token:", resp.Status)

	cancel()
	fmt.Println("stopped:", <-stopped)
	// Output:
	// without a token: 401 Unauthorized
	// stopped: <nil>
}

// The complete handler, for a test or a router of your own. A route of your own requires
// sign-in if the guard wraps it.
func ExampleServer_Handler() {
	server, err := serve.New(serve.Config{
		Name:     "my-server",
		Version:  "1.0.0",
		URL:      "https://mcp.example.com",
		Provider: clerk.Provider("http://localhost:4000"), // a local Clerk
		Logger:   slog.New(slog.DiscardHandler),
		Routes: func(mux *http.ServeMux, guard *gatehouse.Guard) {
			mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "1.0.0") })
			mux.Handle("GET /export", guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				id, _ := gatehouse.IdentityOfHTTP(r)
				fmt.Fprintln(w, "the notes of", id.Subject)
			})))
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	handler := server.Handler()
	for _, path := range []string{"/version", "/export", "/mcp"} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "https://mcp.example.com"+path, nil))
		fmt.Println(path, w.Code)
	}
	// Output:
	// /version 200
	// /export 401
	// /mcp 401
}
