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

// DefaultIssuer is the issuer of a Server if Config.Issuer is empty.
const DefaultIssuer = "http://localhost:4000"

const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	shutdownTimeout   = 5 * time.Second
	maxHeaderBytes    = 64 << 10
)

// Config describes a Server. The zero value is a complete local Clerk: the
// users and organizations of SeedUsers and SeedOrganizations, DefaultSettings,
// a new signing key and no log.
type Config struct {
	// Issuer is the Frontend API URL: scheme, loopback host and port, no path
	// and no trailing slash. Empty means DefaultIssuer.
	Issuer string

	// Users are the accounts that can sign in, 1 to 1000. Nil means SeedUsers,
	// and then a nil Organizations means SeedOrganizations.
	Users []User

	// Organizations are groups of Users, at most 1000. Nil means no
	// organizations, unless Users is nil too.
	Organizations []Organization

	// Settings are the instance's OAuth settings. Nil means DefaultSettings.
	Settings *Settings

	// SigningKey signs every token with RS256 and has at least 2048 bits. Nil
	// means a new RSA-2048 key. Set it to keep JWTs verifiable after a restart.
	SigningKey *rsa.PrivateKey

	// HTTPClient fetches client ID metadata documents. Redirects are not
	// followed and cookies are not kept. Nil means a client that connects to
	// public addresses only; any other client must restrict the addresses
	// itself.
	HTTPClient *http.Client

	// Logger receives one record per request. Nil means no log.
	Logger *slog.Logger
}

// Server is a local Clerk: one instance with its Frontend API and Backend API.
// It is an http.Handler. All its methods are safe for concurrent use. Clients,
// grants and tokens are kept in memory only, and the oldest are evicted.
type Server struct {
	issuer        string
	instanceID    string // ins_…, also the kid of the first key
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

// New returns a Server for config. It does no I/O. If several fields are
// invalid, the error joins one error for each.
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

// checkIssuer checks that issuer is the origin of a loopback URL.
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil {
		return fmt.Errorf("localclerk: Issuer: %w", err)
	}
	origin := &url.URL{Scheme: u.Scheme, Host: u.Host}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || origin.String() != issuer {
		return fmt.Errorf("localclerk: Issuer %q is not a bare origin; set it to scheme, host and port only, like %q",
			issuer, DefaultIssuer)
	}
	if !isLoopbackHost(u.Hostname()) {
		return fmt.Errorf("localclerk: Issuer %q is not on loopback; use localhost, 127.0.0.1 or [::1]", issuer)
	}
	return nil
}

// Issuer returns the issuer identifier, which is the Frontend API URL without a
// trailing slash.
func (s *Server) Issuer() string { return s.issuer }

// ServeHTTP serves one request. It responds 403 if the connection or the Host
// header is not loopback; checking Host prevents DNS rebinding.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Serve serves requests on l until ctx ends. Then it waits at most 5 seconds
// for running requests and returns nil if they completed, else an error. If l is
// not on loopback, it returns an error at once. It always closes l.
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
		return errors.Join(fmt.Errorf("localclerk: shutting down: %w", err), server.Close())
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
	mux.HandleFunc("GET /{$}", s.serveHome)
	mux.HandleFunc("/", s.serveNotFound)
	for path, methods := range corsMethods {
		mux.HandleFunc("OPTIONS "+path, servePreflight(methods))
	}
	return s.recordEvents(requireLoopback(s.addCORSHeaders(s.applyFaults(mux))))
}
