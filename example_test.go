package gatehouse_test

import (
	"context"
	"expvar"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// newServer returns a go-sdk server with one tool.
func newServer() *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "hello", Description: "Greet the caller"},
		func(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			id, _ := gatehouse.IdentityOf(req)
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "hello, " + id.Subject}}}, nil, nil
		})
	return server
}

func newHandler(server *mcp.Server) http.Handler {
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true})
}

func ExampleGuard_Mount() {
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "https://mcp.example.com/mcp",
		Provider: clerk.Provider("https://verb-noun-42.clerk.accounts.dev"),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()
	mux := http.NewServeMux()
	guard.Mount(mux, newHandler(newServer()))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("POST", "/mcp", nil))
	fmt.Println(w.Code)
	fmt.Println(w.Header().Get("WWW-Authenticate"))
	// Output:
	// 401
	// Bearer resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp", scope="profile email"
}

// Router is the method that chi, gorilla and most other routers have. With echo, use
// echo.WrapHandler for the handlers; with gin, gin.WrapH.
type Router interface {
	Handle(pattern string, handler http.Handler)
}

// With a router other than http.ServeMux, register the endpoint and the documents yourself.
func ExampleGuard_Wrap_router() {
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "https://mcp.example.com/mcp",
		Provider: clerk.Provider("https://verb-noun-42.clerk.accounts.dev"),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()
	var r Router = http.NewServeMux() // r := chi.NewRouter()

	r.Handle("/mcp", guard.Wrap(newHandler(newServer())))
	for _, path := range guard.MetadataPaths() {
		r.Handle(path, guard.MetadataHandler())
	}
	fmt.Println(guard.MetadataPaths()[0])
	// Output:
	// /.well-known/oauth-protected-resource/mcp
}

// Some tools and resources have requirements. If a scope is missing, the client asks the
// user for it; if the user has no organization, the call is rejected.
func ExampleRequirement() {
	server := newServer()
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "https://mcp.example.com/mcp",
		Provider: clerk.Provider("https://verb-noun-42.clerk.accounts.dev"),
		Requirements: []gatehouse.Requirement{
			{Tool: "hello", Require: gatehouse.Require{Scopes: []string{"notes:read"}}},
			{Tool: "purge", Require: gatehouse.Require{Organization: true}},
			{ResourceTemplate: "notes://{name}", Require: gatehouse.Require{Scopes: []string{"notes:read"}}},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()
	server.AddReceivingMiddleware(guard.Middleware()) // enforce them inside the MCP server, too
	mux := http.NewServeMux()
	guard.Mount(mux, newHandler(server))
}

// With go-sdk's own middleware, use the guard as its token verifier.
func ExampleGuard_Verify() {
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "https://mcp.example.com/mcp",
		Provider: gatehouse.OIDC("https://issuer.example.com"),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()
	protected := auth.RequireBearerToken(guard.Verify, nil)(newHandler(newServer()))
	http.Handle("/mcp", protected)
}

// A webhook of the provider reports that a user was banned.
func ExampleGuard_Deny() {
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "https://mcp.example.com/mcp",
		Provider: clerk.Provider("https://verb-noun-42.clerk.accounts.dev"),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()
	const tokenLifetime = 24 * time.Hour // of the provider's access tokens

	// The user may sign in again as soon as the ban is lifted.
	banned := time.Now()
	err = guard.Deny(gatehouse.Denial{
		Subject:      "user_2x4K",
		IssuedBefore: banned,
		Until:        banned.Add(tokenLifetime),
	})
	fmt.Println(err)

	err = guard.Deny(gatehouse.Denial{Until: banned.Add(tokenLifetime)})
	fmt.Println(err)
	// Output:
	// <nil>
	// gatehouse: denial matches every token; set TokenID, SessionID, Subject or ClientID
}

// A handler that does not use go-sdk gets its caller from the HTTP request.
func ExampleIdentityOfHTTP() {
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "https://mcp.example.com/mcp",
		Provider: clerk.Provider("https://verb-noun-42.clerk.accounts.dev"),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()
	hello := func(w http.ResponseWriter, r *http.Request) {
		id, ok := gatehouse.IdentityOfHTTP(r)
		if !ok { // this handler was registered without the guard
			http.Error(w, "no caller", http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "hello, %s", id.Subject)
	}
	mux := http.NewServeMux()
	mux.Handle("/hello", guard.Wrap(http.HandlerFunc(hello)))

	// Without a token, the guard answers, and the handler does not run.
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/hello", nil))
	fmt.Println(w.Code, w.Body)
	// Output:
	// 401 {"error":"missing_token","error_description":"sign in to use this server","reason":"no_credentials"}
}

// The proxy sends another Host than that of the public URL, such as the name of an nginx
// upstream.
func ExampleConfig_allowedHosts() {
	guard, err := gatehouse.New(gatehouse.Config{
		Resource:     "https://mcp.example.com/mcp",
		AllowedHosts: []string{"backend"},
		Provider:     gatehouse.OIDC("https://issuer.example.com"),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(guard.Resource())
	// Output: https://mcp.example.com/mcp
}

// The proxy removes a prefix from the path: the server listens on another path than that
// of the public URL.
func ExampleConfig_localPath() {
	guard, err := gatehouse.New(gatehouse.Config{
		Resource:  "https://example.com/tools/mcp",
		LocalPath: "/mcp",
		Provider:  gatehouse.OIDC("https://issuer.example.com"),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(guard.MetadataPaths()[0])
	// Output: /.well-known/oauth-protected-resource/tools/mcp
}

// Audit events are lines of JSON of their own, and denials go to a hook, too.
func ExampleConfig_audit() {
	events := os.Stderr // or a file that a collector reads
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: "https://mcp.example.com/mcp",
		Provider: clerk.Provider("https://verb-noun-42.clerk.accounts.dev"),

		AuditLogger: slog.New(slog.NewJSONHandler(events, nil)),
		AuditKey:    gatehouse.AuditKey(os.Getenv("AUDIT_KEY")), // of: openssl rand -base64 32
		Audit: func(_ context.Context, e gatehouse.AuditEvent) {
			if e.Decision == gatehouse.AuditDeny {
				denials.Add(string(e.Reason), 1)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()
	mux := http.NewServeMux()
	guard.Mount(mux, newHandler(newServer()))
}

var denials = expvar.NewMap("denials")

// A key gives the hash of one user, to find that user's events.
func ExampleAuditKey_SubjectHash() {
	key := gatehouse.AuditKey("the key of the server, of 32 or more bytes")
	fmt.Println(key.SubjectHash("https://verb-noun-42.clerk.accounts.dev", "user_2x4K"))
	// Output: 8Ry4zdzU28T06qtpt9KZ1g
}
