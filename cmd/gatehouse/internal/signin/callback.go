package signin

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/savedsignin"
)

const (
	callbackPath = "/callback"

	// defaultCallbackPort is for clients that were registered by hand, whose redirect
	// URI must be known beforehand: http://127.0.0.1:8976/callback.
	defaultCallbackPort = 8976

	maxCallbackHeader    = 32 << 10 // bytes; the code is in the request line
	callbackReadTimeout  = 10 * time.Second
	callbackCloseTimeout = 2 * time.Second // to show the page with the outcome
)

// callback is the redirect URI of one sign-in, with a listener on loopback (RFC 8252
// section 7.3). For a sign-in without a browser, it is only the URI.
type callback struct {
	redirectURI string

	host      string            // expected Host header
	server    *http.Server      // nil without a listener
	responses chan authResponse // holds one
	finish    func(outcome error)
	finished  chan struct{} // closed when outcome is set
	outcome   error
}

// openCallback opens the redirect URI for a sign-in with the client of saved. If this
// program registered the client, it uses the registered port; if that is in use, it
// clears the client, so that a new one is registered.
func (c *Client) openCallback(saved *savedsignin.SignIn) (*callback, error) {
	if c.config.Account.User != "" {
		return &callback{redirectURI: "http://127.0.0.1" + callbackPath, finish: func(error) {}}, nil
	}
	port := c.config.CallbackPort
	if port == 0 && c.config.Account.ClientID != "" {
		port = defaultCallbackPort
	}
	if port == 0 && saved.Client.Registered {
		if cb := listenAgain(saved.Client.RedirectURI); cb != nil {
			return cb, nil
		}
		saved.Client = savedsignin.Client{}
	}
	cb, err := listenAt(port)
	if err != nil {
		return nil, failure.New(
			"free the port, or choose another with --callback-port",
			"listening for the authorization response: %w", err)
	}
	if c.config.Account.ClientID != "" {
		c.ui.Step("the client must have %s among its redirect URIs", cb.redirectURI)
	}
	return cb, nil
}

// listenAgain opens the callback at the redirect URI of an earlier sign-in, or returns
// nil if its port is in use. Another port would not do: not every authorization server
// lets the port vary, as RFC 8252 section 7.3 requires.
func listenAgain(redirectURI string) *callback {
	u, err := url.Parse(redirectURI)
	if err != nil {
		return nil
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || port == 0 {
		return nil
	}
	cb, err := listenAt(int(port))
	if err != nil {
		return nil
	}
	return cb
}

// listenAt opens a callback on a port of 127.0.0.1. Port 0 means any free port.
func listenAt(port int) (*callback, error) {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	cb := newCallback(listener.Addr().String())
	go cb.server.Serve(listener)
	return cb, nil
}

// newCallback returns a callback without a listener.
func newCallback(host string) *callback {
	cb := &callback{
		redirectURI: "http://" + host + callbackPath,
		host:        host,
		responses:   make(chan authResponse, 1),
		finished:    make(chan struct{}),
	}
	var once sync.Once
	cb.finish = func(outcome error) {
		once.Do(func() {
			cb.outcome = outcome
			close(cb.finished)
		})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+callbackPath, cb.serve)
	cb.server = &http.Server{Handler: mux, ReadTimeout: callbackReadTimeout, MaxHeaderBytes: maxCallbackHeader}
	return cb
}

// serve receives the authorization response. Its page waits for the outcome, so that it
// reports success only to a user who is signed in.
func (cb *callback) serve(w http.ResponseWriter, r *http.Request) {
	if r.Host != cb.host {
		http.Error(w, fmt.Sprintf("got Host %q, want %q", r.Host, cb.host), http.StatusForbidden)
		return
	}
	response, err := parseAuthResponse(r.URL.RawQuery)
	if err != nil {
		showPage(w, http.StatusBadRequest, page{Problem: err.Error()})
		return
	}
	select {
	case cb.responses <- response:
	default:
		showPage(w, http.StatusConflict, page{Problem: "this sign-in was already answered"})
		return
	}
	select {
	case <-cb.finished:
	case <-r.Context().Done():
		return
	}
	var f *failure.Error
	switch {
	case cb.outcome == nil:
		showPage(w, http.StatusOK, page{})
	case errors.As(cb.outcome, &f):
		showPage(w, http.StatusBadRequest, page{Problem: f.Problem, Hint: f.Hint})
	default:
		showPage(w, http.StatusBadRequest, page{Problem: cb.outcome.Error()})
	}
}

// close ends the listener, after the page with the outcome has been shown.
func (cb *callback) close() {
	if cb.server == nil {
		return
	}
	cb.finish(errors.New("the sign-in was abandoned"))
	ctx, cancel := context.WithTimeout(context.Background(), callbackCloseTimeout)
	defer cancel()
	if cb.server.Shutdown(ctx) != nil {
		cb.server.Close()
	}
}

// page is what the browser shows at the end of a sign-in.
type page struct {
	Problem string // "" after a successful sign-in
	Hint    string
}

//go:embed callback.html
var callbackHTML string

var callbackPage = template.Must(template.New("callback").Parse(callbackHTML))

func showPage(w http.ResponseWriter, status int, p page) {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	header.Set("Referrer-Policy", "no-referrer") // the page's address has the authorization code
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	callbackPage.Execute(w, p)
}
