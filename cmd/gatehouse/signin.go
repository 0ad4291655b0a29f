package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"
)

// signIn signs a person in where an MCP endpoint asks for it. It is the
// [auth.OAuthHandler] of one run: it begins with the sign-in that was kept, finds
// out what the server wants, chooses the client, and has the go-sdk's
// [auth.AuthorizationCodeHandler] do the authorization itself.
type signIn struct {
	account account
	options signInOptions
	con     *console
	http    *http.Client // for everything but the MCP endpoint
	traffic *traffic
	store   *store

	// ctx is the run's: token sources get no other (golang.org/x/oauth2).
	ctx context.Context
	// pause stops the clock of the answer that is waited for, while a person signs in.
	pause func() (resume func())

	mu       sync.Mutex
	source   *tokenSource // nil before there are tokens
	signedIn bool         // in this run
	asked    []string     // the scopes asked for in this run
	failed   error        // why signing in ended; the SDK would start over
}

// signInOptions are the flags that are about signing in.
type signInOptions struct {
	scopes       []string // in addition to what the server asks for
	clientSecret secret   // of the account's client id
	callbackPort int      // 0: any free one
	noBrowser    bool
	timeout      time.Duration // for the person
}

// begin takes up the kept sign-in of the account, if there is one that holds the
// scopes asked for.
func (s *signIn) begin() {
	k, err := s.store.find(s.account)
	if err != nil {
		s.con.note("warning: doing without a kept sign-in: %v", err)
	}
	if k == nil || k.Tokens == nil {
		return
	}
	if missing := minus(s.options.scopes, strings.Fields(k.Tokens.Scope)); len(missing) > 0 {
		s.con.step("left the kept sign-in aside: it lacks scope %q", strings.Join(missing, " "))
		return
	}
	s.con.step("took up the sign-in kept for %s (issuer %s)", s.account.Resource, k.Issuer)
	s.traffic.learn(k.TokenEndpoint, roleToken)
	s.source = s.newTokenSource(k)
}

// TokenSource implements [auth.OAuthHandler].
func (s *signIn) TokenSource(context.Context) (oauth2.TokenSource, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.source == nil {
		return nil, nil
	}
	return s.source, nil
}

// Authorize implements [auth.OAuthHandler]: it signs in after a 401, and again
// for more scopes after a 403 that asks for them. Once it has failed it fails
// for good, so that nobody has to close a second browser window.
func (s *signIn) Authorize(ctx context.Context, req *http.Request, resp *http.Response) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer resp.Body.Close()
	if s.failed == nil {
		s.failed = s.authorize(ctx, req, resp)
	}
	return s.failed
}

// failure returns why signing in failed, nil if it did not.
func (s *signIn) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// heldScopes are the scopes of the sign-in in use.
func (s *signIn) heldScopes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held()
}

func (s *signIn) authorize(ctx context.Context, req *http.Request, resp *http.Response) error {
	seen := s.traffic.lastAnswer()
	denied := resp.StatusCode == http.StatusForbidden
	switch {
	case denied && !s.mayStepUp(seen), !denied && s.signedIn:
		return explainAnswer(seen, s.account.Resource, s.held())
	case !denied && s.source.renew():
		return nil
	}
	defer s.pause()()
	s.con.begin("finding out where to sign in")
	server, err := s.discover(ctx, seen.bearer)
	if err != nil {
		return err
	}
	if s.account.User != "" {
		if err := onlyLocal(server.meta); err != nil {
			return err
		}
	}
	wanted := union(server.scopes, s.options.scopes)
	if denied {
		wanted = union(s.held(), wanted)
	}
	s.asked = union(s.asked, wanted)
	return s.signInAt(ctx, server, wanted, req, resp)
}

// mayStepUp reports whether to sign in for more scopes after a 403: for those
// that the sign-in does not hold and that nobody was asked for yet.
func (s *signIn) mayStepUp(a *answer) bool {
	return a.stepUp() && len(minus(strings.Fields(a.bearer["scope"]), union(s.held(), s.asked))) > 0
}

// held is heldScopes for a caller that holds mu.
func (s *signIn) held() []string {
	if s.source == nil {
		return nil
	}
	return s.source.scopes()
}

// signInAt signs in at an authorization server for the wanted scopes, as the
// client that was kept or as a new one.
func (s *signIn) signInAt(ctx context.Context, server *authServer, wanted []string, req *http.Request, resp *http.Response) error {
	k := s.keptAt(server)
	door, err := s.openDoor(k)
	if err != nil {
		return err
	}
	defer door.close()
	err = errUnknownClient
	if k.Client.mayAsk(wanted) {
		err = s.signInAs(ctx, server, k, wanted, door, req, resp)
	}
	if errors.Is(err, errUnknownClient) && s.account.ClientID == "" {
		if err = s.register(ctx, server, k, wanted, door); err == nil {
			err = s.signInAs(ctx, server, k, wanted, door, req, resp)
		}
	}
	if err != nil {
		err = explainOAuth(err, s.account.Resource)
	}
	door.tell(err)
	return err
}

// keptAt returns what is kept of an earlier sign-in at server, or an empty
// beginning.
func (s *signIn) keptAt(server *authServer) *kept {
	k, err := s.store.load(s.account, server.meta.Issuer)
	if err != nil {
		s.con.note("warning: signing in afresh: %v", err)
	}
	if k == nil {
		k = &kept{Account: s.account, Issuer: server.meta.Issuer}
	}
	if s.account.ClientID != "" {
		k.Client = client{ID: s.account.ClientID, Secret: s.options.clientSecret}
	}
	k.RevocationEndpoint = server.meta.RevocationEndpoint
	return k
}

// signInAs runs the authorization code flow as the client of k, and keeps what
// it yields. errUnknownClient says that the server does not know the client.
func (s *signIn) signInAs(ctx context.Context, server *authServer, k *kept, wanted []string, door *door, req *http.Request, resp *http.Response) error {
	credentials := &oauthex.ClientCredentials{ClientID: k.Client.ID, Issuer: server.meta.Issuer}
	if k.Client.Secret != "" {
		credentials.ClientSecretAuth = &oauthex.ClientSecretAuth{ClientSecret: string(k.Client.Secret)}
	}
	if len(wanted) == 0 {
		wanted = strings.Fields(k.Client.Scope) // else the go-sdk asks for offline_access alone
	}
	var source *tokenSource
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		PreregisteredClient: credentials,
		RedirectURL:         door.redirectURI,
		AuthorizationCodeFetcher: func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			return s.fetchCode(ctx, server, door, args.URL)
		},
		ScopeFilter:         func([]string) []string { return wanted },
		RequestRefreshToken: true,
		// A matching iss is welcome from servers that do not announce it.
		AcceptUnadvertisedIss: true,
		Client:                s.http,
		NewTokenSource: func(_ context.Context, config *oauth2.Config, token *oauth2.Token) (oauth2.TokenSource, error) {
			k.TokenEndpoint = config.Endpoint.TokenURL
			k.TokenEndpointStyle = int(config.Endpoint.AuthStyle)
			k.Tokens = newTokens(token, strings.Join(config.Scopes, " "))
			source = s.newTokenSource(k)
			return source, nil
		},
	})
	if err != nil {
		return err
	}
	if err := handler.Authorize(ctx, req, withoutBody(resp)); err != nil {
		return err
	}
	s.signedIn, s.source = true, source
	s.keep(k)
	return nil
}

// keep saves a sign-in. That it cannot be kept does not make it a bad one.
func (s *signIn) keep(k *kept) {
	if err := s.store.save(k); err != nil {
		s.con.note("warning: the next call has to sign in again: %v", err)
	}
}

// withoutBody returns the status and header of an answer whose body was read.
func withoutBody(resp *http.Response) *http.Response {
	head := *resp
	head.Body = io.NopCloser(strings.NewReader(""))
	return &head
}

// union returns the elements of both lists, each once, in order.
func union(a, b []string) []string {
	var all []string
	for _, s := range slices.Concat(a, b) {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// minus returns the elements of a that are not in b.
func minus(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}
