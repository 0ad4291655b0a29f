package gatehouse

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/challenge"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
	"github.com/modelcontextprotocol/go-sdk/auth"
)

// Guard is the gate before one MCP endpoint. Make one with [New]. It is safe for
// concurrent use.
type Guard struct {
	*settings
	resources []resource // the canonical one first
	origin    string
	endpoint  string // path of the endpoint
	documents documents
	verifier  *verifier
	sessions  sessions
	needs     needs
	denials   denials
	counters  counters
}

// resource is the endpoint under one of its names, with what is told about it.
type resource struct {
	url         string
	host        string
	metadataURL string
	metadata    []byte
}

// New validates cfg and returns its guard. It reports every fault at once, each
// as a *[ConfigError], and does no I/O: keys are fetched with the first request
// or by [Guard.Ready].
func New(cfg Config) (*Guard, error) {
	s, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	g := &Guard{
		settings: s,
		origin:   s.resource.Scheme + "://" + s.resource.Host,
		endpoint: s.resource.EscapedPath(),
		needs:    makeNeeds(s),
	}
	var audiences []string
	for _, alias := range wellknown.Aliases(s.resource) {
		r, err := s.describe(alias)
		if err != nil {
			return nil, err
		}
		g.resources = append(g.resources, r)
		audiences = append(audiences, r.url)
	}
	if g.documents, err = s.openDocuments(); err != nil {
		return nil, err
	}
	if g.verifier, err = newVerifier(g, audiences); err != nil {
		return nil, err
	}
	return g, nil
}

// Resource returns the canonical resource identifier of the endpoint.
func (g *Guard) Resource() string { return g.resources[0].url }

// Provider returns the provider as configured.
func (g *Guard) Provider() Provider { return g.settings.Provider }

// Warnings says in one sentence each what about the configuration is risky.
func (g *Guard) Warnings() []string {
	var out []string
	p := g.settings.Provider
	if p.DangerouslySkipVerification {
		return append(out, "token verification is switched off (DangerouslySkipVerification): whoever reaches this server is whoever they say; loopback only")
	}
	if p.Tokens.Audience == AudienceIfPresent {
		w := "tokens without an audience are accepted: one issued for another server of " + p.Issuer + " works here"
		if hint := p.Hints["unbound"]; hint != "" {
			w += "; " + hint
		}
		out = append(out, w)
	}
	for _, o := range g.AllowedOrigins {
		if o == "*" {
			out = append(out, "pages of every web origin may call the endpoint (AllowedOrigins)")
		}
	}
	return out
}

// Ready fetches the provider's keys, unless they are there already, and reports
// whether tokens can be verified now. It is for health checks.
func (g *Guard) Ready(ctx context.Context) error {
	if g.settings.Provider.DangerouslySkipVerification {
		return nil
	}
	return g.verifier.keys.Ready(ctx)
}

// Close ends the background refresh of keys and documents. Requests that come
// after it are still answered, with the keys at hand.
func (g *Guard) Close() {
	g.verifier.keys.Close()
	g.documents.authorizationServer.Close()
	g.documents.openIDConfiguration.Close()
}

// Mount registers the endpoint with handler behind the guard, and the documents
// that clients look for (RFC 9728, RFC 8414). It panics where a pattern is taken,
// as [http.ServeMux.Handle] does.
func (g *Guard) Mount(mux *http.ServeMux, handler http.Handler) {
	wrapped := g.Wrap(handler)
	if g.endpoint == "" {
		mux.Handle("/{$}", wrapped)
	} else {
		mux.Handle(g.endpoint, wrapped)
		mux.Handle(g.endpoint+"/{$}", wrapped)
	}
	documents := g.MetadataHandler()
	for _, path := range g.MetadataPaths() {
		mux.Handle(path, documents)
	}
}

// Wrap returns handler behind the guard. Every verb is guarded; a request gets
// through with one good access token only. The handler finds the caller with
// [IdentityOf] or [IdentityOfHTTP]; the token itself is taken off the request.
// What the handler flushes leaves within a millisecond, while it runs or with its end.
func (g *Guard) Wrap(handler http.Handler) http.Handler {
	inner := g.identify(handler)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller := g.admit(w, r)
		if caller == nil {
			return
		}
		answer := g.sessions.watch(w, r, caller)
		panicked := true
		defer func() { answer.finish(panicked) }()
		inner.ServeHTTP(answer, signedIn(r, caller))
		panicked = false
	})
}

// admit is checks 1 to 9: it returns who is calling, or answers the request itself
// and returns nil. It is apart from Wrap, whose frame lies on the stack for as long
// as the handler runs: a large one has every goroutine's stack grow for it.
func (g *Guard) admit(w http.ResponseWriter, r *http.Request) *caller {
	if !g.hostAllowed(r) {
		g.refuse(w, r, Rejection{Reason: reason.ForbiddenHost})
		return nil
	}
	origin := r.Header.Get("Origin")
	if origin != "" && !g.originAllowed(origin) {
		g.refuse(w, r, Rejection{Reason: reason.ForbiddenOrigin})
		return nil
	}
	allowOrigin(w.Header(), origin)
	if isPreflight(r) {
		preflight(w, r)
		return nil
	}
	if g.LandingPage != nil && wantsPage(r) {
		g.LandingPage.ServeHTTP(w, r)
		return nil
	}
	caller, rejection := g.authenticate(r)
	if rejection == nil {
		rejection = g.authorize(w, r, caller)
	}
	if rejection == nil {
		rejection = g.sessions.check(r, caller)
	}
	if rejection != nil {
		g.refuse(w, r, *rejection)
		return nil
	}
	g.counters.accept(caller)
	return caller
}

// signedIn returns r with the caller in place of the token.
func signedIn(r *http.Request, c *caller) *http.Request {
	r = r.WithContext(context.WithValue(r.Context(), callerKey{}, c))
	r.Header = maps.Clone(r.Header)
	r.Header["Authorization"] = verifiedAuthorization
	return r
}

// Verify is an [auth.TokenVerifier]: for go-sdk's own auth.RequireBearerToken,
// or for leaving. The text of its errors is fixed; errors.As finds the
// *[TokenError] behind it.
func (g *Guard) Verify(ctx context.Context, token string, r *http.Request) (*auth.TokenInfo, error) {
	if g.settings.Provider.DangerouslySkipVerification && (r == nil || !arrivedOnLoopback(r)) {
		return nil, &outsideError{infoOf(reason.NotLoopback).Phrase, auth.ErrInvalidToken}
	}
	c, rejection := g.verify(ctx, token)
	if rejection == nil {
		return g.tokenInfo(c), nil
	}
	return nil, &outsideError{infoOf(rejection.Reason).Phrase, rejection.Err}
}

var _ auth.TokenVerifier = (*Guard)(nil).Verify

// authenticate is checks 4 to 7: who is this?
func (g *Guard) authenticate(r *http.Request) (*caller, *Rejection) {
	if g.settings.Provider.DangerouslySkipVerification && !arrivedOnLoopback(r) {
		return nil, &Rejection{Reason: reason.NotLoopback}
	}
	raw, why := credentials(r)
	if why != "" {
		return nil, &Rejection{Reason: why}
	}
	return g.verify(r.Context(), raw)
}

// verify also looks at what was revoked since the token was first seen.
func (g *Guard) verify(ctx context.Context, raw string) (*caller, *Rejection) {
	c := &caller{token: raw, guard: g}
	if rejection := g.verifier.verify(ctx, raw, &c.verified); rejection != nil {
		return nil, rejection
	}
	if g.revoked(&c.verified) {
		return nil, &Rejection{Reason: reason.Revoked, Err: errRevoked}
	}
	return c, nil
}

// verifiedAuthorization stands in for the token, which go-sdk's middleware looks
// for and would only read through once more.
var verifiedAuthorization = []string{"Bearer verified"}

// identify hands the caller to the handler in go-sdk's own form: its context
// keys are unexported, so its middleware is the only way to install a TokenInfo
// and with it the binding of sessions to users. Every refusal came before it.
func (g *Guard) identify(handler http.Handler) http.Handler {
	fromContext := func(ctx context.Context, _ string, _ *http.Request) (*auth.TokenInfo, error) {
		return g.tokenInfo(callerFromContext(ctx)), nil
	}
	withoutToken := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		delete(r.Header, "Authorization")
		handler.ServeHTTP(w, r)
	})
	return auth.RequireBearerToken(fromContext, &auth.RequireBearerTokenOptions{ClockSkew: g.Leeway})(withoutToken)
}

func (g *Guard) tokenInfo(c *caller) *auth.TokenInfo {
	return &auth.TokenInfo{
		Scopes:     c.identity.Scopes,
		Expiration: c.identity.Expiry,
		UserID:     c.principal,
		Extra:      map[string]any{tokenInfoKey: c},
	}
}

// resourceFor picks the name of the endpoint under which r came, out of the few
// that it has; any other Host gets the canonical one.
func (g *Guard) resourceFor(r *http.Request) *resource {
	for i := range g.resources {
		if strings.EqualFold(g.resources[i].host, r.Host) {
			return &g.resources[i]
		}
	}
	return &g.resources[0]
}

// refuse answers with the row of the reason: the RFC's code and a fixed phrase
// outside, the detail in the log.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, rejection Rejection) {
	row := infoOf(rejection.Reason)
	rejection.Status, rejection.Hint = row.Status, g.hint(row)
	g.counters.refuse(rejection.Reason)
	if g.OnReject != nil {
		g.OnReject(r, rejection)
	} else {
		g.logRejection(r, rejection)
	}
	h := w.Header()
	if c := g.challenge(r, rejection, row); c != "" {
		h.Set("WWW-Authenticate", c)
	}
	if after := retryAfter(rejection.Err); row.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", strconv.Itoa(int(after.Seconds()+0.999)))
	}
	writeError(w, r, row.Status, row.Code, row.Phrase)
}

// challenge is the WWW-Authenticate of RFC 6750 §3 and RFC 9728 §5.1. A refusal
// that no token could mend has none.
func (g *Guard) challenge(r *http.Request, rejection Rejection, row ReasonInfo) string {
	c := challenge.Bearer{
		ResourceMetadata: g.resourceFor(r).metadataURL,
		Scopes:           g.scopes,
		Error:            row.Code,
		ErrorDescription: row.Phrase,
	}
	switch row.Code {
	case reason.CodeMissingToken:
		c.Error, c.ErrorDescription = "", ""
	case reason.CodeInvalidRequest:
		if rejection.Identity.Subject != "" { // about the body; the token was good
			return ""
		}
	case reason.CodeInvalidToken:
	case reason.CodeInsufficientScope:
		// All that the operation needs, held or not: clients of 2025-11-25 ask
		// for exactly what the challenge says, and would lose the rest.
		if e := (*scopeError)(nil); errors.As(rejection.Err, &e) {
			c.Scopes = union(g.scopes, e.needed)
		}
	default:
		return ""
	}
	return c.String()
}

func (g *Guard) logRejection(r *http.Request, rejection Rejection) {
	level := slog.LevelInfo
	if rejection.Status == http.StatusServiceUnavailable {
		level = slog.LevelWarn
	}
	g.Logger.LogAttrs(r.Context(), level, "request rejected",
		slog.String("method", r.Method),
		slog.String("path", r.URL.Path),
		slog.Int("status", rejection.Status),
		slog.Any("rejection", rejection),
	)
}

func (g *Guard) hint(row ReasonInfo) string {
	if hint := g.settings.Provider.Hints[row.Reason]; hint != "" {
		return hint
	}
	return row.Do
}

// writeError writes the JSON body of a refusal. It is never cached.
func writeError(w http.ResponseWriter, r *http.Request, status int, code, phrase string) {
	body, _ := json.Marshal(struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{code, phrase})
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}

// wantsPage reports whether a browser opens the endpoint: it names text/html,
// which no MCP client does.
func wantsPage(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	for _, accept := range r.Header["Accept"] {
		for _, part := range strings.Split(accept, ",") {
			kind, _, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(kind), "text/html") {
				return true
			}
		}
	}
	return false
}

const defaultRetryAfter = 5 * time.Second
