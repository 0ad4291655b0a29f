package signin

import (
	"context"
	"crypto/subtle"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/savedsignin"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
)

const (
	callbackPath = "/callback"

	// defaultCallbackPort is for clients that were registered by hand, whose redirect
	// URI must be known beforehand: http://127.0.0.1:8976/callback.
	defaultCallbackPort = 8976

	maxCallbackHeader    = 32 << 10 // bytes; the code is in the request line
	callbackReadTimeout  = 10 * time.Second
	callbackCloseTimeout = 2 * time.Second // to show the page with the outcome

	maxReportedAnswers = 3 // that were ignored, of one sign-in
)

// callback is the redirect URI of one sign-in, with a listener on loopback (RFC 8252
// section 7.3). For a sign-in without a browser, it is only the URI.
type callback struct {
	redirectURI string

	host      string            // expected Host header
	step      trace.Stepper     // reports answers that are ignored
	server    *http.Server      // nil without a listener
	responses chan authResponse // holds one
	finish    func(outcome error)
	finished  chan struct{} // closed when outcome is set
	outcome   error

	mu      sync.Mutex
	state   string // of the authorization request; "" before there is one
	ignored int    // answers without that state
}

// expect sets the state of the authorization request. Answers without it are ignored.
func (cb *callback) expect(state string) {
	cb.mu.Lock()
	defer cb.mu.Unlock()
	cb.state = state
}

// answersRequest reports whether the query is an answer to the authorization request. Any
// page that guesses the port can send other answers here, but only the authorization server
// and the browser know the state (RFC 6749 section 10.12).
func (cb *callback) answersRequest(query url.Values) bool {
	states := query["state"]
	cb.mu.Lock()
	defer cb.mu.Unlock()
	if cb.state != "" && len(states) == 1 && subtle.ConstantTimeCompare([]byte(states[0]), []byte(cb.state)) == 1 {
		return true
	}
	cb.ignored++
	switch {
	case cb.ignored <= maxReportedAnswers:
		cb.step("ignored an answer that does not have the state of this sign-in")
	case cb.ignored == maxReportedAnswers+1:
		cb.step("ignoring more such answers")
	}
	return false
}

// ignoredAnswers returns how many answers did not have the state of the request.
func (cb *callback) ignoredAnswers() int {
	cb.mu.Lock()
	defer cb.mu.Unlock()
	return cb.ignored
}

// openCallback opens the redirect URI for a sign-in with the client of saved. If this
// program registered the client, it uses the registered port; if that is in use, it
// clears the client, so that a new one is registered.
func (c *Client) openCallback(saved *savedsignin.SignIn) (*callback, error) {
	if c.config.Account.User != "" {
		return &callback{redirectURI: "http://127.0.0.1" + callbackPath, step: c.ui.Step, finish: func(error) {}}, nil
	}
	port := c.config.CallbackPort
	if port == 0 && c.config.Account.ClientID != "" {
		port = defaultCallbackPort
	}
	if port == 0 && saved.Client.Registered {
		if cb := listenAgain(saved.Client.RedirectURI, c.ui.Step); cb != nil {
			return cb, nil
		}
		saved.Client = savedsignin.Client{}
	}
	cb, err := listenAt(port, c.ui.Step)
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
func listenAgain(redirectURI string, step trace.Stepper) *callback {
	u, err := url.Parse(redirectURI)
	if err != nil {
		return nil
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || port == 0 {
		return nil
	}
	cb, err := listenAt(int(port), step)
	if err != nil {
		return nil
	}
	return cb
}

// listenAt opens a callback on a port of 127.0.0.1. Port 0 means any free port.
func listenAt(port int, step trace.Stepper) (*callback, error) {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	cb := newCallback(listener.Addr().String(), step)
	go cb.server.Serve(listener)
	return cb, nil
}

// newCallback returns a callback without a listener.
func newCallback(host string, step trace.Stepper) *callback {
	cb := &callback{
		redirectURI: "http://" + host + callbackPath,
		host:        host,
		step:        step,
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
	if !cb.answersRequest(r.URL.Query()) {
		showPage(w, http.StatusNotFound, unexpectedPage)
		return
	}
	response, err := parseAuthResponse(r.URL.RawQuery)
	if err != nil {
		showPage(w, http.StatusBadRequest, failedPage(err))
		return
	}
	select {
	case cb.responses <- response:
	default:
		showPage(w, http.StatusConflict, answeredPage)
		return
	}
	select {
	case <-cb.finished:
	case <-r.Context().Done():
		return
	}
	if cb.outcome != nil {
		showPage(w, http.StatusBadRequest, failedPage(cb.outcome))
		return
	}
	showPage(w, http.StatusOK, signedInPage)
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
	Title   string
	Text    string // what happened, or what to do
	Problem string // the error, in its own words; "" without one
	Hint    string // what to do about it
}

var (
	signedInPage = page{
		Title: "You are signed in",
		Text:  "You can close this window and return to the terminal.",
	}
	answeredPage = page{
		Title: "This sign-in has its answer",
		Text:  "You can close this window and return to the terminal.",
	}
	unexpectedPage = page{
		Title: "This page belongs to another sign-in",
		Text:  "Gatehouse ignored it. If a sign-in is open in another window, continue there.",
	}
)

// failedPage returns the page about a sign-in that failed.
func failedPage(err error) page {
	var f *failure.Error
	var denied *deniedError
	switch {
	case errors.As(err, &denied) && errors.As(err, &f):
		return page{Title: "You are not signed in", Problem: denied.sentence(), Hint: sentence(f.Hint)}
	case errors.As(err, &f):
		return page{Title: "You are not signed in", Problem: sentence(f.Problem), Hint: sentence(f.Hint)}
	}
	return page{Title: "You are not signed in", Problem: sentence(err.Error())}
}

// sentence returns the text of an error or a hint with a capital letter and a full stop.
func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return ""
	}
	text = string(unicode.ToUpper(first)) + text[size:]
	if strings.HasSuffix(text, ".") {
		return text
	}
	return text + "."
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
