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

	"github.com/gatehouse-mcp/gatehouse/internal/remote"
)

const (
	maxDocument = 1 << 20 // bytes of a key set
	maxKeyID    = 256     // bytes of a kid
)

// Config says whose keys to keep. Only URL is required; a zero or negative
// number means the default of package remote.
type Config struct {
	// URL is the issuer's key set (jwks_uri, RFC 8414 section 2): https, or http
	// on a loopback host.
	URL string

	// Locate, if set, is asked before each fetch where the key set is now; URL
	// then only names it, in logs and in File. See [remote.Config].
	Locate func(ctx context.Context) (string, error)

	// Client sends the requests; nil means one of our own.
	Client *http.Client

	// Algorithms are the signature algorithms whose keys are kept, by their RFC
	// 7518 names and "EdDSA" or "Ed25519". Empty means all of [Algorithms]. An RSA
	// key that names no algorithm is taken for the first one here that RSA can do.
	Algorithms []string

	Timeout     time.Duration // of one fetch; 0 means 5 s
	MinInterval time.Duration // between the beginnings of two fetches; 0 means 4 s
	SoftTTL     time.Duration // age at which keys are refreshed; 0 means 10 min
	HardTTL     time.Duration // age at which keys are no longer used; 0 means 24 h

	// File, if set, keeps the last good key set for a start while the issuer is
	// away. See [remote.Config].
	File string

	// Logger is told of trouble with the issuer and of keys that were skipped.
	// Nil discards.
	Logger *slog.Logger
}

// UnavailableError says that the keys are out of reach now; its method
// RetryAfter says when to ask again. Its text is for logs only.
type UnavailableError = remote.UnavailableError

// Set is the signing keys of one issuer. Its methods may be called
// concurrently. Create it with [New]; it does no I/O before its first use.
type Set struct {
	doc        *remote.Document
	log        *slog.Logger
	algorithms []string

	current atomic.Pointer[snapshot]
	asked   asked
	unknown atomic.Uint64
}

// New returns the set of keys that cfg describes.
func New(cfg Config) *Set {
	s := &Set{log: cfg.Logger, algorithms: canonical(cfg.Algorithms)}
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
	})
	return s
}

// Lookup returns the keys with that kid and alg, and the generation they are
// of: each an *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey. The slice
// is shared and must not be modified.
//
// tried is 0 at first. A caller that found none of the keys to verify a
// signature calls again with the generation it tried: the issuer may have
// rotated under the same kid. If the generation is the same again, or there are
// no keys, the answer is final.
//
// No keys and no error mean that the issuer has no such key. The error is an
// [*UnavailableError], wrapped: the keys are out of reach, or the kid is
// unknown and it is too soon to ask the issuer about it.
func (s *Set) Lookup(ctx context.Context, kid, alg string, tried uint64) (found []crypto.PublicKey, generation uint64, err error) {
	snap, err := s.usable(ctx)
	if err != nil {
		return nil, 0, err
	}
	n := name{kid, canonicalAlgorithm(alg)}
	found = snap.keys[n]
	switch {
	case len(found) == 0:
		snap, err = s.search(ctx, n)
	case tried == snap.generation:
		snap = s.renew(ctx, snap)
	default:
		return found, snap.generation, nil
	}
	if err != nil {
		return nil, 0, err
	}
	return snap.keys[n], snap.generation, nil
}

// usable returns the keys at hand, waiting for them if there are none.
func (s *Set) usable(ctx context.Context) (*snapshot, error) {
	if snap := s.current.Load(); snap.usable() {
		return snap, nil
	}
	if _, err := s.doc.Get(ctx); err != nil {
		return nil, unavailable(err)
	}
	return s.current.Load(), nil
}

// renew asks for newer keys after a bad signature under a known kid, and
// returns what there is then.
//
// Bad signatures cost an attacker nothing, so they share the one limiter of all
// fetches. They cannot starve a search for an unknown kid: whoever begins a
// fetch, it brings the whole set, and the search is served by it as by its own.
// At worst bad signatures take each fetch as soon as it is allowed; then a new
// key is known within one interval, and until then its holders are told to come
// back, not that their token is bad. A failed or limited fetch is no error here:
// against the keys that are in force the signature is bad.
func (s *Set) renew(ctx context.Context, tried *snapshot) *snapshot {
	if _, err := s.doc.Refetch(ctx, tried.sequence); err != nil {
		s.log.Debug("bad signature under a known kid, no newer keys", "error", err)
	}
	return s.current.Load()
}

// search returns a set that settles whether n exists: one that has it, or one
// fetched wholly after n was first asked for. Only such a set proves that a kid
// is not one just published.
func (s *Set) search(ctx context.Context, n name) (*snapshot, error) {
	s.unknown.Add(1)
	if !s.possible(n) {
		return s.current.Load(), nil
	}
	begun := s.asked.note(n, s.doc.Started())
	for {
		snap := s.current.Load()
		if len(snap.keys[n]) > 0 {
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
		// A fetch that was under way already does not settle it, the next one does.
		if snap = s.current.Load(); snap.sequence > begun {
			s.asked.note(n, begun) // there may have been no room before
			return snap, nil
		}
	}
}

// possible reports whether a key set could hold n at all. No fetch is spent on
// others.
func (s *Set) possible(n name) bool {
	return n.kid != "" && len(n.kid) <= maxKeyID && slices.Contains(s.algorithms, n.alg)
}

func unavailable(err error) error { return fmt.Errorf("fetching keys: %w", err) }

// Generation returns the number of the key material in force. It grows when a
// key comes or goes, and only then. It is 0 while there are no keys to use:
// before the first fetch, and after HardTTL without the issuer.
func (s *Set) Generation() uint64 {
	if snap := s.current.Load(); snap.usable() {
		return snap.generation
	}
	return 0
}

// Ready waits for the first fetch and reports whether there are keys to use.
// After an error the set goes on trying on its own.
func (s *Set) Ready(ctx context.Context) error {
	_, err := s.usable(ctx)
	return err
}

// Close ends all fetching. Keys at hand stay in use until HardTTL.
func (s *Set) Close() { s.doc.Close() }

// Stats is a moment's account of a [Set].
type Stats struct {
	remote.Stats

	Generation uint64   // see [Set.Generation]
	Keys       int      // in force
	Skipped    []string // why other keys of the issuer's set are not used, one line each
	Unknown    uint64   // lookups of a kid that was not in the set at hand
}

// Stats returns the account of this moment.
func (s *Set) Stats() Stats {
	stats := Stats{Stats: s.doc.Stats(), Generation: s.Generation(), Unknown: s.unknown.Load()}
	if snap := s.current.Load(); snap.usable() {
		stats.Skipped = slices.Clone(snap.skipped)
		for _, list := range snap.keys {
			stats.Keys += len(list)
		}
	}
	return stats
}
