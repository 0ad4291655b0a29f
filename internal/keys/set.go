package keys

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
	"github.com/gatehouse-mcp/gatehouse/internal/remote"
)

const maxDocument = 1 << 20 // bytes of a key set

// Config describes one issuer's keys. Only URL is required; a zero or negative number
// means the default of package remote.
type Config struct {
	// URL is the issuer's key set (jwks_uri, RFC 8414 section 2): https, or http
	// on a loopback host.
	URL string

	// Locate, if set, is called before each fetch and returns the URL to fetch from;
	// URL then only names the set, in logs and in File. See [remote.Config].
	Locate func(ctx context.Context) (string, error)

	// Client sends the requests; nil means one that the set makes.
	Client *http.Client

	// Algorithms are the signature algorithms whose keys are kept, by the names of
	// package jose. Empty means all of them. A key that names no algorithm is kept for
	// all of them that keys of its type can use.
	Algorithms []string

	Timeout     time.Duration // of one fetch; 0 means 5 s
	MinInterval time.Duration // between the beginnings of two fetches; 0 means 4 s
	SoftTTL     time.Duration // age at which keys are refreshed; 0 means 10 min
	HardTTL     time.Duration // age at which keys are no longer used; 0 means 24 h

	// File, if set, stores the last usable key set, for a start while the issuer is
	// unavailable. See [remote.Config].
	File string

	// Logger receives failures of the issuer and keys that were skipped. Nil discards
	// them.
	Logger *slog.Logger

	// Fetched, if set, is called when a fetch has ended. It must return quickly.
	Fetched func(Fetch)
}

// Fetch is one fetch of the keys.
type Fetch = remote.Fetch

// UnavailableError means that the keys are not available now. Its method RetryAfter
// returns how long to wait. Its text is for logs only.
type UnavailableError = remote.UnavailableError

// Set is the signing keys of one issuer. Its methods may be called
// concurrently. Create it with [New] or [NewStatic]; it does no I/O before its first use.
type Set struct {
	doc        *remote.Document // nil if the keys are static
	log        *slog.Logger
	algorithms []string

	current  atomic.Pointer[snapshot]
	searches searches
}

// New returns the set of keys that cfg describes.
func New(cfg Config) *Set {
	s := &Set{log: cfg.Logger, algorithms: wantedAlgorithms(cfg.Algorithms)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.log = s.log.With("url", cfg.URL)
	s.doc = remote.New(remote.Config{
		URL:         cfg.URL,
		Locate:      cfg.Locate,
		Client:      cfg.Client,
		MaxBytes:    maxDocument,
		Timeout:     cfg.Timeout,
		MinInterval: cfg.MinInterval,
		SoftTTL:     cfg.SoftTTL,
		HardTTL:     cfg.HardTTL,
		Accept:      s.adopt,
		File:        cfg.File,
		Logger:      cfg.Logger,
		Fetched:     cfg.Fetched,
	})
	return s
}

// Find returns the keys with that kid that may be used with alg, and the generation of the
// set that they are from; see [Set.Generation]. Each key is an *rsa.PublicKey, an
// *ecdsa.PublicKey or an ed25519.PublicKey. The slice is shared and must not be modified.
//
// If kid is empty, Find returns all keys for alg. If no key of the set has that kid, Find
// returns the keys for alg that have no kid, if there are at most [jose.MaxCandidates]. See
// keySet.find.
//
// No keys and no error mean that the issuer has no such key. The error is an
// [*UnavailableError], wrapped: there are no keys, or the kid is unknown and it is too
// soon to fetch the set again.
func (s *Set) Find(ctx context.Context, kid, alg string) (found []crypto.PublicKey, generation uint64, err error) {
	snap, err := s.usable(ctx)
	if err != nil {
		return nil, 0, err
	}
	n := name{kid, jose.Canonical(alg)}
	found = snap.find(n)
	if len(found) == 0 {
		if snap, err = s.newer(ctx, snap, n); err != nil {
			return nil, 0, err
		}
		found = snap.find(n)
	}
	return found, snap.generation, nil
}

// Newer is Find for a caller that has tried the keys of a generation, and none of them
// made the signature: the issuer may have replaced a key and kept its kid, or published
// the key of the kid. Newer returns the keys of a newer set, which it fetches if fetching
// is allowed now. If the generation is the same, there is no newer set.
func (s *Set) Newer(ctx context.Context, kid, alg string, generation uint64) (found []crypto.PublicKey, newest uint64, err error) {
	snap, err := s.usable(ctx)
	if err != nil {
		return nil, 0, err
	}
	if snap.generation != generation {
		return s.Find(ctx, kid, alg)
	}
	n := name{kid, jose.Canonical(alg)}
	if snap, err = s.newer(ctx, snap, n); err != nil {
		return nil, 0, err
	}
	return snap.find(n), snap.generation, nil
}

// newer returns the set that is current after a fetch, if one is allowed. By tried, the
// keys for n are missing or did not make the signature. It searches for a kid that tried
// does not have, and otherwise renews: then the issuer may have changed a key that it has,
// or its algorithm.
func (s *Set) newer(ctx context.Context, tried *snapshot, n name) (*snapshot, error) {
	if !s.possible(n) {
		return tried, nil
	}
	if n.kid == "" && tried.has(n) || tried.kids[n.kid] {
		return s.renew(ctx, tried), nil
	}
	return s.search(ctx, n)
}

// usable returns the current keys. If there are none, it waits for a fetch.
func (s *Set) usable(ctx context.Context) (*snapshot, error) {
	if snap := s.current.Load(); snap.usable() {
		return snap, nil
	}
	if _, err := s.doc.Get(ctx); err != nil {
		return nil, unavailable(err)
	}
	return s.current.Load(), nil
}

// renew fetches newer keys after a bad signature under a known kid or without a kid, and
// returns the keys that are current then.
//
// Bad signatures cost an attacker nothing, so they share the one limiter of all
// fetches. They cannot starve a search for an unknown kid: whichever caller begins a
// fetch, it brings the whole set, and it serves the search as well as the search's own
// fetch would. At worst, bad signatures use up each fetch as soon as it is allowed. Then
// a new key is known within one interval, and until then a token with that key is
// answered with "try again later", not with "invalid". A failed or limited fetch is not
// an error here: by the current keys, the signature is bad.
func (s *Set) renew(ctx context.Context, tried *snapshot) *snapshot {
	if _, err := s.doc.Refetch(ctx, tried.sequence); err != nil {
		s.log.Debug("no newer keys for a bad signature", "error", err)
	}
	return s.current.Load()
}

// search returns a set that shows whether n exists: one that has it, or one whose
// fetch began after the first search for n. An older set does not show it: the key may
// have been published since.
func (s *Set) search(ctx context.Context, n name) (*snapshot, error) {
	begun := s.searches.note(n, s.doc.Started())
	for {
		snap := s.current.Load()
		if snap.has(n) {
			return snap, nil
		}
		settled := snap.sequence > begun || snap.retired[n]
		_, err := s.doc.Refetch(ctx, snap.sequence)
		switch {
		case settled && errors.Is(err, remote.ErrTooSoon):
			return snap, nil
		case err != nil:
			return nil, unavailable(err)
		}
		// A fetch that was running already is too old to show it; the next one is not.
		if snap = s.current.Load(); snap.sequence > begun {
			s.searches.note(n, begun) // the table may have been full before
			return snap, nil
		}
	}
}

// possible reports whether a newer key set could have n at all. For other names there is
// no fetch.
func (s *Set) possible(n name) bool {
	return s.doc != nil && len(n.kid) <= jose.MaxKeyID && slices.Contains(s.algorithms, n.alg)
}

func unavailable(err error) error { return fmt.Errorf("fetching keys: %w", err) }

// Generation returns the number of the current keys. It grows when a key is added or
// removed, and only then. It is 0 while there are no usable keys: before the first
// fetch, and after HardTTL without a fetch.
func (s *Set) Generation() uint64 {
	if snap := s.current.Load(); snap.usable() {
		return snap.generation
	}
	return 0
}

// Ready waits for the first fetch and returns an error if there are no usable keys.
// After an error, the set keeps fetching in the background.
func (s *Set) Ready(ctx context.Context) error {
	_, err := s.usable(ctx)
	return err
}

// Close ends all fetching. The current keys stay in use until HardTTL.
func (s *Set) Close() {
	if s.doc != nil {
		s.doc.Close()
	}
}

// Stats is the state of a [Set].
type Stats struct {
	remote.Stats

	Generation uint64 // see [Set.Generation]
	Keys       int    // usable ones
}

// Stats returns the current state.
func (s *Set) Stats() Stats {
	stats := Stats{Generation: s.Generation()}
	if s.doc != nil {
		stats.Stats = s.doc.Stats()
	}
	if snap := s.current.Load(); snap.usable() {
		stats.Keys = snap.count
	}
	return stats
}
