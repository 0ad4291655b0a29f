package main

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
)

const (
	callbackPath = "/callback"

	// defaultCallbackPort is for clients registered by hand, whose redirect URI
	// must be known beforehand: http://127.0.0.1:8976/callback.
	defaultCallbackPort = 8976

	maxCallbackHeader   = 32 << 10 // bytes; the code is in the request line
	callbackReadTimeout = 10 * time.Second
	tellTimeout         = 2 * time.Second // for the page that says how it went
)

// door is the redirect URI of one sign-in: a listener on loopback (RFC 8252,
// section 7.3), or only the URI where no browser comes by.
type door struct {
	redirectURI string
	fresh       bool // the client was registered in this run

	host    string
	server  *http.Server
	arrived chan authResponse // holds one
	told    chan struct{}     // closed when outcome is there
	tell    func(outcome error)
	outcome error
}

// openDoor opens the redirect URI for a sign-in as the client of k, on the port
// that client registered if it can be had.
func (s *signIn) openDoor(k *kept) (*door, error) {
	if s.account.User != "" {
		return &door{redirectURI: "http://127.0.0.1" + callbackPath, tell: func(error) {}}, nil
	}
	port := s.options.callbackPort
	if port == 0 && s.account.ClientID != "" {
		port = defaultCallbackPort
	}
	if port == 0 && k.Client.Registered {
		if d := listenAgain(k.Client.RedirectURI); d != nil {
			return d, nil
		}
		k.Client = client{}
	}
	d, err := listenAt(port)
	if err != nil {
		return nil, fail("free the port, or choose another with --callback-port", "listening for the answer of the sign-in: %w", err)
	}
	if s.account.ClientID != "" {
		s.con.step("the client must have %s among its redirect URIs", d.redirectURI)
	}
	return d, nil
}

// listenAgain opens the door at the redirect URI of an earlier sign-in, or returns
// nil if its port is taken. Another port will not do: not every server lets it
// vary, as RFC 8252, section 7.3 has it.
func listenAgain(redirectURI string) *door {
	u, err := url.Parse(redirectURI)
	if err != nil {
		return nil
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || port == 0 {
		return nil
	}
	d, err := listenAt(int(port))
	if err != nil {
		return nil
	}
	return d
}

// listenAt opens a door on a port of 127.0.0.1, 0 for any.
func listenAt(port int) (*door, error) {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	d := newDoor(listener.Addr().String())
	go d.server.Serve(listener)
	return d, nil
}

// newDoor returns a door that nobody listens at.
func newDoor(host string) *door {
	d := &door{
		redirectURI: "http://" + host + callbackPath,
		host:        host,
		arrived:     make(chan authResponse, 1),
		told:        make(chan struct{}),
	}
	var once sync.Once
	d.tell = func(outcome error) {
		once.Do(func() {
			d.outcome = outcome
			close(d.told)
		})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+callbackPath, d.serveCallback)
	d.server = &http.Server{Handler: mux, ReadTimeout: callbackReadTimeout, MaxHeaderBytes: maxCallbackHeader}
	return d
}

// serveCallback takes in the authorization response. Its page waits for the
// outcome, so that nobody reads "signed in" who is not.
func (d *door) serveCallback(w http.ResponseWriter, r *http.Request) {
	if r.Host != d.host {
		http.Error(w, fmt.Sprintf("got Host %q, want %q", r.Host, d.host), http.StatusForbidden)
		return
	}
	response, err := readAuthResponse(r.URL.RawQuery)
	if err != nil {
		showPage(w, http.StatusBadRequest, page{Problem: err.Error()})
		return
	}
	select {
	case d.arrived <- response:
	default:
		showPage(w, http.StatusConflict, page{Problem: "this sign-in was answered already"})
		return
	}
	select {
	case <-d.told:
	case <-r.Context().Done():
		return
	}
	var f *failure
	switch {
	case d.outcome == nil:
		showPage(w, http.StatusOK, page{})
	case errors.As(d.outcome, &f):
		showPage(w, http.StatusBadRequest, page{Problem: f.problem, Hint: f.hint})
	default:
		showPage(w, http.StatusBadRequest, page{Problem: d.outcome.Error()})
	}
}

// close ends the listening, once the page has been shown.
func (d *door) close() {
	if d.server == nil {
		return
	}
	d.tell(errors.New("the sign-in was given up"))
	ctx, cancel := context.WithTimeout(context.Background(), tellTimeout)
	defer cancel()
	if d.server.Shutdown(ctx) != nil {
		d.server.Close()
	}
}

// page is what the browser shows at the end: that the person is signed in, or
// the problem.
type page struct {
	Problem string // "" for none
	Hint    string
}

//go:embed door.html
var doorHTML string

var doorPage = template.Must(template.New("door").Parse(doorHTML))

func showPage(w http.ResponseWriter, status int, p page) {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	header.Set("Referrer-Policy", "no-referrer") // the address has the code
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	doorPage.Execute(w, p)
}
