package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/serve"
	mcpgo "github.com/mark3labs/mcp-go/mcp"
	mcpgoserver "github.com/mark3labs/mcp-go/server"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// roles are the servers that are measured, each with the one tool "whoami".
var roles = map[string]func(l net.Listener, issuer string) error{
	"go-sdk": serveOpen,
	"gate":   serveGate,
	"serve":  func(l net.Listener, issuer string) error { return serveFramework(l, issuer, serve.Config{}) },
	"serve, as-is": func(l net.Listener, issuer string) error {
		return serveFramework(l, issuer, serve.Config{NoHeapFloor: true})
	},
	"go-sdk+keyfunc": serveLibrary,
	"mcp-go+keyfunc": serveMCPGo,
}

// described is what whoami answers.
func described(user, tokenID string) string {
	return fmt.Sprintf(`{"userId":%q,"tokenId":%q}`, user, tokenID)
}

// nobody is what whoami answers where nobody signs in: as long, and made in the
// same way, as for somebody.
func nobody(*mcp.CallToolRequest) string {
	return described("user_000000000000000000000000000", "oat_0000000000000000000000000000")
}

// newMCPServer is the go-sdk server of all roles but mcp-go's. who finds out who
// is calling.
func newMCPServer(who func(*mcp.CallToolRequest) string) *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "bench", Version: "1"}, nil)
	addWhoami(s, who)
	return s
}

func addWhoami(s *mcp.Server, who func(*mcp.CallToolRequest) string) {
	type noArguments struct{}
	mcp.AddTool(s, &mcp.Tool{Name: "whoami", Description: "Tells who is signed in"},
		func(_ context.Context, req *mcp.CallToolRequest, _ noArguments) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: who(req)}}}, nil, nil
		})
}

// bothEras is what go-sdk needs to serve the stateless revision and those with
// sessions on one URL, and nothing more.
func bothEras(s *mcp.Server) http.Handler {
	get := func(*http.Request) *mcp.Server { return s }
	stateless := mcp.NewStreamableHTTPHandler(get, &mcp.StreamableHTTPOptions{Stateless: true, DisableLocalhostProtection: true})
	stateful := mcp.NewStreamableHTTPHandler(get, &mcp.StreamableHTTPOptions{DisableLocalhostProtection: true})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Mcp-Protocol-Version") == modernVersion {
			stateless.ServeHTTP(w, r)
		} else {
			stateful.ServeHTTP(w, r)
		}
	})
}

func serveOpen(l net.Listener, _ string) error {
	s := newMCPServer(nobody)
	return http.Serve(l, bothEras(s))
}

func describeIdentity(req *mcp.CallToolRequest) string {
	id, ok := gatehouse.IdentityOf(req)
	if !ok {
		return nobody(req)
	}
	return described(id.Subject, id.TokenID)
}

// serveGate is serveOpen with the guard before it.
func serveGate(l net.Listener, issuer string) error {
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: resource,
		Provider: clerk.Provider(issuer),
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	s := newMCPServer(describeIdentity)
	s.AddReceivingMiddleware(guard.Middleware())
	mux := http.NewServeMux()
	guard.Mount(mux, bothEras(s))
	return http.Serve(l, mux)
}

// serveFramework is package serve as it comes, with its log of every request.
func serveFramework(l net.Listener, issuer string, cfg serve.Config) error {
	cfg.Name, cfg.Version, cfg.Provider, cfg.URL = "bench", "1", clerk.Provider(issuer), resource
	s, err := serve.New(cfg)
	if err != nil {
		return err
	}
	addWhoami(s.MCP, describeIdentity)
	return s.Serve(background, l)
}

// serveLibrary is serveOpen with go-sdk's middleware and another verifier.
func serveLibrary(l net.Listener, issuer string) error {
	library, err := newGolangJWT(background, issuer)
	if err != nil {
		return err
	}
	verify := func(_ context.Context, raw string, _ *http.Request) (*auth.TokenInfo, error) {
		claims, err := library.verify(raw)
		if err != nil {
			return nil, errors.Join(auth.ErrInvalidToken, err)
		}
		return &auth.TokenInfo{
			Scopes:     strings.Fields(claims.Scope),
			Expiration: claims.ExpiresAt.Time,
			UserID:     claims.Subject,
			Extra:      map[string]any{"jti": claims.ID},
		}, nil
	}
	s := newMCPServer(func(req *mcp.CallToolRequest) string {
		info := req.Extra.TokenInfo
		return described(info.UserID, info.Extra["jti"].(string))
	})
	return http.Serve(l, auth.RequireBearerToken(verify, nil)(bothEras(s)))
}

type claimsKey struct{}

// serveMCPGo is the server of mark3labs/mcp-go with the same verifier before it.
func serveMCPGo(l net.Listener, issuer string) error {
	library, err := newGolangJWT(background, issuer)
	if err != nil {
		return err
	}
	s := mcpgoserver.NewMCPServer("bench", "1", mcpgoserver.WithToolCapabilities(false))
	s.AddTool(mcpgo.NewTool("whoami", mcpgo.WithDescription("Tells who is signed in")),
		func(ctx context.Context, _ mcpgo.CallToolRequest) (*mcpgo.CallToolResult, error) {
			claims := ctx.Value(claimsKey{}).(*accessClaims)
			return mcpgo.NewToolResultText(described(claims.Subject, claims.ID)), nil
		})
	handler := mcpgoserver.NewStreamableHTTPServer(s, mcpgoserver.WithDisableLocalhostProtection(true))
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		claims, err := library.verify(raw)
		if !bearer || err != nil {
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, "{}")
			return
		}
		handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimsKey{}, claims)))
	}))
}
