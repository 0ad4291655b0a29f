package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/modelcontextprotocol/go-sdk/auth"
)

// errSignInTimeout ends the wait for a person.
var errSignInTimeout = errors.New("nobody signed in")

// fetchCode has somebody sign in at the authorization URL, and returns the
// checked answer.
func (s *signIn) fetchCode(ctx context.Context, server *authServer, door *door, authURL string) (*auth.AuthorizationResult, error) {
	u, err := url.Parse(authURL)
	if err != nil {
		return nil, err
	}
	if !door.fresh {
		if err := s.probe(ctx, authURL); err != nil {
			return nil, err
		}
	}
	ask := s.askPerson
	if s.account.User != "" {
		ask = s.askLocalClerk
	}
	response, err := ask(ctx, authURL, door)
	if err != nil {
		return nil, err
	}
	if err := response.check(u.Query().Get("state"), server.meta); err != nil {
		return nil, err
	}
	s.con.step("got the code")
	s.con.begin("exchanging the code for a token")
	return &auth.AuthorizationResult{Code: string(response.code), State: response.state, Iss: response.iss}, nil
}

// probe returns errUnknownClient if the server does not know the client, or not
// any more, or not by this redirect URI. It would tell the person so, on a page
// that leads nowhere (RFC 6749, section 4.1.2.1), and this program would wait in
// vain.
func (s *signIn) probe(ctx context.Context, authURL string) error {
	resp, err := s.visit(ctx, authURL, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		body, err := peek(resp, maxRefusal)
		if err != nil {
			return err
		}
		why := joinNonEmpty(": ", fmt.Sprint(resp.StatusCode), refusal(resp, body))
		s.con.step("the authorization server does not know this client, or its redirect URI: %s", why)
		return fmt.Errorf("%w: %s", errUnknownClient, why)
	}
	return nil
}

// visit gets the authorization URL as a browser would, but follows no redirect.
func (s *signIn) visit(ctx context.Context, authURL string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, authURL, nil)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	visitor := *s.http
	visitor.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return visitor.Do(req)
}

// askPerson opens the browser, or prints the link, and waits at the door.
func (s *signIn) askPerson(ctx context.Context, authURL string, door *door) (authResponse, error) {
	s.con.begin("waiting for the sign-in in the browser")
	s.showLink(authURL)
	ctx, cancel := context.WithTimeoutCause(ctx, s.options.timeout, errSignInTimeout)
	defer cancel()
	return s.await(ctx, door)
}

// await waits for the answer at the door, and shows that it does.
func (s *signIn) await(ctx context.Context, door *door) (authResponse, error) {
	counting, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.con.countdown(counting, "the sign-in in the browser", s.options.timeout)
	}()
	defer func() { stop(); <-done }()
	select {
	case response := <-door.arrived:
		return response, nil
	case <-ctx.Done():
	}
	if errors.Is(context.Cause(ctx), errSignInTimeout) {
		return authResponse{}, fail("run the command again; --timeout waits longer, --no-browser prints the link; if the page said that something is wrong with the client, --logout forgets the client",
			"%w within %s", errSignInTimeout, s.options.timeout)
	}
	return authResponse{}, ctx.Err()
}

func (s *signIn) showLink(authURL string) {
	if s.options.noBrowser {
		s.con.note("open this link to sign in: %s", authURL)
		return
	}
	if err := s.con.browse(authURL); err != nil {
		s.con.note("no browser opened here (%v); open this link to sign in: %s", err, authURL)
		return
	}
	s.con.step("opened the browser at %s", authURL)
	if !s.con.verbose {
		s.con.note("opened the browser to sign in; if no window shows, open this link: %s", authURL)
	}
}
