package gatehouse

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// caller is the caller of one authenticated request.
type caller struct {
	verified
	guard     *Guard
	anonymous bool         // whether there is no token; see Require.Public
	request   *openRequest // nil until all checks have passed

	mu  sync.Mutex
	raw string // the token, never printed: see Format; empty after forgetToken
}

// token returns the token, or "" after forgetToken.
func (c *caller) token() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.raw
}

// forgetToken drops the token. The context of a request that opens a session is kept by
// go-sdk for as long as the session is open, and the caller with it.
func (c *caller) forgetToken() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw = ""
}

// authenticate runs checks 4 to 7: it returns the caller that the credentials of r
// identify.
func (g *Guard) authenticate(r *http.Request) (*caller, *Rejection) {
	if g.issuers[0].DangerouslySkipVerification && !arrivedOnLoopback(r) {
		return nil, &Rejection{Reason: reason.NotLoopback}
	}
	raw, why := credentials(r)
	if why == reason.NoCredentials && g.policy().public && mayBeAnonymous(r) {
		return g.newAnonymous(time.Now()), nil
	}
	if why != "" {
		return nil, &Rejection{Reason: why}
	}
	return g.verifyToken(r.Context(), raw, r)
}

// verifyToken returns the caller that the token identifies. Revocation is checked every
// time, also for a token whose verification is cached. r is the request that has the token, for the
// limit of failed sign-ins, or nil if it should not count.
func (g *Guard) verifyToken(ctx context.Context, raw string, r *http.Request) (*caller, *Rejection) {
	c := &caller{raw: raw, guard: g}
	if rejection := g.verifier.verify(ctx, raw, r, &c.verified); rejection != nil {
		return nil, rejection
	}
	if err := g.revocations.wait(ctx); err != nil {
		return nil, &Rejection{Reason: reason.RevocationsUnavailable, Err: err, Identity: c.identity, from: c.from}
	}
	if g.revoked(&c.verified) {
		return nil, &Rejection{Reason: reason.Revoked, Err: errRevoked, Identity: c.identity, from: c.from}
	}
	return c, nil
}

// newTokenInfoInstaller returns a handler that adds the [auth.TokenInfo] of the caller to a
// request and sets answerWriter.admitted to the result, in place of the call of another
// handler: so the frames of go-sdk's middleware are not below those of the MCP server, whose
// stack would have to be copied more often. The context key is not exported, so the middleware
// is the only way to add a TokenInfo. go-sdk passes it to tools and binds its sessions to
// TokenInfo.UserID.
func (g *Guard) newTokenInfoInstaller() http.Handler {
	fromContext := func(ctx context.Context, _ string, _ *http.Request) (*auth.TokenInfo, error) {
		return g.tokenInfo(callerFromContext(ctx)), nil
	}
	admit := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.(*answerWriter).admitted = r })
	return auth.RequireBearerToken(fromContext, &auth.RequireBearerTokenOptions{ClockSkew: g.Leeway})(admit)
}

// forHandler returns a copy of r, an admitted request, as the handler sees it: it carries the
// TokenInfo of the caller and no token, and names the session as the handler knows it. It is
// nil if go-sdk's middleware has answered the request, because the token has just expired.
func (g *Guard) forHandler(answer *answerWriter, r *http.Request) *http.Request {
	if answer.request.caller.anonymous { // without a TokenInfo: programs take one for a sign-in
		answer.admitted = r.WithContext(r.Context())
	} else {
		g.tokenInfoInstaller.ServeHTTP(answer, r)
	}
	if answer.admitted == nil {
		return nil
	}
	r = answer.admitted
	r.Header = maps.Clone(r.Header)
	delete(r.Header, "Authorization")
	answer.request.session.setHeader(r.Header)
	if answer.request.opens {
		// go-sdk keeps this header with the session. The values that net/http reads share
		// one array, which would keep the token.
		r.Header = r.Header.Clone()
	}
	return r
}

func (g *Guard) tokenInfo(c *caller) *auth.TokenInfo {
	return &auth.TokenInfo{
		Scopes:     c.identity.Scopes,
		Expiration: c.identity.Expiry,
		UserID:     c.principal,
		Extra:      map[string]any{tokenInfoKey: c},
	}
}

// tokenInfoKey is the key of the *caller in auth.TokenInfo.Extra.
const tokenInfoKey = module + ".caller"

const module = "github.com/gatehouse-mcp/gatehouse"

// callerOf returns the caller of an MCP request, or nil if it did not come through a guard.
func callerOf(req mcp.Request) *caller {
	if req == nil {
		return nil
	}
	extra := req.GetExtra()
	if extra == nil || extra.TokenInfo == nil {
		return nil
	}
	c, _ := extra.TokenInfo.Extra[tokenInfoKey].(*caller)
	return c
}

type callerKey struct{}

// callerFromContext returns the caller of an HTTP request, or nil if it did not come
// through a guard.
func callerFromContext(ctx context.Context) *caller {
	c, _ := ctx.Value(callerKey{}).(*caller)
	return c
}

// Format prints a placeholder for every verb. Printing a TokenInfo prints its Extra and
// so the caller, and fmt calls no methods of the unexported fields in it.
func (c *caller) Format(f fmt.State, _ rune) { io.WriteString(f, "[caller]") }

// MarshalJSON returns the same placeholder as Format.
func (c *caller) MarshalJSON() ([]byte, error) { return []byte(`"[caller]"`), nil }

// LogValue logs the identity without the token.
func (c *caller) LogValue() slog.Value { return c.identity.LogValue() }
