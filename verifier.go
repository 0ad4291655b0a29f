package gatehouse

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/internal/remote"
	"github.com/gatehouse-mcp/gatehouse/internal/token"
)

// maxWarnedClients bounds the clients that are remembered because their tokens have no
// audience and a warning about that was logged.
const maxWarnedClients = 1024

// unverifiedLifetime is the lifetime of a caller while verification is disabled. go-sdk
// rejects a TokenInfo that has expired, and then no expiry is checked here.
const unverifiedLifetime = time.Hour

// verified is a token that passed every check, without its text.
type verified struct {
	identity  Identity
	principal string
	sessionID string // the claim sid; empty without one
	auditHash string // of the subject, for audit events and observers; empty if neither needs it
	bound     bool   // whether the token has an audience
	notBefore time.Time
	from      *issuer
}

// verifier checks tokens and returns the callers that they identify.
type verifier struct {
	issuers  []*issuer
	leeway   time.Duration
	logger   *slog.Logger
	jwts     *token.Set
	members  []*issuer // of jwts, in its order
	tokens   tokenCache
	toIssuer http.RoundTripper      // of IssuerClient
	hash     func(*Identity) string // of the subject, or ""
	observed *observers             // nil if there are none
	limiter  *limiter

	hits          atomic.Uint64
	mu            sync.Mutex
	warnedClients map[warnedClient]bool
}

// warnedClient is a client of one provider: two providers may use the same ID. It has the hash
// of the ID, which may be as long as a token.
type warnedClient struct {
	from *issuer
	id   [sha256.Size]byte
}

func newVerifier(g *Guard) *verifier {
	v := &verifier{
		issuers:       g.issuers,
		leeway:        g.Leeway,
		logger:        g.Logger,
		tokens:        newTokenCache(),
		toIssuer:      newIssuerTransport(g.HTTPClient),
		hash:          g.subjectHash,
		observed:      g.observers,
		limiter:       g.limiter,
		warnedClients: make(map[warnedClient]bool),
	}
	var members []token.Member
	for _, i := range g.issuers {
		if !i.OpaqueOnly {
			members = append(members, token.Member{Verifier: i.jwt, Keys: i.keys})
			v.members = append(v.members, i)
		}
	}
	v.jwts = token.NewSet(members...)
	return v
}

// verify sets out to the caller that raw identifies, or returns why it is rejected. A token that was
// verified before costs one hash and one look-up until it expires or the keys change. Any other
// one counts against the limit of the client of r, if it is rejected; r may be nil.
func (v *verifier) verify(ctx context.Context, raw string, r *http.Request, out *verified) *Rejection {
	began, how := v.observed.now(), Verification{Kind: kindJWT, Cache: cacheMiss}
	rejection := v.check(ctx, raw, r, out, &how)
	if rejection != nil && rejection.Reason == reason.TooManyFailedSignIns {
		v.limiter.limitedSignIns.Add(1)
	}
	v.observed.verified(ctx, began, how, out, rejection)
	return rejection
}

// check is verify, and sets how to how the token was verified.
func (v *verifier) check(ctx context.Context, raw string, r *http.Request, out *verified, how *Verification) *Rejection {
	opaque := v.opaqueIssuer(raw)
	if err := v.checkSize(raw, opaque); err != nil {
		return v.limiter.rejectJunk(ctx, v.limiter.senderOf(r), rejectionOf(err, opaque))
	}
	if opaque != nil {
		how.Kind = kindOpaque
	}
	now := time.Now()
	key := fingerprintOf(raw)
	if v.recall(key, now, out) {
		v.hits.Add(1)
		how.Cache = cacheHit
		return nil
	}
	by := v.limiter.senderOf(r)
	// A JWT that is accepted has only these characters, so its text is not read twice.
	isJWT := opaque == nil && !v.issuers[0].DangerouslySkipVerification
	if !isJWT && !isToken68(raw) {
		return v.limiter.rejectJunk(ctx, by, &Rejection{Reason: reason.MalformedCredentials, Err: errNotToken68})
	}
	if v.issuers[0].DangerouslySkipVerification {
		return v.readUnverified(raw, key, now, out)
	}
	if opaque != nil {
		return v.checkOpaque(ctx, opaque, raw, by, key, now, out, how)
	}
	return v.checkJWT(ctx, raw, by, key, now, out)
}

// checkSize rejects a token that is longer than its provider allows. opaque is the provider
// that is asked about it, or nil for a JWT. A JWT that its provider is asked about has claims,
// and so may be as long as other JWTs.
func (v *verifier) checkSize(raw string, opaque *issuer) error {
	switch {
	case opaque == nil:
		return v.jwts.CheckSize(raw)
	case opaque.OpaqueOnly && looksLikeJWT(raw):
		return opaque.jwt.CheckSize(raw)
	}
	return token.CheckSize(raw, maxOpaque)
}

// recall sets out to the result of an earlier verification, if it is still valid at now.
func (v *verifier) recall(key fingerprint, now time.Time, out *verified) bool {
	e := v.tokens.get(key, now)
	if e == nil || e.generation != e.from.generation() {
		return false
	}
	out.read(e.record, e.from)
	return !now.Add(v.leeway).Before(out.notBefore)
}

// checkJWT sets out to the caller that a JWT identifies.
func (v *verifier) checkJWT(ctx context.Context, raw string, by sender, key fingerprint, now time.Time, out *verified) *Rejection {
	var p token.Parsed
	member, err := v.jwts.Parse(raw, &p)
	var from *issuer // nil if it is not known
	if member >= 0 {
		from = v.members[member]
	}
	if err != nil && !isToken68(raw) {
		return v.limiter.rejectJunk(ctx, by, &Rejection{Reason: reason.MalformedCredentials, Err: errNotToken68})
	}
	if err != nil {
		return v.limiter.rejectJunk(ctx, by, rejectionOf(err, from))
	}
	counted, rejection := v.limiter.beginJWT(ctx, by, &p)
	if rejection != nil {
		rejection.from = from
		return rejection
	}
	rejection = v.verifyJWT(ctx, raw, &p, from, key, now, out)
	v.limiter.endJWT(ctx, &counted, &p, from, rejection)
	return rejection
}

// verifyJWT sets out to the caller that a JWT of the provider from identifies.
func (v *verifier) verifyJWT(
	ctx context.Context, raw string, p *token.Parsed, from *issuer, key fingerprint, now time.Time, out *verified,
) *Rejection {
	t, err := p.Verify(ctx, now)
	var unavailable *token.KeyError
	if errors.As(err, &unavailable) && errors.Is(err, remote.ErrTooSoon) && v.isOlderThanKeys(from, unavailable.IssuedAt, now) {
		unknown := &token.Error{Reason: reason.UnknownKey, Claim: "kid", Err: err}
		if unavailable.KeyID != "" {
			unknown.Got = quote.String(unavailable.KeyID)
		}
		err = unknown
	}
	if err != nil && !isToken68(raw) {
		return &Rejection{Reason: reason.MalformedCredentials, Err: errNotToken68}
	}
	if err != nil {
		return rejectionOf(err, from)
	}
	if rejection := v.identify(t, key, from, out); rejection != nil {
		return rejection
	}
	v.tokens.put(key, out, t.Generation, t.Expiry.Add(v.leeway))
	return nil
}

// isOlderThanKeys reports whether a token says that it was issued before the current keys
// were fetched. If its key is not among them, the issuer has removed the key, and the
// user must sign in again. The key of a younger token may have been published since; the
// client should try again. Forging iat only turns a 503 into a 401.
func (v *verifier) isOlderThanKeys(from *issuer, issued, now time.Time) bool {
	fetched := now.Add(-from.keys.Stats().Age)
	return !issued.IsZero() && issued.Add(v.leeway).Before(fetched)
}

// opaqueIssuer returns the provider that is asked about raw, or nil if raw is verified as a
// JWT. The prefixes of all providers come first: a token that begins with one of them is
// never read as a JWT.
func (v *verifier) opaqueIssuer(raw string) *issuer {
	if only := v.issuers[0]; len(v.issuers) == 1 && (only.introspector == nil || only.OpaqueOnly) {
		if only.introspector == nil {
			return nil
		}
		return only
	}
	var withoutPrefix *issuer
	for _, i := range v.issuers {
		if slices.ContainsFunc(i.OpaquePrefixes, func(prefix string) bool { return strings.HasPrefix(raw, prefix) }) {
			return i
		}
		if i.introspector != nil && len(i.OpaquePrefixes) == 0 {
			withoutPrefix = i
		}
	}
	if looksLikeJWT(raw) {
		return nil
	}
	return withoutPrefix
}

// looksLikeJWT reports whether raw has the two dots of a JWS in compact serialization.
func looksLikeJWT(raw string) bool { return strings.Count(raw, ".") == 2 }

// identify sets out to the caller that a verified token identifies.
func (v *verifier) identify(t *token.Token, key fingerprint, from *issuer, out *verified) *Rejection {
	id := identityOf(t, key)
	id.Provider = from.Name
	if rejection := from.complete(&id); rejection != nil {
		return rejection
	}
	if id.Kind != KindUser && !from.AllowMachines {
		return rejectionOf(&token.Error{Reason: reason.MachineToken}, from)
	}
	if !t.Bound {
		v.warnUnbound(from, id.ClientID)
	}
	*out = verified{
		identity:  id,
		principal: id.Principal(),
		sessionID: sessionIDOf(&id),
		auditHash: v.hash(&id),
		bound:     t.Bound,
		notBefore: t.NotBefore,
		from:      from,
	}
	return nil
}

// identityOf returns the standard claims of t as an identity, before [Provider.Claims] and
// [Provider.Complete].
func identityOf(t *token.Token, key fingerprint) Identity {
	kind := KindUser
	if t.Machine {
		kind = KindMachine
	}
	return Identity{
		Kind:        kind,
		Issuer:      t.Issuer,
		Subject:     t.Subject,
		ClientID:    t.ClientID,
		TokenID:     t.ID,
		Scopes:      t.Scopes,
		Audience:    t.Audience,
		IssuedAt:    t.IssuedAt,
		Expiry:      t.Expiry,
		Fingerprint: base64.RawURLEncoding.EncodeToString(key[:]),
		payload:     t.Payload,
	}
}

// sessionIDOf returns the claim sid, or "" if there is none or it is not a string.
func sessionIDOf(id *Identity) string {
	var claims struct {
		SessionID string `json:"sid"`
	}
	if !strings.Contains(id.payload, `"sid"`) || id.Claims(&claims) != nil {
		return ""
	}
	return claims.SessionID
}

// complete sets what the provider's own claims say.
func (i *issuer) complete(id *Identity) *Rejection {
	err := i.Claims.set(id)
	if err == nil && i.Complete != nil {
		err = i.Complete(id)
	}
	if err != nil {
		return &Rejection{Reason: reason.UnusableClaims, Err: &TokenError{Reason: reason.UnusableClaims, err: err}, from: i}
	}
	return nil
}

// readUnverified sets out to the caller that raw claims to identify, for
// [Provider.DangerouslySkipVerification].
func (v *verifier) readUnverified(raw string, key fingerprint, now time.Time, out *verified) *Rejection {
	t := token.Peek(raw)
	from := v.issuers[0]
	if t.Problem != nil {
		return rejectionOf(t.Problem, from)
	}
	return v.identify(&token.Token{
		// IssuerClient sends the token to its issuer, so the issuer is never the one
		// that an unverified token names.
		Issuer:   from.Issuer,
		Subject:  t.Subject,
		ClientID: t.ClientID,
		Scopes:   t.Scopes,
		Audience: t.Audience,
		Expiry:   now.Add(unverifiedLifetime),
		Payload:  t.Payload,
		Bound:    true,
	}, key, from, out)
}

// rejectionOf returns the rejection for an error of a check: of the token, or, if the
// error is not a [*token.Error], because the provider is unavailable. from is the provider,
// or nil if it is not known.
func rejectionOf(err error, from *issuer) *Rejection {
	var fault *token.Error
	if !errors.As(err, &fault) {
		return &Rejection{Reason: reason.ProviderUnavailable, Err: err, from: from}
	}
	return &Rejection{
		from:   from,
		Reason: fault.Reason,
		Err: &TokenError{
			Reason: fault.Reason,
			Claim:  fault.Claim,
			Got:    fault.Got,
			Want:   fault.Want,
			kind:   fault.Kind,
			err:    err,
		},
	}
}

// retryAfter returns how long a client should wait before it tries again.
func retryAfter(err error) time.Duration {
	var hinted interface{ RetryAfter() time.Duration }
	if errors.As(err, &hinted) {
		if d := hinted.RetryAfter(); d > 0 {
			return d
		}
	}
	return defaultRetryAfter
}

// warnUnbound logs a warning, once for each client, that its tokens have no audience.
func (v *verifier) warnUnbound(from *issuer, clientID string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	client := warnedClient{from, sha256.Sum256([]byte(clientID))}
	if v.warnedClients[client] || len(v.warnedClients) >= maxWarnedClients {
		return
	}
	v.warnedClients[client] = true
	v.logger.Warn("token without audience accepted", "provider", from.label(), "client", quote.Clip(clientID, maxLoggedText), "hint", from.Hints[reason.Unbound])
}
