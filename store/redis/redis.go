// Package redis shares revocations and rate limits between processes through Redis 6.2 or later, or
// Valkey: its [Store] is the Revocations of a gatehouse.Config, and its [Limiter] the Shared of its
// RateLimits.
//
//	client := redis.NewClient(&redis.Options{Addr: "redis:6379", ContextTimeoutEnabled: true}) // go-redis
//	store, err := gatehouseredis.New(gatehouseredis.Config{Client: client})
//	…
//	guard, err := gatehouse.New(gatehouse.Config{Revocations: store, …})
//
// The client is go-redis' own, so TLS, Sentinel, Cluster, user, password and timeouts are set
// there ([redis.UniversalOptions] has all of them).
//
// # What is stored
//
// A Store has two keys, which one transaction of Append changes together, and which are in one slot of a
// cluster. {prefix}:denials is a sorted set: the denials, by the time of their end. A snapshot is
// read from it. {prefix}:log is a stream of the same denials in the order in which they were
// appended, which each process watches with XREAD. Denials that have ended are removed from the
// set a minute later, with the next Append or Snapshot. The stream is limited to about 10,000
// entries, and each Snapshot removes those that are older than an hour, except the last one. A
// process that was away for longer loads the snapshot again. Guards load one every ten minutes.
//
// Redis must save its data (appendonly yes), or a restart forgets the revocations. Processes that
// run still have them, and append them again.
//
// # Permissions
//
// The user of the client needs these, for the prefix "gatehouse":
//
//	ACL SETUSER gatehouse on >PASSWORD ~{gatehouse}:* +multi +exec +discard +zadd +zremrangebyscore +zrangebyscore +xadd +xread +xrange +xrevrange +xtrim +hello +ping
//
// and for a [Limiter] these in addition:
//
//	ACL SETUSER gatehouse ~gatehouse:limit:* +evalsha +eval +time +get +set +del
package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/redis/go-redis/v9"
)

const (
	// DefaultPrefix is the prefix of the keys if [Config.Prefix] is empty.
	DefaultPrefix = "gatehouse"

	maxPrefix = 200
	// maxSnapshot bounds what a snapshot reads. It is more than a guard can hold, so that the
	// guard notices that there are too many.
	maxSnapshot = 20_002
	// logLength is about how many entries the stream keeps, and logAge how long.
	logLength = 10_000
	logAge    = time.Hour
	// readCount bounds the entries of one XREAD, and readBlock its wait.
	readCount = 1000
	readBlock = time.Second
	// commandTimeout bounds each command of a watch, in addition to readBlock.
	commandTimeout = 3 * time.Second
	// keptAfterEnd is how long a denial is kept after its end, because clocks differ.
	keptAfterEnd = time.Minute

	// lastUntil is the last end of a denial, in milliseconds: that of the year 9999.
	lastUntil = 253402300799_000

	// emptyLog is the position before the first entry of the stream.
	emptyLog = "0-0"
	// field is the name of the value of an entry of the stream.
	field = "denial"
)

// Config configures a [Store]. Client is required.
type Config struct {
	// Client is the connection: a *redis.Client (also of NewFailoverClient, for Sentinel) or a
	// *redis.ClusterClient, for example from [redis.NewUniversalClient]. Its option
	// ContextTimeoutEnabled must be set, because a call could otherwise outlive its deadline.
	// It must not read from replicas (ReadOnly, RouteByLatency, RouteRandomly), which lag behind.
	// The store does not close it.
	Client redis.UniversalClient

	// Prefix begins the names of the keys: letters, digits and ._:-/ in any order. Servers
	// with the same prefix share their revocations. Empty means [DefaultPrefix].
	Prefix string
}

// Store is a [gatehouse.RevocationStore] in Redis. It is safe for concurrent use.
type Store struct {
	client redis.UniversalClient
	// denials is the sorted set, log the stream.
	denials, log string
	usesTLS      bool
}

var _ gatehouse.RevocationStore = (*Store)(nil)

// New validates cfg and returns its store. It opens no connection. Each fault is a
// *[gatehouse.ConfigError].
func New(cfg Config) (*Store, error) {
	var f faults
	checkClient(cfg.Client, f.add)
	prefix := f.prefix(cfg.Prefix)
	if err := errors.Join(f...); err != nil {
		return nil, err
	}
	return &Store{
		client:  cfg.Client,
		denials: "{" + prefix + "}:denials",
		log:     "{" + prefix + "}:log",
		usesTLS: usesTLS(cfg.Client),
	}, nil
}

func usesTLS(client redis.UniversalClient) bool {
	switch c := client.(type) {
	case *redis.Client:
		return c.Options().TLSConfig != nil
	case *redis.ClusterClient:
		return c.Options().TLSConfig != nil
	}
	return false
}

const prefixCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-/"

// checkClient reports the options of the client with which the store would not work.
func checkClient(client redis.UniversalClient, fault func(field, value, problem, fix string)) {
	withTimeout := true
	switch c := client.(type) {
	case nil:
		fault("Client", "", "is missing", "set it to a client of go-redis, like redis.NewClient(…)")
	case *redis.Client:
		withTimeout = c.Options().ContextTimeoutEnabled
	case *redis.ClusterClient:
		o := c.Options()
		withTimeout = o.ContextTimeoutEnabled
		if o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
			fault("Client", "", "reads from replicas, which lag behind", "leave ReadOnly, RouteByLatency and RouteRandomly unset")
		}
	case *redis.Ring:
		fault("Client", "", "is a redis.Ring, which moves keys when a server fails", "use redis.NewClusterClient or redis.NewFailoverClient")
	}
	if !withTimeout {
		fault("Client", "", "ignores the deadline of a context", "set ContextTimeoutEnabled in its options to true")
	}
}

// record is a denial as it is stored. Until is the score in the sorted set, so that the same
// denial with a later end replaces the earlier one; entries of the stream have it here. Times
// are in milliseconds since 1970.
type record struct {
	Issuer       string `json:"iss,omitempty"`
	TokenID      string `json:"jti,omitempty"`
	SessionID    string `json:"sid,omitempty"`
	Subject      string `json:"sub,omitempty"`
	ClientID     string `json:"client_id,omitempty"`
	Organization string `json:"org,omitempty"`
	IssuedBefore *int64 `json:"issued_before,omitempty"`
	Until        int64  `json:"until,omitempty"`
}

func recordOf(d *gatehouse.Denial) record {
	r := record{
		Issuer:       d.Issuer,
		TokenID:      d.TokenID,
		SessionID:    d.SessionID,
		Subject:      d.Subject,
		ClientID:     d.ClientID,
		Organization: d.Organization,
	}
	if !d.IssuedBefore.IsZero() {
		ms := d.IssuedBefore.UnixMilli()
		r.IssuedBefore = &ms
	}
	return r
}

// denial returns the denial that text is. One that cannot be read or has no end is empty, which the
// guard counts as invalid and logs. json would replace invalid UTF-8 by a character, and the denial
// would then match nothing.
func denial(text string, until int64) gatehouse.Denial {
	var r record
	if err := json.Unmarshal([]byte(text), &r); err != nil || !utf8.ValidString(text) {
		return gatehouse.Denial{}
	}
	if until == 0 {
		until = r.Until
	}
	if until == 0 {
		return gatehouse.Denial{}
	}
	d := gatehouse.Denial{
		Issuer:       r.Issuer,
		TokenID:      r.TokenID,
		SessionID:    r.SessionID,
		Subject:      r.Subject,
		ClientID:     r.ClientID,
		Organization: r.Organization,
		Until:        time.UnixMilli(min(until, lastUntil)).UTC(),
	}
	if r.IssuedBefore != nil {
		d.IssuedBefore = time.UnixMilli(*r.IssuedBefore).UTC()
	}
	return d
}

// Append implements [gatehouse.RevocationStore].
func (s *Store) Append(ctx context.Context, denials []gatehouse.Denial) error {
	commands, err := s.client.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		for i := range denials {
			r := recordOf(&denials[i])
			member, err := json.Marshal(r)
			if err != nil {
				return err
			}
			until := denials[i].Until.UnixMilli()
			tx.ZAddGT(ctx, s.denials, redis.Z{Score: float64(until), Member: string(member)})
			r.Until = until
			entry, err := json.Marshal(r)
			if err != nil {
				return err
			}
			tx.XAdd(ctx, &redis.XAddArgs{Stream: s.log, MaxLen: logLength, Approx: true, Values: []any{field, string(entry)}})
		}
		tx.ZRemRangeByScore(ctx, s.denials, "-inf", ended())
		return nil
	})
	return s.hint(cause(commands, err))
}

// ended returns the score up to which denials are removed.
func ended() string {
	return "(" + strconv.FormatInt(time.Now().Add(-keptAfterEnd).UnixMilli(), 10)
}

// Snapshot implements [gatehouse.RevocationStore].
func (s *Store) Snapshot(ctx context.Context) (denials []gatehouse.Denial, position string, err error) {
	// The position is read first: the set then has all denials up to it. A transaction would not
	// work while the server has no memory left, and a process could not start.
	last, err := s.client.XRevRangeN(ctx, s.log, "+", "-", 1).Result()
	if err != nil {
		return nil, "", s.hint(err)
	}
	members, err := s.client.ZRangeByScoreWithScores(ctx, s.denials, &redis.ZRangeBy{
		Min:   "(" + strconv.FormatInt(time.Now().UnixMilli(), 10),
		Max:   "+inf",
		Count: maxSnapshot,
	}).Result()
	if err != nil {
		return nil, "", s.hint(err)
	}
	for _, z := range members {
		text, _ := z.Member.(string)
		// Another program may have set the score to +inf, which an integer cannot have.
		denials = append(denials, denial(text, int64(min(z.Score, lastUntil))))
	}
	position = emptyLog
	if len(last) > 0 {
		position = last[0].ID
	}
	return denials, position, s.hint(s.trim(ctx, position))
}

// trim removes the denials that have ended, and the entries of the stream that are older than
// logAge, except for the last one: a watch begins after it. A user of the client that may only
// read leaves this to others, and a server that has no memory left to later.
func (s *Store) trim(ctx context.Context, last string) error {
	_, err := s.client.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		tx.ZRemRangeByScore(ctx, s.denials, "-inf", ended())
		oldest := strconv.FormatInt(time.Now().Add(-logAge).UnixMilli(), 10)
		if last != emptyLog {
			tx.XTrimMinID(ctx, s.log, earlier(oldest, last))
		}
		return nil
	})
	if redis.HasErrorPrefix(err, "NOPERM") || redis.HasErrorPrefix(err, "EXECABORT") {
		return nil
	}
	return err
}

// earlier returns the smaller one of a time in milliseconds and the ID of an entry, whose first
// part is a time in milliseconds.
func earlier(ms, id string) string {
	of := func(s string) int64 {
		first, _, _ := strings.Cut(s, "-")
		n, _ := strconv.ParseInt(first, 10, 64)
		return n
	}
	if of(ms) < of(id) {
		return ms
	}
	return id
}

// Watch implements [gatehouse.RevocationStore].
func (s *Store) Watch(ctx context.Context, position string, receive func([]gatehouse.Denial, string)) error {
	err := s.watch(ctx, position, receive)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.hint(err)
}

func (s *Store) watch(ctx context.Context, position string, receive func([]gatehouse.Denial, string)) error {
	// The first read does not wait: what was appended meanwhile is known with the first call of receive.
	block := time.Duration(-1)
	for {
		entries, err := s.read(ctx, position, block)
		if err != nil {
			return err
		}
		// The entries are all that were added after the position if the one at the position exists
		// now. It does not if the stream was trimmed, or if the server has lost data while connected.
		if position != emptyLog || len(entries) == readCount {
			if exists, err := s.exists(ctx, position); err != nil {
				return err
			} else if !exists {
				return gatehouse.ErrPositionLost
			}
		}
		denials := make([]gatehouse.Denial, len(entries))
		for i, entry := range entries {
			text, _ := entry.Values[field].(string)
			denials[i] = denial(text, 0)
		}
		if len(entries) > 0 {
			position = entries[len(entries)-1].ID
		}
		receive(denials, position)
		block = readBlock
	}
}

// read returns the entries after the position. It waits for them for block, and not at all if that is negative.
func (s *Store) read(ctx context.Context, position string, block time.Duration) ([]redis.XMessage, error) {
	if !isEntryID(position) {
		return nil, fmt.Errorf("%w: %.40q is not a position", gatehouse.ErrPositionLost, position)
	}
	within, cancel := context.WithTimeout(ctx, max(block, 0)+commandTimeout)
	defer cancel()
	streams, err := s.client.XRead(within, &redis.XReadArgs{
		Streams: []string{s.log, position},
		Count:   readCount,
		Block:   block,
	}).Result()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, redis.Nil) || err == nil && len(streams) == 0:
		return nil, nil
	case err != nil:
		return nil, err
	}
	return streams[0].Messages, nil
}

// exists reports whether the stream has the entry at the position. A stream loses entries only at its
// beginning, so all later ones exist too.
func (s *Store) exists(ctx context.Context, position string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	entries, err := s.client.XRange(ctx, s.log, position, position).Result()
	return len(entries) > 0, err
}

// isEntryID reports whether s is the ID of an entry of a stream.
func isEntryID(s string) bool {
	ms, sequence, found := strings.Cut(s, "-")
	_, err1 := strconv.ParseUint(ms, 10, 64)
	_, err2 := strconv.ParseUint(sequence, 10, 64)
	return found && err1 == nil && err2 == nil
}
