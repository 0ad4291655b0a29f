package diagnose

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/internal/token"
)

// MaxTokenText bounds [TokenConfig.Text], in bytes. It is more than any token that a guard
// accepts.
const MaxTokenText = 256 << 10

// TokenConfig says which text [Token] explains, and what the server expects of a token.
type TokenConfig struct {
	// Text is the token, as it was read from a file or from standard input: alone, or with
	// what people copy with it, such as quotes, "Bearer " or the answer of a token endpoint.
	Text []byte

	// Target is the URL of the MCP endpoint that the token is for. Its metadata says what the
	// server expects, as far as metadata can; Server must then have nothing but an HTTPClient.
	// Target implies FetchKeys. The token is not sent to it. Empty means that Server says
	// what is expected.
	Target string

	// Server is the configuration of the server, of which Resource, Provider or Providers,
	// the rules and HTTPClient are used. If Resource is empty, the audience is not checked. If
	// there is no provider, the rules are those of the provider that the token itself names,
	// and its issuer is not checked.
	Server gatehouse.Config

	// FetchKeys fetches the metadata and the keys of the issuer, so that the signature can be
	// checked. Nothing of the token is sent. If it is false, the signature is unchecked,
	// unless Server has keys.
	FetchKeys bool

	// Introspect asks the provider about an opaque token, if the server would. That sends the
	// token to the provider. If it is false, such a token is unchecked.
	Introspect bool
}

// TokenReport says what a text is, and what each rule of a server makes of it. It contains
// no signature and no other text with which someone could sign in.
type TokenReport struct {
	// Kind is what the text is, in words: "access token", "ID token", "opaque token".
	Kind string `json:"kind"`

	// Provider is the name of the provider whose rules were applied. Assumed says that they
	// were chosen by the issuer alone: the server may have others.
	Provider string `json:"provider"`
	Assumed  bool   `json:"assumed"`

	// Verdict is what the guard of the server does with the token.
	Verdict TokenVerdict `json:"verdict"`

	// Reason is why the guard rejects the token; empty unless Verdict is Rejected.
	Reason gatehouse.Reason `json:"reason"`

	// Header and Claims are the content of a JWT; empty if it could not be read. Nothing in
	// them is verified unless the signature is.
	Header []TokenMember `json:"header"`
	Claims []TokenMember `json:"claims"`

	// Findings are what the text is, and each rule in the order in which the guard checks
	// them. A rule after the first fault is checked nevertheless, if that is possible.
	Findings []Finding `json:"findings"`
}

// TokenVerdict is what a guard does with a token.
type TokenVerdict string

// The verdicts.
const (
	Accepted TokenVerdict = "accepted"
	Rejected TokenVerdict = "rejected"
	// AcceptedIf means that every rule that was checked holds, and that some were not
	// checked, such as the signature.
	AcceptedIf TokenVerdict = "unchecked"
)

// TokenMember is one member of a header or of claims.
type TokenMember struct {
	Name  string `json:"name"`
	Value string `json:"value"` // as JSON, shortened; what may be a secret is not shown
	Words string `json:"words"` // a date in words, or what the member means; may be empty
}

// Token explains a token: what kind it is, what it contains and what each rule of the server
// makes of it. By default nothing is sent anywhere; see FetchKeys and Introspect. The verdict
// is that of a [gatehouse.Guard] with the configuration. The error is about cfg.Server, or
// says that the text is too long or that the metadata of the target cannot be read.
func Token(ctx context.Context, cfg TokenConfig) (*TokenReport, error) {
	if len(cfg.Text) > MaxTokenText {
		return nil, errors.New("the text is longer than any token")
	}
	e := &explainer{cfg: cfg, text: readTokenText(cfg.Text), now: time.Now(), server: cfg.Server}
	e.seen = token.Peek(e.text.token)
	if cfg.Target != "" {
		e.cfg.FetchKeys = true
		if err := e.readTarget(ctx); err != nil {
			return nil, err
		}
	}
	e.completeServer()
	if err := e.judge(ctx); err != nil {
		return nil, err
	}
	return e.report(), nil
}

// explainer explains one token.
type explainer struct {
	cfg  TokenConfig
	text tokenText
	now  time.Time
	seen token.Unverified

	// server is cfg.Server with what is missing in it. unknownIssuer and unknownResource say
	// what was missing, so that the rules about it are not checked.
	server                         gatehouse.Config
	unknownIssuer, unknownResource bool
	assumed                        bool // the rules were chosen by the issuer alone

	providers  []gatehouse.Provider // of the guard, with their defaults
	inspection token.Inspection
	verdict    verdict // of the guard
	content    verdict // of a guard that only checks the content, if verdict does not reach it
}

// errNotAsked is the error of everything that would send a request without being asked to.
var errNotAsked = errors.New("nothing was sent to the provider")

// refuseRequests is a transport that sends nothing.
type refuseRequests struct{}

func (refuseRequests) RoundTrip(*http.Request) (*http.Response, error) { return nil, errNotAsked }

// judge sets the inspection and the verdicts.
func (e *explainer) judge(ctx context.Context) error {
	cfg := e.server
	if !e.cfg.FetchKeys {
		cfg.HTTPClient = &http.Client{Transport: refuseRequests{}}
	}
	cfg.Providers = e.providersOf(cfg)
	cfg.Provider = gatehouse.Provider{}
	if !e.cfg.Introspect {
		for i := range cfg.Providers {
			refuseIntrospection(&cfg.Providers[i])
		}
	}
	guard, err := newJudge(cfg)
	if err != nil {
		return err
	}
	defer guard.Close()
	e.providers = guard.Providers()
	e.inspection = inspectionSet(e.providers, guard.Resource(), cfg.Leeway).Inspect(e.text.token, e.now)
	e.verdict = guard.judge(ctx, e.text.token)
	if e.verdict.reason == reason.ProviderUnavailable && !e.isOpaque() {
		return e.judgeContent(ctx)
	}
	return nil
}

// providersOf returns the providers of cfg as a list.
func (e *explainer) providersOf(cfg gatehouse.Config) []gatehouse.Provider {
	if len(cfg.Providers) > 0 {
		return slices.Clone(cfg.Providers)
	}
	return []gatehouse.Provider{cfg.Provider}
}

// mayBeOpaque reports whether the token is one that some servers ask their provider about.
func (e *explainer) mayBeOpaque() bool {
	return e.seen.Kind == token.KindOpaque || e.seen.Kind == token.KindEncrypted || e.seen.Kind == "opaque access token"
}

// isOpaqueReason reports whether a guard rejects a token only because it does not ask its provider.
func isOpaqueReason(r reason.Reason) bool { return r == reason.Opaque || r == reason.Encrypted }

// provider returns the provider of the token, or the first one if none is known.
func (e *explainer) provider() *gatehouse.Provider {
	if i := e.inspection.Member; i >= 0 {
		return e.jwtProviders()[i]
	}
	return &e.providers[0]
}

// jwtProviders returns the providers whose tokens may be JWTs, as they are in the inspection.
func (e *explainer) jwtProviders() []*gatehouse.Provider {
	var out []*gatehouse.Provider
	for i := range e.providers {
		if p := &e.providers[i]; !p.OpaqueOnly {
			out = append(out, p)
		}
	}
	return out
}

// isOpaque reports whether the guard asks a provider about the token in place of its keys.
func (e *explainer) isOpaque() bool {
	form := e.ruleError(token.RuleForm)
	return form != nil || len(e.jwtProviders()) == 0 || e.hasOpaquePrefix()
}

// ruleError returns the error of a rule, or nil.
func (e *explainer) ruleError(rule token.Rule) error {
	for _, c := range e.inspection.Checks {
		if c.Rule == rule {
			return c.Err
		}
	}
	return nil
}

// failure is the guard's rejection of the token: its own, or that of its content.
func (e *explainer) failure() verdict {
	if e.content.judged {
		return e.content
	}
	return e.verdict
}

// tokenVerdict returns the verdict for the report.
func (e *explainer) tokenVerdict() (TokenVerdict, gatehouse.Reason) {
	f := e.failure()
	switch {
	case e.text.truncated && !f.accepted:
		return Rejected, f.reason
	case e.assumed && isOpaqueReason(f.reason) && e.mayBeOpaque():
		return AcceptedIf, "" // whether the server asks the provider is not known
	case f.accepted && !e.content.judged && !e.unknownIssuer && !e.unknownResource:
		return Accepted, ""
	case f.accepted || f.reason == reason.ProviderUnavailable:
		return AcceptedIf, ""
	default:
		return Rejected, f.reason
	}
}

// report returns the report.
func (e *explainer) report() *TokenReport {
	r := &TokenReport{
		Kind:    e.kind(),
		Assumed: e.assumed,
		Header:  membersOf(e.seen.Header, e.now, headerWords),
		Claims:  membersOf(e.seen.Payload, e.now, claimWords),
	}
	if p := e.provider(); p.Issuer != unknownIssuer {
		r.Provider = cmp.Or(p.Name, p.Issuer)
	}
	r.Verdict, r.Reason = e.tokenVerdict()
	r.Findings = append(r.Findings, e.textFindings()...)
	r.Findings = append(r.Findings, e.kindFinding(r))
	if e.text.token != "" {
		r.Findings = append(r.Findings, e.ruleFindings()...)
	}
	return r
}

// discard is a logger for guards that only judge.
var discard = slog.New(slog.DiscardHandler)
