package gatehouse

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/cache"
	"github.com/gatehouse-mcp/gatehouse/internal/keys"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/internal/remote"
	"github.com/gatehouse-mcp/gatehouse/internal/token"
)

const (
	// cacheEntries and cacheBytes bound the verified tokens kept in memory.
	cacheEntries = 10_000
	cacheBytes   = 16 << 20
	// maxNotedClients bounds the clients whose unbound tokens were logged.
	maxNotedClients = 1024
)

// verified is a token that passed, without its text.
type verified struct {
	identity  Identity
	principal string
	sessionID string // sid; empty when there is none
	bound     bool
	notBefore time.Time
}

// verifier turns the text of a token into who it stands for.
type verifier struct {
	provider Provider
	leeway   time.Duration
	logger   *slog.Logger
	rules    *token.Rules
	keys     *keys.Set
	tokens   *cache.Cache[packed]

	introspector *introspector // nil when opaque tokens are not taken

	hits         atomic.Uint64
	mu           sync.Mutex
	notedClients map[string]bool
}

func newVerifier(g *Guard, audiences []string) (*verifier, error) {
	rules := g.rules(audiences)
	if err := rules.Validate(); err != nil {
		return nil, &ConfigError{Field: "Provider.Tokens", Problem: err.Error(), Fix: "see the fields of gatehouse.TokenRules"}
	}
	source := keys.Config{
		URL:        g.settings.Provider.JWKSURL,
		Client:     g.HTTPClient,
		Algorithms: rules.Algorithms,
		File:       g.KeyFile,
		Logger:     g.Logger,
	}
	if source.URL == "" {
		source.URL, source.Locate = g.settings.Provider.Issuer, g.documents.locateKeys
	}
	return &verifier{
		provider:     g.settings.Provider,
		leeway:       g.Leeway,
		logger:       g.Logger,
		rules:        rules,
		keys:         keys.New(source),
		tokens:       cache.New[packed](cache.Config{Entries: cacheEntries, Bytes: cacheBytes}),
		introspector: newIntrospector(g.settings.Provider),
		notedClients: make(map[string]bool),
	}, nil
}

// verify says in out who raw stands for, or returns why it is refused. A token seen
// before costs one hash and one look-up until it expires or the keys change.
func (v *verifier) verify(ctx context.Context, raw string, out *verified) *Rejection {
	if len(raw) > token.DefaultMaxSize {
		return refusal(&token.Error{Reason: reason.TooLarge, Got: strconv.Itoa(len(raw)) + " bytes"})
	}
	now := time.Now()
	fingerprint := fingerprintOf(raw)
	if v.recall(fingerprint, now, out) {
		v.hits.Add(1)
		return nil
	}
	if !isToken68(raw) {
		return &Rejection{Reason: reason.MalformedCredentials, Err: errNotToken68}
	}
	if v.provider.DangerouslySkipVerification {
		return v.unverified(raw, fingerprint, out)
	}
	if v.introspector != nil && !looksLikeJWT(raw) {
		return v.verifyOpaque(ctx, raw, fingerprint, now, out)
	}
	t, err := v.check(ctx, raw, now)
	if err != nil {
		return refusal(err)
	}
	if rejection := v.admit(t, fingerprint, out); rejection != nil {
		return rejection
	}
	p := out.pack()
	v.tokens.Put(fingerprint, t.Generation, p, len(p), t.Expiry.Add(v.leeway))
	return nil
}

// recall sets out to what is known of a token that was verified before.
func (v *verifier) recall(fingerprint [sha256.Size]byte, now time.Time, out *verified) bool {
	hit, ok := v.tokens.Get(fingerprint, v.keys.Generation(), now)
	if !ok {
		return false
	}
	hit.unpack(out)
	return !now.Add(v.leeway).Before(out.notBefore)
}

// check verifies a JWT.
func (v *verifier) check(ctx context.Context, raw string, now time.Time) (*token.Token, error) {
	t, err := v.rules.Verify(ctx, raw, v.keys.Lookup, now)
	if errors.Is(err, remote.ErrTooSoon) && v.outlivedItsKey(raw, now) {
		err = &token.Error{Reason: reason.UnknownKey, Err: err}
	}
	return t, err
}

// outlivedItsKey is asked about a token whose key is not among those fetched a
// moment ago. If it says that it was issued before that, its key is gone, and its
// client must sign in again; the key of a younger one may not have been there yet.
// Whoever forges the date gains a 401 in place of a 503.
func (v *verifier) outlivedItsKey(raw string, now time.Time) bool {
	issued := token.Peek(raw).IssuedAt
	fetched := now.Add(-v.keys.Stats().Age)
	return !issued.IsZero() && issued.Add(v.leeway).Before(fetched)
}

// fingerprintOf hashes raw without a copy of it.
func fingerprintOf(raw string) [sha256.Size]byte {
	return sha256.Sum256(readOnlyBytes(raw))
}

// looksLikeJWT reports whether raw has the two dots of a compact JWS.
func looksLikeJWT(raw string) bool { return strings.Count(raw, ".") == 2 }

// admit sets out to the identity of a token that passed.
func (v *verifier) admit(t *token.Token, fingerprint [sha256.Size]byte, out *verified) *Rejection {
	id := &out.identity
	fill(id, t, fingerprint)
	if rejection := v.complete(id); rejection != nil {
		return rejection
	}
	if !t.Bound {
		v.noteUnbound(id.ClientID)
	}
	out.principal, out.sessionID = id.Principal(), sessionIDOf(id)
	out.bound, out.notBefore = t.Bound, t.NotBefore
	return nil
}

func sessionIDOf(id *Identity) string {
	var c struct {
		SessionID string `json:"sid"`
	}
	if bytes.Contains(id.payload, []byte(`"sid"`)) && id.Claims(&c) != nil {
		return ""
	}
	return c.SessionID
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

// unverified is DangerouslySkipVerification: the token says who it is.
func (v *verifier) unverified(raw string, fingerprint [sha256.Size]byte, out *verified) *Rejection {
	t := token.Peek(raw)
	if t.Problem != nil {
		return refusal(t.Problem)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[1])
	if err != nil {
		return refusal(&token.Error{Reason: reason.Malformed, Err: err})
	}
	id := &out.identity
	fill(id, &token.Token{
		Subject: t.Subject, ClientID: t.ClientID, Scopes: t.Scopes, Audience: t.Audience, Payload: payload,
	}, fingerprint)
	// The token goes to its issuer again in IssuerClient; nobody else's word on
	// who that is counts.
	id.Issuer = v.provider.Issuer
	// go-sdk refuses a TokenInfo that has expired, and this mode looks at no expiry.
	id.Expiry = time.Now().Add(time.Hour)
	if rejection := v.complete(id); rejection != nil {
		return rejection
	}
	out.principal, out.sessionID, out.bound = id.Principal(), sessionIDOf(id), true
	return nil
}

// refusal sorts an error of verification: about the token, or about the keys.
func refusal(err error) *Rejection {
	var refused *token.Error
	if !errors.As(err, &refused) {
		return &Rejection{Reason: reason.ProviderUnavailable, Err: err}
	}
	return &Rejection{
		Reason: refused.Reason,
		Err:    &TokenError{Reason: refused.Reason, Claim: refused.Claim, Got: refused.Got, Want: refused.Want, err: err},
	}
}

// retryAfter is how long a client should wait before it asks again.
func retryAfter(err error) time.Duration {
	var hinted interface{ RetryAfter() time.Duration }
	if errors.As(err, &hinted) {
		if d := hinted.RetryAfter(); d > 0 {
			return d
		}
	}
	return defaultRetryAfter
}

// fill sets id to what the token says by itself, before [Provider.Complete].
func fill(id *Identity, t *token.Token, fingerprint [sha256.Size]byte) {
	*id = Identity{
		Issuer:      t.Issuer,
		Subject:     t.Subject,
		ClientID:    t.ClientID,
		TokenID:     t.ID,
		Scopes:      t.Scopes,
		Audience:    t.Audience,
		IssuedAt:    t.IssuedAt,
		Expiry:      t.Expiry,
		Fingerprint: base64.RawURLEncoding.EncodeToString(fingerprint[:]),
		payload:     t.Payload,
	}
}

// noteUnbound logs once for each client that its tokens name no audience.
func (v *verifier) noteUnbound(clientID string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.notedClients[clientID] || len(v.notedClients) >= maxNotedClients {
		return
	}
	v.notedClients[clientID] = true
	v.logger.Warn("token without audience accepted", "client", clientID, "hint", v.provider.Hints["unbound"])
}
