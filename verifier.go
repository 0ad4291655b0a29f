package gatehouse

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/keys"
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
	bound     bool   // whether the token has an audience
	notBefore time.Time
}

// verifier checks tokens and returns the callers that they identify.
type verifier struct {
	provider Provider
	leeway   time.Duration
	logger   *slog.Logger
	jwt      *token.Verifier
	keys     *keys.Set
	tokens   tokenCache

	introspector *introspector     // nil if opaque tokens are rejected
	toIssuer     http.RoundTripper // of IssuerClient

	hits          atomic.Uint64
	mu            sync.Mutex
	warnedClients map[string]bool
}

func newVerifier(g *Guard, audiences []string) (*verifier, error) {
	provider := g.settings.Provider
	if n := provider.Tokens.MaxBytes; n < 0 || n > token.LargestMaxSize {
		return nil, &ConfigError{
			Field:   "Provider.Tokens.MaxBytes",
			Value:   strconv.Itoa(n),
			Problem: "is out of range",
			Fix:     fmt.Sprintf("use 0 for the default of %d bytes, or at most %d", token.DefaultMaxSize, token.LargestMaxSize),
		}
	}
	jwt := newTokenVerifier(provider, audiences, g.Leeway)
	if err := jwt.Validate(); err != nil {
		return nil, &ConfigError{Field: "Provider.Tokens", Problem: err.Error(), Fix: "see the fields of gatehouse.TokenRules"}
	}
	source := keys.Config{
		URL:        provider.JWKSURL,
		Client:     g.HTTPClient,
		Algorithms: jwt.Algorithms,
		File:       g.KeyFile,
		Logger:     g.Logger,
	}
	if source.URL == "" {
		source.URL, source.Locate = provider.Issuer, g.documents.locateKeys
	}
	return &verifier{
		provider:      provider,
		leeway:        g.Leeway,
		logger:        g.Logger,
		jwt:           jwt,
		keys:          keys.New(source),
		tokens:        newTokenCache(),
		introspector:  newIntrospector(provider),
		toIssuer:      newIssuerTransport(g.HTTPClient),
		warnedClients: make(map[string]bool),
	}, nil
}

// newTokenVerifier returns the checks of the provider's rules, and of what the guard adds
// to them.
func newTokenVerifier(p Provider, audiences []string, leeway time.Duration) *token.Verifier {
	return &token.Verifier{
		Rules:     token.Rules(p.Tokens.withDefaults()),
		Issuer:    p.Issuer,
		Audiences: audiences,
		Leeway:    leeway,
	}
}

// verify sets out to the caller that raw identifies, or returns why it is rejected. A token that was
// verified before costs one hash and one look-up until it expires or the keys change.
func (v *verifier) verify(ctx context.Context, raw string, out *verified) *Rejection {
	if err := v.jwt.CheckSize(raw); err != nil {
		return rejectionOf(err)
	}
	now := time.Now()
	key := fingerprintOf(raw)
	if v.recall(key, now, out) {
		v.hits.Add(1)
		return nil
	}
	if !isToken68(raw) {
		return &Rejection{Reason: reason.MalformedCredentials, Err: errNotToken68}
	}
	if v.provider.DangerouslySkipVerification {
		return v.readUnverified(raw, key, now, out)
	}
	if v.isOpaque(raw) {
		return v.checkOpaque(ctx, raw, key, now, out)
	}
	t, err := v.checkJWT(ctx, raw, now)
	if err != nil {
		return rejectionOf(err)
	}
	if rejection := v.identify(t, key, out); rejection != nil {
		return rejection
	}
	v.tokens.put(key, out, t.Generation, t.Expiry.Add(v.leeway))
	return nil
}

// recall sets out to the result of an earlier verification, if it is still valid at now.
func (v *verifier) recall(key fingerprint, now time.Time, out *verified) bool {
	_, ok := v.tokens.get(key, v.keys.Generation(), now, out)
	return ok && !now.Add(v.leeway).Before(out.notBefore)
}

// checkJWT verifies a JWT.
func (v *verifier) checkJWT(ctx context.Context, raw string, now time.Time) (*token.Token, error) {
	t, err := v.jwt.Verify(ctx, raw, v.keys, now)
	var unavailable *token.KeyError
	if errors.As(err, &unavailable) && errors.Is(err, remote.ErrTooSoon) && v.isOlderThanKeys(unavailable.IssuedAt, now) {
		err = &token.Error{Reason: reason.UnknownKey, Err: err}
	}
	return t, err
}

// isOlderThanKeys reports whether a token says that it was issued before the current keys
// were fetched. If its key is not among them, the issuer has removed the key, and the
// user must sign in again. The key of a younger token may have been published since; the
// client should try again. Forging iat only turns a 503 into a 401.
func (v *verifier) isOlderThanKeys(issued, now time.Time) bool {
	fetched := now.Add(-v.keys.Stats().Age)
	return !issued.IsZero() && issued.Add(v.leeway).Before(fetched)
}

// isOpaque reports whether raw is verified by introspection.
func (v *verifier) isOpaque(raw string) bool { return v.introspector != nil && !looksLikeJWT(raw) }

// looksLikeJWT reports whether raw has the two dots of a JWS in compact serialization.
func looksLikeJWT(raw string) bool { return strings.Count(raw, ".") == 2 }

// identify sets out to the caller that a verified token identifies.
func (v *verifier) identify(t *token.Token, key fingerprint, out *verified) *Rejection {
	id := identityOf(t, key)
	if rejection := v.complete(&id); rejection != nil {
		return rejection
	}
	if !t.Bound {
		v.warnUnbound(id.ClientID)
	}
	*out = verified{
		identity:  id,
		principal: id.Principal(),
		sessionID: sessionIDOf(&id),
		bound:     t.Bound,
		notBefore: t.NotBefore,
	}
	return nil
}

// identityOf returns the standard claims of t as an identity, before [Provider.Complete].
func identityOf(t *token.Token, key fingerprint) Identity {
	return Identity{
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

func (v *verifier) complete(id *Identity) *Rejection {
	if v.provider.Complete == nil {
		return nil
	}
	if err := v.provider.Complete(id); err != nil {
		return &Rejection{Reason: reason.UnusableClaims, Err: &TokenError{Reason: reason.UnusableClaims, err: err}}
	}
	return nil
}

// readUnverified sets out to the caller that raw claims to identify, for
// [Provider.DangerouslySkipVerification].
func (v *verifier) readUnverified(raw string, key fingerprint, now time.Time, out *verified) *Rejection {
	t := token.Peek(raw)
	if t.Problem != nil {
		return rejectionOf(t.Problem)
	}
	return v.identify(&token.Token{
		// IssuerClient sends the token to its issuer, so the issuer is never the one
		// that an unverified token names.
		Issuer:   v.provider.Issuer,
		Subject:  t.Subject,
		ClientID: t.ClientID,
		Scopes:   t.Scopes,
		Audience: t.Audience,
		Expiry:   now.Add(unverifiedLifetime),
		Payload:  t.Payload,
		Bound:    true,
	}, key, out)
}

// rejectionOf returns the rejection for an error of a check: of the token, or, if the
// error is not a [*token.Error], because the provider is unavailable.
func rejectionOf(err error) *Rejection {
	var fault *token.Error
	if !errors.As(err, &fault) {
		return &Rejection{Reason: reason.ProviderUnavailable, Err: err}
	}
	return &Rejection{
		Reason: fault.Reason,
		Err:    &TokenError{Reason: fault.Reason, Claim: fault.Claim, Got: fault.Got, Want: fault.Want, err: err},
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
func (v *verifier) warnUnbound(clientID string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.warnedClients[clientID] || len(v.warnedClients) >= maxWarnedClients {
		return
	}
	v.warnedClients[strings.Clone(clientID)] = true // not a part of the claims
	v.logger.Warn("token without audience accepted", "client", quote.Clip(clientID, maxLoggedText), "hint", v.provider.Hints["unbound"])
}
