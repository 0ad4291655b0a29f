package revocationport

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/revocationstore"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

const (
	// maxBody bounds a request in bytes. It is more than the largest revocation.
	maxBody = 16 << 10
	// storeTimeout bounds one operation of the store.
	storeTimeout = 10 * time.Second
	// warnInterval is the time between two warnings about a wrong key.
	warnInterval = 10 * time.Second
	// maxReason bounds the text of an error in bytes.
	maxReason = 500
)

// Config configures [New]. All fields are required.
type Config struct {
	// Key authorizes each request, as a Bearer token (RFC 6750 §2.1). It has at least MinKey bytes.
	Key gatehouse.Secret
	// Store returns the store of the guards.
	Store func() *revocationstore.Store
	// Guards returns the guards, whose providers have the issuers that a revocation may name.
	Guards func() []*gatehouse.Guard
	Logger *slog.Logger
}

// Answer is the answer to a request.
type Answer struct {
	Status      string       `json:"status"`           // "revoked", "listed" or "rejected"
	Reason      string       `json:"reason,omitempty"` // why the request was rejected
	Revocations []Revocation `json:"revocations,omitempty"`
	Store       string       `json:"store,omitempty"`
	Shared      bool         `json:"shared"` // whether other gateways know the revocations, and this one after a restart
}

// handler serves the revocations.
type handler struct {
	Config
	key [sha256.Size]byte

	mu       sync.Mutex
	warnedAt time.Time
}

// New returns the handler: GET lists the revocations, and POST adds the one in its body. Each request needs
// the key, and the handler must be reachable on loopback only.
func New(cfg Config) http.Handler {
	h := &handler{Config: cfg, key: sha256.Sum256([]byte(cfg.Key))}
	h.Key = ""
	return h
}

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.authorized(r) {
		h.warn()
		w.Header().Set("WWW-Authenticate", "Bearer")
		reject(w, http.StatusUnauthorized, "the request does not have the key; send that of operator.revoke_key as Authorization: Bearer KEY")
		return
	}
	store := h.Store()
	if store == nil {
		reject(w, http.StatusServiceUnavailable, "the gateway has no store of revocations; restart it, which applies the changed section operator")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	if r.Method == http.MethodPost {
		h.add(ctx, w, r, store)
		return
	}
	denials, _, err := store.Snapshot(ctx)
	if err != nil {
		reject(w, http.StatusServiceUnavailable, fmt.Sprintf("%s: reading the revocations: %v", store, err))
		return
	}
	answer(w, http.StatusOK, Answer{Status: "listed", Revocations: ListOf(denials), Store: store.String(), Shared: !store.InMemory()})
}

// authorized reports whether the request has the key. The time that it takes does not depend on the key.
func (h *handler) authorized(r *http.Request) bool {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return false
	}
	scheme, key, _ := strings.Cut(values[0], " ")
	sum := sha256.Sum256([]byte(key))
	return subtle.ConstantTimeCompare(sum[:], h.key[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}

// warn logs that a request did not have the key, at most once in warnInterval.
func (h *handler) warn() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.warnedAt) > warnInterval {
		h.warnedAt = time.Now()
		h.Logger.Warn("rejecting a request for revocations that does not have the key")
	}
}

// add adds the revocation in the body of r to the store.
func (h *handler) add(ctx context.Context, w http.ResponseWriter, r *http.Request, store *revocationstore.Store) {
	status, denials, err := h.read(w, r)
	if err != nil {
		reject(w, status, err.Error())
		return
	}
	if err := store.Append(ctx, denials); errors.Is(err, revocationstore.ErrFull) {
		reject(w, http.StatusInsufficientStorage, err.Error()+"; wait until some have ended, and use a shorter time")
		return
	} else if err != nil {
		reject(w, http.StatusServiceUnavailable, fmt.Sprintf("%s: appending the revocation: %v", store, err))
		return
	}
	h.Logger.Info("added a revocation", "until", denials[0].Until, "issuers", len(denials), "store", store.String())
	answer(w, http.StatusOK, Answer{Status: "revoked", Revocations: ListOf(denials), Store: store.String(), Shared: !store.InMemory()})
}

// read returns the denials of the revocation in the body of r, or the status of the rejection and its reason.
func (h *handler) read(w http.ResponseWriter, r *http.Request) (status int, denials []gatehouse.Denial, err error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return http.StatusRequestEntityTooLarge, nil, fmt.Errorf("the body is larger than %d bytes", maxBody)
	} else if err != nil {
		return http.StatusBadRequest, nil, errors.New("the body did not arrive")
	}
	var revocation Revocation
	if err := jsonv2.Unmarshal(body, &revocation, jsonv2.RejectUnknownMembers(true)); err != nil {
		return http.StatusBadRequest, nil, fmt.Errorf(`the body is not a revocation: %w; write it like {"subject": "user_2abc", "until": "2006-01-02T15:04:05Z"}`, err)
	}
	d, err := revocation.denial(time.Now())
	if err != nil {
		return http.StatusBadRequest, nil, err
	}
	var providers []gatehouse.Provider
	for _, guard := range h.Guards() {
		providers = append(providers, guard.Providers()...)
	}
	denials, err = revocationstore.WithIssuers(d, providers)
	if fault := (*revocationstore.IssuerError)(nil); errors.As(err, &fault) {
		return http.StatusBadRequest, nil, fmt.Errorf("%w; set issuer to one of %s", err, strings.Join(fault.Issuers, ", "))
	}
	return 0, denials, err
}

func reject(w http.ResponseWriter, status int, reason string) {
	answer(w, status, Answer{Status: "rejected", Reason: quote.Clip(reason, maxReason)})
}

func answer(w http.ResponseWriter, status int, a Answer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.Encode(a)
}
