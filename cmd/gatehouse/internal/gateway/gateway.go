// Package gateway puts OAuth sign-in in front of MCP servers in any language: a reverse proxy
// (net/http/httputil) behind the guard of package gatehouse. An [Endpoint] is one public URL
// with its guard, and the backends to which its requests are forwarded.
//
// What a backend gets, and what it does not get, is in request.go; what a client gets of the
// backend's answer is in response.go.
package gateway

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/forwarded"
)

// Config configures a [Gateway].
type Config struct {
	_ [0]func()

	// Endpoints are the endpoints. There must be at least one.
	Endpoints []Endpoint

	// AssertionKeys sign the assertions of all endpoints. Nil means random keys of this process.
	AssertionKeys *forwarded.Keys

	// LogRequests logs each request that was let through. Rejections and failures are always
	// logged.
	LogRequests bool

	// Logger receives what happens. Nil means [slog.Default].
	Logger *slog.Logger
}

// Endpoint configures one endpoint.
type Endpoint struct {
	_ [0]func()

	// Guard configures the guard of the endpoint: its public URL, provider, requirements, limits.
	Guard gatehouse.Config

	// Upstreams are the MCP servers to which requests are forwarded. There must be at least one.
	// With several, requests without a session are sent to each in turn, and those of a session
	// to the one that opened it.
	Upstreams []Upstream

	// Headers are the names of the headers that say who is calling. The zero value sets none; see
	// [forwarded.DefaultHeaders].
	Headers forwarded.Headers

	// Principal makes issuer and subject the user in these headers. With several providers or
	// tenants it is always so; see [forwarded.Config].
	Principal bool

	// ForwardCookies forwards Cookie to the backend, and Set-Cookie to the client. MCP does not
	// use cookies. Those of other applications on the same host would reach the backend, so they
	// are removed by default.
	ForwardCookies bool

	// DangerouslyForwardAccessToken forwards the access token of the client in Authorization.
	// Everyone who controls the backend, or reads its logs, can then call every server that
	// accepts the token in the name of the user (MCP security best practices, token passthrough).
	DangerouslyForwardAccessToken bool

	// HeaderTimeout is how long a backend may take to begin its answer. Zero means no limit:
	// calls may take minutes.
	HeaderTimeout time.Duration

	// KeepAlive is how long an event stream may be silent before its client gets a comment, which
	// keeps proxies from closing the connection. It applies to answers to POST and GET, and never
	// within an event. It is one second to 25 seconds; zero means 20 seconds.
	KeepAlive time.Duration

	// MaxListBytes bounds the answers that are read as a whole, to remove from a list what the
	// caller cannot use. Zero means 16 MiB.
	MaxListBytes int64

	// Identity is compared when a configuration is replaced: an endpoint with the same non-empty
	// Identity as before is kept, with its guard and connections.
	Identity string
}

// Upstream is one MCP server.
type Upstream struct {
	// URL is the URL of its endpoint, http or https. The path of the public URL is not used.
	URL *url.URL

	// H2C sends requests by HTTP/2 without TLS. Otherwise it is HTTP/1.1 for http, and what the
	// server offers for https.
	H2C bool

	// RootCAs are the authorities that may have signed the certificate of an https server, in place
	// of those of this machine. Nil means those.
	RootCAs *x509.CertPool

	// HealthPath, if not empty, is requested with GET each HealthInterval. While the answer is not
	// 2xx, the other backends of the endpoint get the requests that are in no session. Without
	// another one that works, the backend gets them nevertheless.
	HealthPath     string
	HealthInterval time.Duration // zero means 10 seconds
}

// Gateway forwards the requests of its endpoints. Make one with [New]. It is safe for concurrent
// use.
type Gateway struct {
	logger *slog.Logger
	keys   *forwarded.Keys

	mu       sync.Mutex // guards the fields below
	current  *generation
	retired  []*generation
	started  bool
	stopping bool
}

// New returns a gateway. It opens no connection. The error joins all faults, each a
// [*EndpointError].
func New(cfg Config) (*Gateway, error) {
	g := &Gateway{logger: cfg.Logger, keys: cfg.AssertionKeys}
	if g.logger == nil {
		g.logger = slog.Default()
	}
	if g.keys == nil {
		var err error
		if g.keys, err = forwarded.RandomKeys(); err != nil {
			return nil, fmt.Errorf("making keys for assertions: %w", err)
		}
	}
	var err error
	g.current, err = g.newGeneration(cfg, nil)
	return g, err
}

// Validate returns the faults of an endpoint. It opens no connection.
func Validate(config Endpoint) error {
	keys, err := forwarded.RandomKeys()
	if err != nil {
		return err
	}
	g := &Gateway{logger: slog.New(slog.DiscardHandler), keys: keys}
	e, err := g.newEndpoint(&config)
	if err == nil {
		e.close()
	}
	return err
}

// EndpointError is a fault of one endpoint.
type EndpointError struct {
	Index int // of the endpoint
	Err   error
}

func (e *EndpointError) Error() string { return e.Err.Error() }

func (e *EndpointError) Unwrap() error { return e.Err }

// Apply replaces the configuration. Requests that are being answered, and open streams, go on
// with the old one. The sessions of endpoints whose SessionKey stays the same go on, too. If it
// returns an error, nothing has changed.
func (g *Gateway) Apply(cfg Config) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopping {
		return errors.New("the gateway is shutting down")
	}
	next, err := g.newGeneration(cfg, g.current)
	if err != nil {
		return err
	}
	if cfg.AssertionKeys != nil && cfg.AssertionKeys != g.keys {
		g.keys.Replace(cfg.AssertionKeys)
	}
	if g.started {
		next.start()
	}
	old := g.current
	g.current = next
	g.retire(old)
	return nil
}

// Guards returns the guards of the endpoints, in their order.
func (g *Gateway) Guards() []*gatehouse.Guard {
	g.mu.Lock()
	defer g.mu.Unlock()
	return guardsOf(g.current.endpoints)
}

func guardsOf(endpoints []*endpoint) []*gatehouse.Guard {
	var guards []*gatehouse.Guard
	for _, e := range endpoints {
		guards = append(guards, e.guard)
	}
	return guards
}

// ServeHTTP implements [http.Handler].
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	current := g.begin()
	defer g.end(current)
	current.handler.ServeHTTP(w, r)
}
