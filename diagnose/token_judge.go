package diagnose

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/internal/token"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// verdict is what a guard did with a request that has the token.
type verdict struct {
	judged   bool
	accepted bool
	reason   gatehouse.Reason
	detail   error
	hint     string
	identity gatehouse.Identity
}

// judge is a guard whose only request is the one that it judges.
type judge struct {
	*gatehouse.Guard
	cfg  gatehouse.Config
	last verdict
}

// newJudge returns the guard of cfg, which writes and logs nothing.
func newJudge(cfg gatehouse.Config) (*judge, error) {
	j := &judge{cfg: cfg}
	cfg.Logger, cfg.AuditLogger, cfg.Audit, cfg.LandingPage, cfg.KeyFile = discard, nil, nil, nil, ""
	cfg.AuditKey = nil
	cfg.OnReject = func(_ *http.Request, r gatehouse.Rejection) {
		j.last = verdict{judged: true, reason: r.Reason, detail: r.Err, hint: r.Hint}
	}
	guard, err := gatehouse.New(cfg)
	j.Guard = guard
	return j, err
}

// ping is the request that the token is judged with. It needs no session and no requirement of
// a tool.
const ping = `{"jsonrpc":"2.0","id":1,"method":"ping"}`

// judge passes a request with the token through the guard. Without a token, the request has no
// credentials.
func (j *judge) judge(ctx context.Context, raw string) verdict {
	j.last = verdict{judged: true}
	handler := j.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		j.last.accepted = true
		j.last.identity, _ = gatehouse.IdentityOfHTTP(r)
	}))
	if j.Provider().DangerouslySkipVerification {
		// The guard then accepts connections on loopback only.
		ctx = context.WithValue(ctx, http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, j.Resource(), strings.NewReader(ping))
	if err != nil {
		return verdict{judged: true, reason: reason.ProviderUnavailable, detail: err}
	}
	if raw != "" {
		r.Header.Set("Authorization", "Bearer "+raw)
	}
	r.Header.Set("Content-Type", "application/json")
	handler.ServeHTTP(discardResponse{http.Header{}}, r)
	return j.last
}

// discardResponse is an answer that no one reads.
type discardResponse struct{ header http.Header }

func (d discardResponse) Header() http.Header         { return d.header }
func (d discardResponse) Write(b []byte) (int, error) { return len(b), nil }
func (d discardResponse) WriteHeader(int)             {}

// refuseIntrospection makes the provider answer that it was not asked.
func refuseIntrospection(p *gatehouse.Provider) {
	if p.Introspect != nil {
		p.Introspect = func(context.Context, string) (json.RawMessage, error) { return nil, errNotAsked }
	}
}

// judgeContent judges the claims of a JWT whose signature could not be checked. Its guard gets
// them as the answer of the provider, so that all other rules are those of the guard.
func (e *explainer) judgeContent(ctx context.Context) error {
	claims := strings.TrimSpace(e.seen.Payload)
	if !strings.HasPrefix(claims, "{") || e.inspection.Member < 0 || strings.Contains(claims, `"active"`) {
		return nil
	}
	cfg := e.server
	p := *e.provider()
	p.JWKSURL, p.PublicKeys, p.SharedSecret, p.OpaquePrefixes, p.OpaqueOnly = "", nil, "", nil, true
	p.Introspect = func(context.Context, string) (json.RawMessage, error) {
		return json.RawMessage(strings.Replace(claims, "{", `{"active":true,`, 1)), nil
	}
	if strings.TrimSpace(claims[1:]) == "}" {
		p.Introspect = func(context.Context, string) (json.RawMessage, error) { return json.RawMessage(`{"active":true}`), nil }
	}
	// The provider has its defaults already; a tenant is not replaced twice.
	p.Tenants = nil
	cfg.Provider, cfg.Providers = p, nil
	cfg.Requirements, cfg.Default = nil, gatehouse.Require{} // of other providers, perhaps; a ping has none
	guard, err := newJudge(cfg)
	if err != nil {
		return err
	}
	defer guard.Close()
	e.content = guard.judge(ctx, e.text.token)
	return nil
}

// inspectionSet returns the rules of the providers, as a guard has them.
func inspectionSet(providers []gatehouse.Provider, resource string, leeway time.Duration) *token.Set {
	var audiences []string
	if u, err := url.Parse(resource); err == nil {
		for _, alias := range wellknown.Aliases(u) {
			audiences = append(audiences, wellknown.Audiences(alias)...)
		}
	}
	var members []token.Member
	for _, p := range providers {
		if p.OpaqueOnly {
			continue
		}
		v := &token.Verifier{
			Rules:        token.Rules(p.Tokens),
			Issuers:      p.TokenIssuers,
			Resources:    audiences,
			ClientClaims: p.Claims.Client,
			ScopeClaims:  p.Claims.Scopes,
			Leeway:       leeway,
		}
		if p.SharedSecret != "" {
			v.Secret = []byte(p.SharedSecret)
		}
		members = append(members, token.Member{Verifier: v})
	}
	return token.NewSet(members...)
}

// hasOpaquePrefix reports whether the token begins as those that a provider is asked about.
func (e *explainer) hasOpaquePrefix() bool {
	for i := range e.providers {
		for _, prefix := range e.providers[i].OpaquePrefixes {
			if strings.HasPrefix(e.text.token, prefix) {
				return true
			}
		}
	}
	return false
}

// wasAsked reports whether err is about a request that was sent.
func wasAsked(err error) bool { return !errors.Is(err, errNotAsked) }
