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
	"unsafe"

	"github.com/gatehouse-mcp/gatehouse/internal/cache"
	"github.com/gatehouse-mcp/gatehouse/internal/keys"
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

// verified is a token that passed, as the cache holds it: without its text.
type verified struct {
	identity  Identity
	principal string
	sessionID string // sid; empty when there is none
	bound     bool
	notBefore time.Time
}

// size is roughly what v takes in memory.
func (v *verified) size() int { return 512 + 2*len(v.identity.payload) }

// verifier turns the text of a token into who it stands for.
type verifier struct {
	provider Provider
	leeway   time.Duration
	logger   *slog.Logger
	rules    *token.Rules
	keys     *keys.Set
	tokens   *cache.Cache[*verified]

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
		tokens:       cache.New[*verified](cache.Config{Entries: cacheEntries, Bytes: cacheBytes}),
		introspector: newIntrospector(g.settings.Provider),
		notedClients: make(map[string]bool),
	}, nil
}

// verify answers who raw stands for, or why it is refused. A token seen before
// costs one hash and one look-up until it expires or the keys change.
func (v *verifier) verify(ctx context.Context, raw string) (*verified, *Rejection) {
	if len(raw) > token.DefaultMaxSize {
		return nil, refusal(&token.Error{Reason: token.TooLarge, Got: strconv.Itoa(len(raw)) + " bytes"})
	}
	now := time.Now()
	fingerprint := fingerprintOf(raw)
	if hit, ok := v.tokens.Get(fingerprint, v.keys.Generation(), now); ok && !now.Add(v.leeway).Before(hit.notBefore) {
		v.hits.Add(1)
		return hit, nil
	}
	if v.provider.DangerouslySkipVerification {
		return v.unverified(raw, fingerprint)
	}
	if v.introspector != nil && !looksLikeJWT(raw) {
		return v.verifyOpaque(ctx, raw, fingerprint, now)
	}
	t, err := v.rules.Verify(ctx, raw, v.keys.Lookup, now)
	if errors.Is(err, remote.ErrTooSoon) && v.outlivedItsKey(raw, now) {
		err = &token.Error{Reason: token.UnknownKey, Err: err}
	}
	if err != nil {
		return nil, refusal(err)
	}
	out, rejection := v.admit(t, fingerprint)
	if rejection != nil {
		return nil, rejection
	}
	v.tokens.Put(fingerprint, t.Generation, out, out.size(), t.Expiry.Add(v.leeway))
	return out, nil
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
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(raw), len(raw)))
}

// looksLikeJWT reports whether raw has the two dots of a compact JWS.
func looksLikeJWT(raw string) bool { return strings.Count(raw, ".") == 2 }

// admit turns a token that passed into its identity.
func (v *verifier) admit(t *token.Token, fingerprint [sha256.Size]byte) (*verified, *Rejection) {
	id := identityOf(t, fingerprint)
	if rejection := v.complete(&id); rejection != nil {
		return nil, rejection
	}
	if !t.Bound {
		v.noteUnbound(id.ClientID)
	}
	return &verified{
		identity:  id,
		principal: id.Principal(),
		sessionID: sessionIDOf(id),
		bound:     t.Bound,
		notBefore: t.NotBefore,
	}, nil
}

func sessionIDOf(id Identity) string {
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
		return &Rejection{Reason: reasonUnusable, Err: &TokenError{Reason: reasonUnusable, err: err}}
	}
	return nil
}

// unverified is DangerouslySkipVerification: the token says who it is.
func (v *verifier) unverified(raw string, fingerprint [sha256.Size]byte) (*verified, *Rejection) {
	t := token.Peek(raw)
	if t.Problem != nil {
		return nil, refusal(t.Problem)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[1])
	if err != nil {
		return nil, refusal(&token.Error{Reason: token.Malformed, Err: err})
	}
	id := identityOf(&token.Token{
		Subject: t.Subject, ClientID: t.ClientID, Scopes: t.Scopes, Audience: t.Audience, Payload: payload,
	}, fingerprint)
	// The token goes to its issuer again in IssuerClient; nobody else's word on
	// who that is counts.
	id.Issuer = v.provider.Issuer
	// go-sdk refuses a TokenInfo that has expired, and this mode looks at no expiry.
	id.Expiry = time.Now().Add(time.Hour)
	if rejection := v.complete(&id); rejection != nil {
		return nil, rejection
	}
	return &verified{identity: id, principal: id.Principal(), bound: true}, nil
}

// refusal sorts an error of verification: about the token, or about the keys.
func refusal(err error) *Rejection {
	var refused *token.Error
	if !errors.As(err, &refused) {
		return &Rejection{Reason: reasonUnavailable, Err: err}
	}
	return &Rejection{
		Reason: Reason(refused.Reason),
		Err:    &TokenError{Reason: Reason(refused.Reason), Claim: refused.Claim, Got: refused.Got, Want: refused.Want, err: err},
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

func identityOf(t *token.Token, fingerprint [sha256.Size]byte) Identity {
	return Identity{
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
