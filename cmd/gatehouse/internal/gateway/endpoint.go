package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/forwarded"
	"github.com/gatehouse-mcp/gatehouse/internal/clientaddr"
)

const (
	// defaultMaxListBytes bounds the answers that are read as a whole.
	defaultMaxListBytes = 16 << 20
	// copyBuffer is the size of the buffers with which answers are copied. With 8 KB, an answer of
	// 1 MB takes 40 % more CPU time.
	copyBuffer = 32 << 10
	// streamBuffer is that of streams without an end of their own, which hold one all the time.
	// Most events fit into it.
	streamBuffer = 2 << 10
)

// endpoint is one endpoint with its guard and backends.
type endpoint struct {
	config    Endpoint
	guard     *gatehouse.Guard
	forwarder *forwarded.Forwarder
	upstreams *upstreams
	proxy     *httputil.ReverseProxy
	streams   *httputil.ReverseProxy // the same, for streams without an end of their own
	lists     listPolicy

	identityHeaders []string          // all names that the forwarder may set
	clients         clientaddr.Finder // finds the address of a client behind trusted proxies
	logger          *slog.Logger
	scheme          string // of the public URL
	host            string // of the public URL
	public          bool   // whether callers without a token are let through for some operations
	stop            context.CancelFunc
	running         context.Context
	startOnce       sync.Once
}

func (g *Gateway) newEndpoint(config *Endpoint) (*endpoint, error) {
	e := &endpoint{config: *config, logger: g.logger}
	e.config.MaxListBytes = cmp.Or(e.config.MaxListBytes, defaultMaxListBytes)
	e.config.KeepAlive = cmp.Or(e.config.KeepAlive, defaultKeepAlive)
	e.lists.init(&e.config.Guard)
	faults := append(e.withoutEffect(config), keepAliveFault(config.KeepAlive))
	var err error
	if e.config.Guard.Logger == nil {
		e.config.Guard.Logger = g.logger
	}
	e.guard, err = gatehouse.New(e.config.Guard)
	faults = append(faults, err)
	e.upstreams, err = newUpstreams(e.config.Upstreams, e.config.HeaderTimeout, g.logger)
	faults = append(faults, err)
	for _, f := range e.config.Headers.Faults() {
		faults = append(faults, &gatehouse.ConfigError{Field: "Headers." + f.Field, Value: f.Value, Problem: f.Problem, Fix: f.Fix})
	}
	if e.config.DangerouslyForwardAccessToken && strings.EqualFold(e.config.Headers.Assertion, "Authorization") {
		faults = append(faults, &gatehouse.ConfigError{Field: "Headers.assertion", Value: e.config.Headers.Assertion,
			Problem: "is the header of the access token, which DangerouslyForwardAccessToken forwards", Fix: "remove one of the two"})
	}
	if err := errors.Join(faults...); err != nil {
		if e.guard != nil {
			e.guard.Close()
		}
		return nil, err
	}
	e.scheme, e.host, _ = strings.Cut(e.guard.Resource(), "://")
	e.host, _, _ = strings.Cut(e.host, "/")
	e.forwarder, err = forwarded.New(forwarded.Config{
		Headers:   e.config.Headers,
		Resource:  e.guard.Resource(),
		Issuer:    e.scheme + "://" + e.host,
		Principal: e.config.Principal || severalIssuers(e.guard),
		Keys:      g.keys,
	})
	if err != nil {
		return nil, err
	}
	e.identityHeaders = e.config.Headers.Names()
	e.clients = clientaddr.Finder{
		Trusted: e.config.Guard.TrustedProxies, Header: http.CanonicalHeaderKey(e.config.Guard.ClientAddressHeader),
	}
	e.public = slices.ContainsFunc(e.config.Guard.Requirements, func(r gatehouse.Requirement) bool { return r.Public })
	// Without a FlushInterval, the events of a stream and parts of unknown length are sent at once,
	// and a JSON answer with its header in one write.
	e.proxy = &httputil.ReverseProxy{
		Rewrite:        e.rewrite,
		Transport:      e.upstreams,
		ModifyResponse: e.modifyResponse,
		ErrorHandler:   e.answerFailure,
		ErrorLog:       slog.NewLogLogger(g.logger.Handler(), slog.LevelDebug),
		BufferPool:     buffers{},
	}
	streams := *e.proxy
	streams.BufferPool = streamBuffers{}
	e.streams = &streams
	e.running, e.stop = context.WithCancel(context.Background())
	return e, nil
}

// withoutEffect returns the settings that cannot take effect together with the others.
func (e *endpoint) withoutEffect(config *Endpoint) (faults []error) {
	add := func(field, value, problem, fix string) {
		faults = append(faults, &gatehouse.ConfigError{Field: field, Value: value, Problem: problem, Fix: fix})
	}
	if config.MaxListBytes != 0 && !e.lists.changes() && !e.lists.compares {
		add("MaxListBytes", strconv.FormatInt(config.MaxListBytes, 10), "has no effect, because lists are passed on unread",
			"remove it; lists are read if there are requirements")
	}
	if config.Principal && config.Headers.User == "" && config.Headers.Assertion == "" {
		add("Principal", "true", "has no effect, because no header names the user", "remove it, or name the header of the user in Headers")
	}
	return faults
}

// severalIssuers reports whether users with the same subject may be different people.
func severalIssuers(guard *gatehouse.Guard) bool {
	providers := guard.Providers()
	return len(providers) > 1 || len(providers[0].Tenants) > 1
}

// start fetches the keys of the provider, so that the first user does not wait for them, and
// begins the health checks. Later calls do nothing.
func (e *endpoint) start() {
	e.startOnce.Do(func() {
		go e.guard.Ready(e.running)
		e.upstreams.watch(e.running)
	})
}

// close releases what the endpoint holds.
func (e *endpoint) close() {
	e.stop()
	e.guard.Close()
	e.upstreams.close()
}

// String returns the public URL.
func (e *endpoint) String() string { return e.guard.Resource() }

// warnings returns one sentence for each setting that is risky.
func (e *endpoint) warnings() []string {
	warnings := e.guard.Warnings()
	if e.config.DangerouslyForwardAccessToken {
		warnings = append(warnings, "access tokens are forwarded to the backend (dangerously_forward_access_token): who controls "+
			"the backend can call every server that accepts such a token in the name of the user; use the assertion instead")
	}
	for _, u := range e.upstreams.all {
		if u.target.Scheme == "http" && !isLoopback(u.target) {
			warnings = append(warnings, fmt.Sprintf("requests to the backend %s are not encrypted: who can read that network reads "+
				"them, and who can reach the backend without the gateway can claim to be any user, unless it verifies the assertion",
				u.target.Redacted()))
		}
	}
	return warnings
}

// accessTokenKey is the key of the Authorization header in the context of a request.
type accessTokenKey struct{}

// keepAccessTokens returns a handler that keeps the Authorization header for endpoints that
// forward it. The guard removes it from the request.
func keepAccessTokens(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(r.Context(), accessTokenKey{}, r.Header["Authorization"])
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// ServeHTTP forwards a request that the guard has let through.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x, problem := e.newExchange(w, r)
	if problem != nil {
		e.answer(w, r, x, problem)
		return
	}
	defer x.recover(r)
	proxy := e.proxy
	if x.opensStream() {
		proxy = e.streams
	}
	proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x)))
}

// buffers is the pool of the buffers with which answers are copied.
type buffers struct{}

var bufferPool = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

func (buffers) Get() []byte { return bufferPool.Get().(*[copyBuffer]byte)[:] }

func (buffers) Put(b []byte) { bufferPool.Put((*[copyBuffer]byte)(b)) }

// streamBuffers makes a buffer for each stream.
type streamBuffers struct{}

func (streamBuffers) Get() []byte { return make([]byte, streamBuffer) }

func (streamBuffers) Put([]byte) {}
