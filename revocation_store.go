package gatehouse

import (
	"context"
	"errors"
	"time"
)

// RevocationStore holds the denials that several processes share, in an existing engine. The
// modules store/redis and store/postgres implement it. Requests never wait for the store: each
// process keeps a table of its own, which the store feeds; see [Config.Revocations].
//
// A store keeps an ordered log of the denials that were appended. A position is a place in that
// log, as a text that only the store understands. A store need not keep a denial that has ended
// ([Denial.Until]), and may return each denial more than once. Denials have the form that
// [Guard.Deny] gives them: their times are in UTC and whole milliseconds, and each text is
// UTF-8 without NUL and has at most 1024 bytes. Tests can use gatehousetest.CheckRevocationStore.
//
// The methods must be safe for concurrent use, and must return soon after ctx ends.
type RevocationStore interface {
	// Append adds denials to the log, at most 500, and returns when the store holds all of them. It
	// may be repeated with the same denials.
	Append(ctx context.Context, denials []Denial) error

	// Snapshot returns the denials that have not ended, and a position: everything that was
	// appended before that position is among them.
	Snapshot(ctx context.Context) (denials []Denial, position string, err error)

	// Watch calls receive with the denials that were appended after position, in order,
	// within a second after each was appended, and with the position after them. While there
	// are none, it calls receive at least every two seconds with no denials, as a sign that the
	// store is reachable. It does not call receive before the store has answered.
	//
	// Watch returns an error when the connection fails or ctx ends, and [ErrPositionLost] if
	// it cannot be certain to deliver all that was appended after position, for example because
	// the log was trimmed or the store has lost data.
	Watch(ctx context.Context, position string, receive func(denials []Denial, position string)) error
}

var (
	// ErrPositionLost is returned by [RevocationStore] if a position is no longer known. The
	// guard then loads a snapshot.
	ErrPositionLost = errors.New("gatehouse: the position in the revocation store is no longer known")

	// ErrDenialNotShared means that a denial is in effect in this process, but that
	// [Config.Revocations] did not take it; see [Guard.Deny].
	ErrDenialNotShared = errors.New("gatehouse: the denial is in effect in this process only")

	// ErrRevocationsNotLoaded is returned by [Guard.Ready] before the first snapshot of
	// [Config.Revocations] was loaded, and if the store has more denials than the guard can hold.
	ErrRevocationsNotLoaded = errors.New("gatehouse: the revocations are not loaded")
)

// RevocationStats is the state of the deny list and of [Config.Revocations]. Without a store,
// only Count is set.
type RevocationStats struct {
	// Shared reports whether [Config.Revocations] is set.
	Shared bool
	// Count is the number of denials in the table that have not ended.
	Count int
	// Loaded reports whether a snapshot was loaded since the guard was made.
	Loaded bool
	// Connected reports whether the store is being watched.
	Connected bool
	// Lag is the time since the store last answered. Everything that was appended earlier
	// is in the table. It is 0 before the first answer.
	Lag time.Duration
	// LastEvent is when a denial last arrived from the store; zero if none did.
	LastEvent time.Time
	// Received counts the denials that arrived from the store, those of snapshots excluded.
	Received uint64
	// Snapshots counts the snapshots that were loaded.
	Snapshots uint64
	// Failures counts the attempts to load a snapshot, to watch or to append that failed.
	Failures uint64
	// Unshared is the number of denials of this process that the store has not taken yet.
	Unshared int
	// Invalid counts the denials of the store that were ignored because they match every
	// token, or have a text that Deny rejects.
	Invalid uint64
	// Dropped counts the denials of the store that did not fit into the table. Tokens that
	// they should reject are accepted. [Guard.Ready] fails while this lasts.
	Dropped uint64
}
