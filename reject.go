package gatehouse

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/challenge"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

const (
	// defaultRetryAfter is how long a client should wait if an outage has no known end.
	defaultRetryAfter = 5 * time.Second
	// retryAfterTooMany is how long a client should wait that has too many sessions or streams.
	retryAfterTooMany = time.Minute
	// maxChallengedScopes bounds the scopes of a token that are repeated in a challenge.
	maxChallengedScopes = 32
	// maxLoggedText is the limit in bytes of each text of a request in the log. Anyone can
	// send a path as long as the server's limit for headers.
	maxLoggedText = 256
	// maxLoggedDetail is the limit in bytes of the details of a rejection in the log. They
	// may quote several texts of the request or of the token.
	maxLoggedDetail = 1024
)

// Rejection describes one rejected request. It never contains the token.
type Rejection struct {
	// Reason is why the request was rejected.
	Reason Reason
	// Status is the HTTP status of the answer.
	Status int
	// Err has the details, for logs only. It may be nil.
	Err error
	// Hint is what the operator should do.
	Hint string
	// Identity is the caller. It is zero if the token was missing or invalid.
	Identity Identity

	from       *issuer // that the token is from; nil if it is not known
	anonymous  bool    // whether the caller was let in without a token, before something else was wrong
	letThrough bool    // whether the request had passed all checks: its audit event is that of its end
}

// LogValue returns the reason and, if known, the details, the caller and the hint. Their
// length is bounded.
func (r Rejection) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("reason", string(r.Reason))}
	if r.Err != nil {
		attrs = append(attrs, slog.String("detail", quote.Clip(r.Err.Error(), maxLoggedDetail)))
	}
	if r.Identity.Subject != "" {
		attrs = append(attrs, slog.Any("caller", r.Identity))
	}
	// Every sign-in begins without credentials; the operator need not do anything.
	if r.Hint != "" && r.Reason != reason.NoCredentials {
		attrs = append(attrs, slog.String("hint", r.Hint))
	}
	return slog.GroupValue(attrs...)
}

// reject answers r with the status, code and phrase of the reason. The details go to the
// log or to [Config.OnReject], and never into the answer.
func (g *Guard) reject(w http.ResponseWriter, r *http.Request, rejection Rejection) {
	info := infoOf(rejection.Reason)
	rejection.Status, rejection.Hint = info.Status, g.hint(info, rejection)
	g.counters.reject(rejection.Reason)
	if g.OnReject != nil {
		g.OnReject(r, rejection)
	} else {
		g.logRejection(r, rejection)
	}
	c := g.challenge(r, rejection, info)
	if g.ChallengeInResult && g.writeChallengeResult(w, r, rejection, c, info) {
		g.record(r, rejection, http.StatusOK)
		return
	}
	if g.DraftStructuredDenials {
		if status := g.writeDenial(w, r, rejection, c, info); status != 0 {
			g.record(r, rejection, status)
			return
		}
	}
	g.record(r, rejection, info.Status)
	if c != "" {
		w.Header().Set("WWW-Authenticate", c)
	}
	switch info.Status {
	case http.StatusServiceUnavailable:
		setRetryAfter(w.Header(), rejection.Err)
	case http.StatusTooManyRequests:
		setRetryAfter(w.Header(), tooManyOf(rejection.Err))
	}
	if r.ProtoMajor == 1 && r.Header.Get("Expect") != "" {
		// The client waits for a permission to send the body, which it does not get. Otherwise
		// net/http would wait for the body before it sends this answer.
		w.Header().Set("Connection", "close")
	}
	body := newErrorBody(info)
	forOperation := info.Status == http.StatusForbidden || info.Status == http.StatusBadRequest || info.Reason == reason.RateLimited
	if !forOperation || !writeErrorResponse(w, r, info.Status, codeForbidden, body.Description, body) {
		writeError(w, r, info.Status, body)
	}
}

// record passes the rejection, which is answered with the status, to the audit and to observers.
func (g *Guard) record(r *http.Request, rejection Rejection, status int) {
	g.auditor.reject(r, rejection, status)
	if g.observers == nil {
		return
	}
	from := rejection.from
	if from == nil && rejection.Identity.Subject != "" {
		from = g.issuerOf(rejection)
	}
	g.observers.reject(r, &rejection, from, status)
}

// challenge returns the WWW-Authenticate header (RFC 6750 §3, RFC 9728 §5.1), or "" for a
// rejection that a different token would not fix.
func (g *Guard) challenge(r *http.Request, rejection Rejection, info ReasonInfo) string {
	c := challenge.Bearer{
		ResourceMetadata: g.resources[g.resourceFor(r)].metadataURL,
		Scopes:           g.scopesFor(g.issuerOf(rejection)),
		Error:            info.Code,
		ErrorDescription: info.Phrase,
	}
	switch info.Code {
	case reason.CodeMissingToken:
		c.Error, c.ErrorDescription = "", ""
	case reason.CodeInvalidRequest:
		if rejection.Identity.Subject != "" || rejection.anonymous { // the body is invalid, and not the token
			return ""
		}
	case reason.CodeInvalidToken:
	case reason.CodeInsufficientScope:
		if e := (*scopeError)(nil); errors.As(rejection.Err, &e) {
			c.Scopes = g.challengeScopes(g.issuerOf(rejection), e)
		}
	default:
		if !g.needsAuthorizationDetails(rejection) {
			return ""
		}
		c.Error = codeInsufficientDetails
	}
	return c.String()
}

// challengeScopes returns the scopes for the answer to a caller of i who lacks some: those of
// the operation, after those that the client must not lose; see [Config.OperationScopesOnly].
func (g *Guard) challengeScopes(i *issuer, e *scopeError) []string {
	needed := requestedScopes(&i.Provider, e.needed)
	if g.OperationScopesOnly {
		return needed
	}
	granted := e.granted[:min(len(e.granted), maxChallengedScopes)]
	return union(g.scopesFor(i), requestedScopes(&i.Provider, granted), needed)
}

func (g *Guard) logRejection(r *http.Request, rejection Rejection) {
	level := slog.LevelInfo
	switch {
	case rejection.Status == http.StatusServiceUnavailable:
		level = slog.LevelWarn
	case rejection.Reason == reason.TooManyFailedSignIns || rejection.Reason == reason.RateLimited:
		level = slog.LevelDebug // the limiter logs one line a minute; a flood must not fill the log
	}
	g.Logger.LogAttrs(r.Context(), level, "request rejected",
		slog.String("method", quote.Clip(r.Method, maxLoggedText)),
		slog.String("path", quote.Clip(r.URL.Path, maxLoggedText)),
		slog.Int("status", rejection.Status),
		slog.Any("rejection", rejection),
	)
}

// issuerOf returns the provider of the token that was rejected, or the first one if it is not
// known.
func (g *Guard) issuerOf(rejection Rejection) *issuer {
	if rejection.from != nil {
		return rejection.from
	}
	for _, i := range g.issuers {
		if slices.Contains(i.TokenIssuers, rejection.Identity.Issuer) {
			return i
		}
	}
	return g.issuers[0]
}

// hint returns what the operator should do: the provider's own advice if it has any.
func (g *Guard) hint(info ReasonInfo, rejection Rejection) string {
	if hint := g.issuerOf(rejection).Hints[info.Reason]; hint != "" {
		return hint
	}
	rejected := (*TokenError)(nil)
	switch {
	case info.Reason != reason.WrongType || !errors.As(rejection.Err, &rejected):
		return info.Do
	case rejected.kind != "":
		return kindHint(rejected.kind)
	case rejected.Claim == "typ":
		return typeHint(rejected.Got)
	}
	return info.Do
}

// kindHint is the hint about a token that TokenRules.RejectedHeader or
// TokenRules.RejectedClaims marks as one of another kind. The kind is in words.
func kindHint(kind string) string {
	return "have the client send its access token: this token is marked as " + quote.String(kind) +
		"; if your provider marks access tokens like that, change RejectedHeader or RejectedClaims of TokenRules"
}

// typeHint is the hint about a token whose header parameter typ is not accepted. Only the
// operator knows whether the provider writes that value into its access tokens: RFC 9068
// wants at+jwt, but many providers write JWT, also into ID tokens.
func typeHint(got string) string {
	is := "typ is " + got
	if got == "" || got == `""` {
		is = "the token has no typ"
	}
	return is + "; if your provider writes access tokens like that, set TokenRules.Types to it, and TokenRules.RequiredClaims " +
		"to a claim that its ID tokens lack, such as scope; otherwise have the client send its access token"
}

// setRetryAfter sets Retry-After to the wait that err asks for, in whole seconds, rounded up.
func setRetryAfter(h http.Header, err error) {
	seconds := (retryAfter(err) + time.Second - 1) / time.Second
	h.Set("Retry-After", strconv.Itoa(int(seconds)))
}

// tooManyOf returns err if it says how long to wait, and otherwise an error that does.
func tooManyOf(err error) error {
	if over := (*overLimitError)(nil); errors.As(err, &over) {
		return err
	}
	return &busyError{retryAfterTooMany, err}
}

// errorBody is the JSON body of an error. Error and Description have the names of RFC 6750
// section 3. Reason lets programs recognize a rejection without comparing phrases. It
// reveals nothing more, since each reason has a phrase of its own; it is absent from errors
// that are not rejections.
type errorBody struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Reason      Reason `json:"reason,omitempty"`
}

func newErrorBody(info ReasonInfo) errorBody { return errorBody{info.Code, info.Phrase, info.Reason} }

// writeError writes an error as JSON, with headers that keep it out of caches.
func writeError(w http.ResponseWriter, r *http.Request, status int, body errorBody) {
	text, _ := json.Marshal(body) // a struct of strings has no error
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(text)
	}
}
