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

// Config configures a [Document]. Only URL is required; a zero or negative number
// means the default.
type Config struct {
	// URL is the absolute URL of the document, without user info or fragment: https,
	// or http on a loopback host. It also names the document in logs and in File. An
	// invalid URL fails each fetch with the class [BadURL].
	URL string

	// Locate, if set, returns before each fetch the current URL of the document; URL
	// then only names it. Locate must return when ctx ends. If URL is https, every
	// located URL must be https too.
	Locate func(ctx context.Context) (string, error)

	// Client sends the requests. Nil means a client with a transport of its own.
	// Redirect policy and cookie jar of Client are ignored, and plain http goes
	// through [Transport].
	Client *http.Client

	// MaxBytes bounds the body, after decompression.
	MaxBytes int64

	// Timeout bounds one fetch, from Locate to the last byte of the body.
	Timeout time.Duration

	// MinInterval is the shortest time between the beginnings of two fetches.
	MinInterval time.Duration

	// SoftTTL is the age at which a copy is refreshed in the background, plus or
	// minus a tenth. If the issuer sends a shorter Cache-Control max-age (RFC 9111
	// section 5.2.2.1), that applies, but at least one minute.
	SoftTTL time.Duration

	// HardTTL is the age at which a copy that could not be refreshed is no longer
	// served. The age is counted from the beginning of the fetch; with File, also
	// across restarts.
	HardTTL time.Duration

	// Accept, if set, checks each new copy before it is served. Calls do not overlap,
	// and each has a greater Sequence than the one before. If Accept returns an error,
	// the last valid copy stays.
	Accept func(Copy) error

	// File, if set, is the path of a file that holds the last valid copy for the next
	// start. It is replaced atomically and has mode 0600. A file that is of another
	// URL, older than HardTTL, damaged, writable by others, or owned by another user
	// than that of the process and root is ignored, and the reason logged. On Windows,
	// only the access control of its folder protects it.
	File string

	// Other, if set, returns the document that an issuer can publish in place of this one.
	// An issuer needs only one of the two: status 404 of this one is logged at Debug, unless
	// the other does not exist either. Each of the two must name the other.
	Other func() *Document

	// Logger receives one line when the document becomes unavailable and one when it
	// is available again. Nil discards them. An error of Accept or Locate with a method
	// Logged() bool that returns true is logged at Debug only.
	Logger *slog.Logger

	// Fetched, if set, is called when a fetch has ended, before those who wait for it go on. It
	// must return quickly.
	Fetched func(Fetch)
}

// Fetch describes a fetch that has ended.
type Fetch struct {
	Error    Class // empty if it brought a new copy
	Duration time.Duration
}

// Copy is one fetched copy of a document. Callers share Body and must not modify it.
type Copy struct {
	Body      []byte    // one JSON object, byte for byte as received, decompressed
	FetchedAt time.Time // when the fetch began
	Expires   time.Time // FetchedAt plus HardTTL
	Sequence  uint64    // the number of the fetch, from 1; see [Document.Started]
}

// Document is one JSON document, kept fresh. Its methods may be called
// concurrently. Create it with [New], and [Document.Close] it after use; it does no
// I/O before its first use.
type Document struct {
	cfg    Config
	client *http.Client
	log    *slog.Logger

	ctx        context.Context // ends with Close
	cancel     context.CancelFunc
	goroutines sync.WaitGroup
	firstUse   sync.Once

	current atomic.Pointer[Copy]
	absent  atomic.Bool   // whether the newest fetch ended with status 404
	started atomic.Uint64 // fetches; the number of the newest

	// From its first use until Close, a document has either a running fetch or a
	// timer for the next one, so that it recovers from any failure without a caller.
	mu               sync.Mutex
	closed           bool
	running          *runningFetch // nil if there is none
	timer            *time.Timer
	nextAllowed      time.Time // no fetch begins earlier
	lastErr          *FetchError
	failuresInSeries int // since the last success
	failures         uint64
	loaded           bool // whether the first copy came from file

	file savedFile
}

// New returns the document that cfg describes.
func New(cfg Config) *Document {
	cfg.MaxBytes = positiveOr(cfg.MaxBytes, DefaultMaxBytes)
	cfg.Timeout = positiveOr(cfg.Timeout, DefaultTimeout)
	cfg.MinInterval = positiveOr(cfg.MinInterval, DefaultMinInterval)
	cfg.SoftTTL = positiveOr(cfg.SoftTTL, DefaultSoftTTL)
	cfg.HardTTL = positiveOr(cfg.HardTTL, DefaultHardTTL)
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
		file:   savedFile{path: cfg.File, url: cfg.URL, maxBytes: cfg.MaxBytes, ownerOf: ownerOf},
	}
}

func positiveOr[N int64 | time.Duration](n, otherwise N) N {
	if n > 0 {
		return n
	}
	return otherwise
}

// Get returns the current copy. If there is none, or it is older than HardTTL, Get
// waits for a fetch. The error is always an [*UnavailableError]; if ctx ends first,
// it wraps the cause of ctx, and the fetch continues for other callers.
func (d *Document) Get(ctx context.Context) (Copy, error) {
	d.start()
	var after uint64
	if c := d.current.Load(); c != nil {
		if time.Now().Before(c.Expires) {
			return *c, nil
		}
		after = c.Sequence
	}
	return d.Refetch(ctx, after)
}

// Refetch returns a copy whose Sequence is greater than after. It waits for the
// running fetch, if there is one, and otherwise begins one if MinInterval allows it.
// The error is always an [*UnavailableError]. It wraps
//   - [ErrTooSoon], if the last fetch succeeded and the next may not begin yet,
//   - the [*FetchError] of the last fetch, if that failed,
//   - the cause of ctx, if ctx ends first.
func (d *Document) Refetch(ctx context.Context, after uint64) (Copy, error) {
	d.start()
	c, f, err := d.newerOrRunning(after)
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

// Started returns how many fetches have begun; loading File counts as one. A copy
// whose Sequence is greater than an earlier result of Started was fetched entirely
// after that call.
func (d *Document) Started() uint64 { return d.started.Load() }

// Close ends the running fetch, waits for it, and prevents all later ones. Waiting
// callers get an error.
func (d *Document) Close() {
	d.mu.Lock()
	d.closed = true
	if d.timer != nil {
		d.timer.Stop()
	}
	d.mu.Unlock()
	d.cancel()
	d.goroutines.Wait()
}

// Stats is a snapshot of the counters of a [Document].
type Stats struct {
	Fetches   uint64        // begun
	Failures  uint64        // fetches that ended without a new copy
	LastError Class         // of the last fetch; empty if it succeeded
	Age       time.Duration // of the current copy; 0 if there is none
	Sequence  uint64        // of the current copy; 0 if there is none
}

// Stats returns the current counters.
func (d *Document) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Stats{Fetches: d.started.Load(), Failures: d.failures}
	if d.loaded {
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
