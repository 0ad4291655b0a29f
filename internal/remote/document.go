package remote

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of [Config].
const (
	DefaultMaxBytes    = 1 << 20
	DefaultTimeout     = 5 * time.Second
	DefaultMinInterval = 4 * time.Second
	DefaultSoftTTL     = 10 * time.Minute
	DefaultHardTTL     = 24 * time.Hour
)

// Config says which document to keep and how. Only URL is required; a zero or
// negative number means the default.
type Config struct {
	// URL is the absolute URL of the document: https, or http on a loopback host
	// (see [CheckURL]). It also names the document in logs and in File.
	URL string

	// Locate, if set, is asked before each fetch where the document is now, and
	// URL only names it. It must return within ctx. While URL is https, so must
	// be every located URL.
	Locate func(ctx context.Context) (string, error)

	// Client sends the requests; nil means one of our own. Its redirect policy
	// and cookie jar are not used.
	Client *http.Client

	// MaxBytes bounds the body, after decompression.
	MaxBytes int64

	// Timeout bounds one fetch from Locate to the last byte of the body.
	Timeout time.Duration

	// MinInterval is the least time between the beginnings of two fetches.
	MinInterval time.Duration

	// SoftTTL is the age at which a copy is refreshed in the background, give or
	// take a tenth. A shorter Cache-Control max-age of the issuer (RFC 9111
	// section 5.2.2.1) wins, but not below one minute.
	SoftTTL time.Duration

	// HardTTL is the age at which a copy that could not be refreshed is no
	// longer served. It counts from the beginning of the fetch, and on through
	// restarts when File is set.
	HardTTL time.Duration

	// Accept, if set, sees each new copy before it is served. Calls do not
	// overlap and Sequence only grows. When Accept returns an error the last good
	// copy stays.
	Accept func(Copy) error

	// File, if set, keeps the last good copy for the next start. It is written
	// atomically with mode 0600; a file of another URL, older than HardTTL,
	// damaged, or writable by others is refused.
	File string

	// Logger receives one line when the document goes out of reach and one when
	// it is back. Nil discards.
	Logger *slog.Logger
}

// Copy is one fetched copy of a document. Body is shared: it must not be
// modified.
type Copy struct {
	Body        []byte // one JSON object, byte for byte as received, decompressed
	ContentType string // as received; may be empty
	ETag        string // as received; may be empty

	FetchedAt time.Time // when the fetch began
	Expires   time.Time // FetchedAt plus HardTTL
	Sequence  uint64    // the number of the fetch, from 1; see [Document.Started]
}

// Document is one JSON document, kept fresh. Its methods may be called
// concurrently. Create it with [New]; it does no I/O before its first use.
type Document struct {
	cfg    Config
	client *http.Client
	log    *slog.Logger

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup
	opened sync.Once

	current atomic.Pointer[Copy]
	started atomic.Uint64

	// From its first use until Close a document has either a flight or an armed
	// timer, so it always finds back to the issuer on its own.
	mu       sync.Mutex
	closed   bool
	flight   *flight
	timer    *time.Timer
	next     time.Time // no fetch begins earlier
	lastErr  *FetchError
	streak   int // failures since the last success
	failures uint64

	file keptFile
}

// New returns the document that cfg describes.
func New(cfg Config) *Document {
	cfg.MaxBytes = positive(cfg.MaxBytes, DefaultMaxBytes)
	cfg.Timeout = positive(cfg.Timeout, DefaultTimeout)
	cfg.MinInterval = positive(cfg.MinInterval, DefaultMinInterval)
	cfg.SoftTTL = positive(cfg.SoftTTL, DefaultSoftTTL)
	cfg.HardTTL = positive(cfg.HardTTL, DefaultHardTTL)
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Document{
		cfg:    cfg,
		client: newClient(cfg.Client),
		log:    log.With("url", cfg.URL),
		ctx:    ctx,
		cancel: cancel,
		file:   keptFile{path: cfg.File, url: cfg.URL, maxBytes: cfg.MaxBytes},
	}
}

func positive[N int64 | time.Duration](n, otherwise N) N {
	if n > 0 {
		return n
	}
	return otherwise
}

// Get returns the copy at hand. If there is none, or it is older than
// HardTTL, Get waits for a fetch. The error is always an [*UnavailableError];
// when ctx ends first, it wraps the cause of ctx, and the fetch goes on for
// others.
func (d *Document) Get(ctx context.Context) (Copy, error) {
	d.open()
	var after uint64
	if c := d.current.Load(); c != nil {
		if time.Now().Before(c.Expires) {
			return *c, nil
		}
		after = c.Sequence
	}
	return d.Refetch(ctx, after)
}

// Refetch returns a copy whose Sequence is greater than after. It joins the
// fetch under way, if any, else begins one if MinInterval allows. The error is
// always an [*UnavailableError]: it wraps [ErrTooSoon] if the last fetch was
// good and the next one may not begin yet, the last [*FetchError] if that fetch
// was not, or the cause of ctx.
func (d *Document) Refetch(ctx context.Context, after uint64) (Copy, error) {
	d.open()
	c, f, err := d.newerOrJoin(after)
	switch {
	case err != nil:
		return Copy{}, err
	case c != nil:
		return *c, nil
	}
	select {
	case <-f.done:
		return f.copy, f.err
	case <-ctx.Done():
		return Copy{}, d.abandoned(ctx)
	}
}

// Started returns how many fetches have begun; loading File counts as one. A
// copy whose Sequence is greater than an earlier result of Started was fetched
// wholly after that call.
func (d *Document) Started() uint64 { return d.started.Load() }

// Close ends the fetch under way and all later ones, and waits for it to end.
// Waiting callers get an error.
func (d *Document) Close() {
	d.mu.Lock()
	d.closed = true
	if d.timer != nil {
		d.timer.Stop()
	}
	d.mu.Unlock()
	d.cancel()
	d.work.Wait()
	if d.cfg.Client == nil {
		d.client.CloseIdleConnections()
	}
}

// Stats is a moment's account of a [Document].
type Stats struct {
	Fetches   uint64        // begun
	Failures  uint64        // of those, ended without a new copy
	LastError Class         // of the last fetch; empty if it was good
	Age       time.Duration // of the copy at hand; 0 if there is none
	Sequence  uint64        // of the copy at hand; 0 if there is none
}

// Stats returns the account of this moment.
func (d *Document) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Stats{Fetches: d.started.Load(), Failures: d.failures}
	if d.file.loaded {
		s.Fetches--
	}
	if d.lastErr != nil {
		s.LastError = d.lastErr.Class
	}
	if c := d.current.Load(); c != nil {
		s.Age, s.Sequence = time.Since(c.FetchedAt), c.Sequence
	}
	return s
}
