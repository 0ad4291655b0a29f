package localclerk

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// DefaultIssuer is the issuer of a Server whose Config names none.
const DefaultIssuer = "http://localhost:4000"

const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	shutdownTimeout   = 5 * time.Second
	maxHeaderBytes    = 64 << 10
)

// Config describes a Server. Its zero value is a complete local Clerk: the
// seeded people, DefaultSettings, a fresh signing key and no log.
type Config struct {
	// Issuer is the Frontend API URL: scheme, loopback host and port, no path
	// and no trailing slash. Empty means DefaultIssuer.
	Issuer string

	// Users are the accounts one can sign in with. Nil means SeedUsers, and
	// then a nil Organizations means SeedOrganizations.
	Users []User

	// Organizations have members among Users. Nil means none, unless Users is
	// nil too.
	Organizations []Organization

	// Settings are the instance's OAuth settings. Nil means DefaultSettings.
	Settings *Settings

	// SigningKey signs every token. Nil means a new RSA-2048 key; give one to
	// keep tokens valid across restarts.
	SigningKey *rsa.PrivateKey

	// HTTPClient fetches client ID metadata documents, without following
	// redirects. Nil means one that connects to public addresses only; with
	// another, where it connects to is its own business.
	HTTPClient *http.Client

	// Logger gets one record a request. Nil means none.
	Logger *slog.Logger
}

// Server is a local Clerk: an http.Handler, safe for concurrent use.
type Server struct {
	issuer        string
	instanceID    string // ins_…, the kid of the first key
	secretKey     secret
	startedAt     time.Time
	log           *slog.Logger
	handler       http.Handler
	documentHTTP  *http.Client
	documentSlots chan struct{}
	store         store
	eventLog      *eventLog

	mu        sync.Mutex
	settings  Settings
	directory *directory
	keys      keyring
	faults    Faults
}

// New returns a Server for config. The error joins everything wrong with it.
func New(config Config) (*Server, error) {
	if config.Issuer == "" {
		config.Issuer = DefaultIssuer
	}
	if config.Users == nil {
		config.Users = SeedUsers()
		if config.Organizations == nil {
			config.Organizations = SeedOrganizations()
		}
	}
	settings := DefaultSettings()
	if config.Settings != nil {
		settings = config.Settings.clone()
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	dir, directoryErr := newDirectory(config.Users, config.Organizations)
	keys, keyErr := newKeyring(config.SigningKey)
	if err := errors.Join(checkIssuer(config.Issuer), directoryErr, settings.check(), keyErr); err != nil {
		return nil, err
	}
	s := &Server{
		issuer:        config.Issuer,
		instanceID:    keys.kid,
		secretKey:     secret("sk_test_" + randomString(base62, secretLength)),
		startedAt:     time.Now(),
		log:           config.Logger,
		store:         newStore(),
		documentHTTP:  newDocumentHTTPClient(config.HTTPClient),
		eventLog:      newEventLog(),
		documentSlots: make(chan struct{}, maxMetadataFetches),
		settings:      settings,
		directory:     dir,
		keys:          keys,
	}
	s.handler = s.routes()
	return s, nil
}

func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil {
		return fmt.Errorf("localclerk: Issuer: %w", err)
	}
	if bare := (&url.URL{Scheme: u.Scheme, Host: u.Host}).String(); (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || bare != issuer {
		return fmt.Errorf("localclerk: Issuer %q is not a bare origin; set it to scheme, host and port, like %q", issuer, DefaultIssuer)
	}
	if !isLoopbackHost(u.Hostname()) {
		return fmt.Errorf("localclerk: Issuer %q is not on loopback; use localhost, 127.0.0.1 or [::1]", issuer)
	}
	return nil
}

// Issuer returns the issuer identifier: the Frontend API URL, without a
// trailing slash.
func (s *Server) Issuer() string { return s.issuer }

// ServeHTTP answers one request. What does not come from loopback, or names a
// host that is not loopback (DNS rebinding), gets 403.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Serve answers requests on l until ctx ends, then drains and returns nil. It
// refuses a listener that is not on loopback, and always closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	defer l.Close()
	if !isLoopbackAddr(l.Addr()) {
		return fmt.Errorf("localclerk: listener on %q is not on loopback; listen on 127.0.0.1, [::1] or localhost", l.Addr())
	}
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	shutdownResult := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		shutdownResult <- server.Shutdown(deadline)
	})
	err := server.Serve(l)
	if stop() {
		return fmt.Errorf("localclerk: serving: %w", err)
	}
	if err := <-shutdownResult; err != nil {
		return errors.Join(fmt.Errorf("localclerk: draining: %w", err), server.Close())
	}
	return nil
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", s.serveAuthorizationServerMetadata)
	mux.HandleFunc("GET /.well-known/openid-configuration", s.serveOpenIDConfiguration)
	mux.HandleFunc("GET /.well-known/jwks.json", s.serveJWKS)
	mux.HandleFunc("POST /oauth/register", s.serveRegister)
	mux.HandleFunc("GET /oauth/authorize", s.serveAuthorize)
	mux.HandleFunc("POST /oauth/authorize", s.serveAuthorize)
	mux.HandleFunc("GET "+continuePath, s.serveContinue)
	mux.HandleFunc("POST "+continuePath, s.serveDecision)
	mux.HandleFunc("POST /oauth/token", s.serveToken)
	mux.HandleFunc("GET /oauth/userinfo", s.serveUserInfo)
	mux.HandleFunc("POST /oauth/userinfo", s.serveUserInfo)
	mux.HandleFunc("POST /oauth/token_info", s.serveIntrospect)
	mux.HandleFunc("POST /oauth/token/revoke", s.serveRevoke)
	s.backendRoutes(mux)
	mux.HandleFunc("/", s.serveNotFound)
	for path, methods := range corsMethods {
		mux.HandleFunc("OPTIONS "+path, servePreflight(methods))
	}
	return s.recordEvents(requireLoopback(s.addCORSHeaders(s.applyFaults(mux))))
}
