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
	"go-sdk":         serveOpen,
	"go-sdk+traces":  serveOpenTraces,
	"guard":          serveGuard,
	"guard+require":  serveGuardRequire,
	"guard+audit":    serveGuardAudit,
	"guard+metrics":  serveGuardMetrics,
	"guard+traces":   serveGuardTraces(1),
	"guard+sampled":  serveGuardTraces(0.1),
	"serve":          serveFramework,
	"go-sdk+keyfunc": serveLibrary,
	"mcp-go":         serveMCPGoOpen,
	"mcp-go+keyfunc": serveMCPGo,
	"mcp-go+guard":   serveMCPGoGuard,
}

// described is the answer of whoami.
func described(user, tokenID string) string {
	return fmt.Sprintf(`{"userId":%q,"tokenId":%q}`, user, tokenID)
}

// anonymous is the answer of whoami on a server without sign-in. It has the same
// length as the others and is made in the same way.
func anonymous(*mcp.CallToolRequest) string {
	return described("user_000000000000000000000000000", "oat_0000000000000000000000000000")
}

// newMCPServer returns the go-sdk server of all roles but mcp-go's. who describes the
// caller.
func newMCPServer(who func(*mcp.CallToolRequest) string) *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "bench", Version: "1"}, nil)
	addWhoami(s, who)
	return s
}

func addWhoami(s *mcp.Server, who func(*mcp.CallToolRequest) string) {
	type noArguments struct{}
	mcp.AddTool(s, &mcp.Tool{Name: "whoami", Description: "Returns who is signed in"},
		func(_ context.Context, req *mcp.CallToolRequest, _ noArguments) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: who(req)}}}, nil, nil
		})
}

// bothEras serves the stateless revision and those with sessions on one URL, with as
// little code as go-sdk needs for that.
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
	s := newMCPServer(anonymous)
	return http.Serve(l, bothEras(s))
}

func describeIdentity(req *mcp.CallToolRequest) string {
	id, ok := gatehouse.IdentityOf(req)
	if !ok {
		return anonymous(req)
	}
	return described(id.Subject, id.TokenID)
}

func newClerkGuard(issuer string, change ...func(*gatehouse.Config)) (*gatehouse.Guard, error) {
	cfg := gatehouse.Config{
		Resource: resource,
		Provider: clerk.Provider(issuer),
		Logger:   slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&cfg)
	}
	return gatehouse.New(cfg)
}

// serveGuard is serveOpen behind the guard.
func serveGuard(l net.Listener, issuer string) error {
	return serveGuarded(l, issuer, func(*gatehouse.Guard) {})
}

// serveGuardRequire is serveGuard with a requirement for the tool.
func serveGuardRequire(l net.Listener, issuer string) error {
	return serveGuarded(l, issuer, func(guard *gatehouse.Guard) {
		guard.ProtectTool(&mcp.Tool{Name: "whoami"}, gatehouse.Require{Scopes: []string{"profile"}, Person: true})
	})
}

// serveGuardAudit is serveGuard with an audit event for each request, written as JSON.
func serveGuardAudit(l net.Listener, issuer string) error {
	return serveGuarded(l, issuer, func(*gatehouse.Guard) {}, func(cfg *gatehouse.Config) {
		cfg.AuditLogger = slog.New(slog.NewJSONHandler(io.Discard, nil))
	})
}

func serveGuarded(l net.Listener, issuer string, declare func(*gatehouse.Guard), change ...func(*gatehouse.Config)) error {
	guard, err := newClerkGuard(issuer, change...)
	if err != nil {
		return err
	}
	declare(guard)
	s := newMCPServer(describeIdentity)
	s.AddReceivingMiddleware(guard.Middleware())
	mux := http.NewServeMux()
	guard.Mount(mux, bothEras(s))
	return http.Serve(l, mux)
}

// serveFramework is package serve with its defaults, which log every request.
func serveFramework(l net.Listener, issuer string) error {
	s, err := serve.New(serve.Config{Name: "bench", Version: "1", Provider: clerk.Provider(issuer), URL: resource})
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

type callerKey struct{}

// newMCPGoHandler returns the server of mark3labs/mcp-go. who describes the caller of
// the request whose context it is given.
func newMCPGoHandler(who func(context.Context) string, options ...mcpgoserver.StreamableHTTPOption) http.Handler {
	s := mcpgoserver.NewMCPServer("bench", "1", mcpgoserver.WithToolCapabilities(false))
	s.AddTool(mcpgo.NewTool("whoami", mcpgo.WithDescription("Returns who is signed in")),
		func(ctx context.Context, _ mcpgo.CallToolRequest) (*mcpgo.CallToolResult, error) {
			return mcpgo.NewToolResultText(who(ctx)), nil
		})
	return mcpgoserver.NewStreamableHTTPServer(s, append(options, mcpgoserver.WithDisableLocalhostProtection(true))...)
}

// serveMCPGoGuard is the server of mark3labs/mcp-go behind the guard.
func serveMCPGoGuard(l net.Listener, issuer string) error {
	guard, err := newClerkGuard(issuer)
	if err != nil {
		return err
	}
	withCaller := func(ctx context.Context, r *http.Request) context.Context {
		id, _ := gatehouse.IdentityOfHTTP(r)
		return context.WithValue(ctx, callerKey{}, id)
	}
	who := func(ctx context.Context) string {
		id := ctx.Value(callerKey{}).(gatehouse.Identity)
		return described(id.Subject, id.TokenID)
	}
	mux := http.NewServeMux()
	guard.Mount(mux, newMCPGoHandler(who, mcpgoserver.WithHTTPContextFunc(withCaller)))
	return http.Serve(l, mux)
}

// serveMCPGoOpen is the server of mark3labs/mcp-go without sign-in.
func serveMCPGoOpen(l net.Listener, _ string) error {
	return http.Serve(l, newMCPGoHandler(func(context.Context) string { return anonymous(nil) }))
}

// serveMCPGo is the server of mark3labs/mcp-go behind golang-jwt and keyfunc.
func serveMCPGo(l net.Listener, issuer string) error {
	library, err := newGolangJWT(background, issuer)
	if err != nil {
		return err
	}
	handler := newMCPGoHandler(func(ctx context.Context) string {
		claims := ctx.Value(callerKey{}).(*accessClaims)
		return described(claims.Subject, claims.ID)
	})
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		claims, err := library.verify(raw)
		if !bearer || err != nil {
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, "{}")
			return
		}
		handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, claims)))
	}))
}
