package signin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/savedsignin"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
)

// httpTimeout bounds each exchange of a sign-in.
const httpTimeout = 30 * time.Second

// Config describes a [Client]. Account, Timeout, UI, Store and Transport are required.
type Config struct {
	// Account says who signs in to which MCP endpoint.
	Account savedsignin.Account

	// Scopes are requested in addition to those that the server asks for.
	Scopes []string

	// ClientSecret belongs to Account.ClientID. Empty means a public client.
	ClientSecret savedsignin.Secret

	// CallbackPort is the port of the redirect URI. 0 means any free port, or 8976 for
	// Account.ClientID, whose redirect URI must be registered.
	CallbackPort int

	// NoBrowser prints the link of the sign-in instead of opening a browser.
	NoBrowser bool

	// Timeout is how long the user may take to sign in.
	Timeout time.Duration

	// Version is the version of the program, for client registration.
	Version string

	// BeforeRegister, if set, is called before a client is registered at an issuer. If it
	// returns an error, none is registered, and the sign-in fails with that error.
	BeforeRegister func(issuer string) error

	// Pause is called when a sign-in begins, and resume when it has ended. The caller
	// can stop its own timeout in between. Nil means that nothing is called.
	Pause func() (resume func())

	UI        UI
	Store     *savedsignin.Store
	Transport *trace.Transport // also used by the MCP client, so that its answers are known here
}

// Client signs a user in to one MCP endpoint. It is an [auth.OAuthHandler], safe for
// concurrent use.
type Client struct {
	config Config
	ui     UI
	http   *http.Client // for all requests except those to the MCP endpoint

	// ctx is the context of the run. Token sources get no other: the method
	// oauth2.TokenSource.Token has no parameter.
	ctx context.Context

	mu        sync.Mutex
	source    *tokenSource // nil before there are tokens
	requested []string     // scopes requested in this run
	managed   *management  // of the client that was registered in this run; nil if it cannot be managed
	err       error        // why sign-in failed, if it did

	// For requests that must not wait for a sign-in, which holds mu.
	signedIn atomic.Bool           // in this run
	failed   atomic.Pointer[error] // why nothing more is sent to the MCP endpoint
}

// New returns a Client that begins with the saved sign-in of the account, if that holds
// the scopes of config.Scopes. Sign-in ends when ctx does.
func New(ctx context.Context, config Config) *Client {
	c := &Client{
		config: config,
		ui:     config.UI,
		http:   NewHTTPClient(config.Transport),
		ctx:    ctx,
	}
	c.loadSaved()
	return c
}

// NewHTTPClient returns the HTTP client for metadata, registration, tokens and
// revocation. It sends requests only to URLs that checkURL accepts, and does not follow
// the redirect of a POST request.
func NewHTTPClient(transport *trace.Transport) *http.Client {
	return &http.Client{Transport: &checkedTransport{next: transport}, Timeout: httpTimeout}
}

func (c *Client) loadSaved() {
	saved, err := c.config.Store.Newest(c.config.Account)
	if err != nil {
		c.ui.Note("warning: not using a saved sign-in: %v", err)
	}
	if saved == nil || saved.Tokens == nil {
		if saved = c.adoptOther(); saved == nil {
			return
		}
	}
	if lacking := missing(c.config.Scopes, saved.Tokens.Scopes()); len(lacking) > 0 {
		c.ui.Step("ignoring the saved sign-in: it lacks scope %q", strings.Join(lacking, " "))
		return
	}
	if err := CheckEndpoint(saved.Issuer, "token_endpoint", saved.TokenEndpoint); err != nil {
		c.ui.Note("warning: not using the saved sign-in: %v", err)
		return
	}
	c.ui.Step("using the saved sign-in for %s (issuer %s)", c.config.Account.Resource, saved.Issuer)
	c.config.Transport.Learn(saved.TokenEndpoint, trace.RoleToken)
	c.source = c.newTokenSource(saved)
}

// adoptOther continues with the account of the only saved sign-in to the server, if the
// command line names no user and that account has no sign-in of its own. It returns nil if
// there is not exactly one.
func (c *Client) adoptOther() *savedsignin.SignIn {
	account := c.config.Account
	if account.User != "" {
		return nil
	}
	others, err := c.config.Store.Covered(account)
	if err != nil || len(others) == 0 {
		return nil // Newest has reported the error
	}
	if len(others) > 1 {
		var flags []string
		for _, other := range others {
			flags = append(flags, other.Account.Flags())
		}
		slices.Sort(flags)
		c.ui.Note("starting a new sign-in; to use a saved one, add %s", strings.Join(flags, " or "))
		return nil
	}
	c.config.Account = others[0].Account
	c.ui.Note("using the saved sign-in of %s", others[0].Account.Flags())
	return others[0]
}

// TokenSource implements [auth.OAuthHandler].
func (c *Client) TokenSource(context.Context) (oauth2.TokenSource, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.source == nil {
		return nil, nil
	}
	return c.source, nil
}

// Authorize implements [auth.OAuthHandler]: it signs in after a 401, and again for more
// scopes after a 403 that asks for them. After a failure it returns the same error
// again, because the go-sdk retries and the user would see a second browser window.
func (c *Client) Authorize(ctx context.Context, _ *http.Request, resp *http.Response) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer resp.Body.Close()
	if c.err == nil {
		if c.err = c.authorize(ctx, resp); c.err != nil {
			err := c.err
			c.failed.Store(&err)
		}
	}
	return c.err
}

// Err returns why sign-in failed, or nil if it did not fail.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Scopes returns the scopes of the current sign-in.
func (c *Client) Scopes() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.scopes()
}

// scopes is Scopes for a caller that holds mu.
func (c *Client) scopes() []string {
	if c.source == nil {
		return nil
	}
	return c.source.scopes()
}

func (c *Client) authorize(ctx context.Context, resp *http.Response) error {
	answer := c.config.Transport.LastAnswer()
	forbidden := resp.StatusCode == http.StatusForbidden
	switch {
	case forbidden && !c.canStepUp(answer), !forbidden && c.signedIn.Load():
		return ExplainAnswer(answer, c.config.Account.Resource, c.scopes())
	case !forbidden && c.source.forceRefresh():
		return nil
	}
	if c.config.Pause != nil {
		defer c.config.Pause()()
	}
	c.ui.Begin("discovering the authorization server")
	server, err := c.discover(ctx, answer.Challenge)
	if err != nil {
		return err
	}
	if c.config.Account.User != "" {
		if err := checkLocal(server.metadata); err != nil {
			return err
		}
	}
	wanted := union(server.scopes, c.config.Scopes)
	if forbidden {
		wanted = union(c.scopes(), wanted)
	}
	c.requested = union(c.requested, wanted)
	held := c.scopes()
	err = c.signInAt(ctx, server, wanted)
	if forbidden {
		err = explainDeniedScope(err, missing(wanted, held))
	}
	return err
}

// canStepUp reports whether to sign in for more scopes after a 403: the server must ask
// for a scope that the sign-in does not hold and that was not requested in this run.
func (c *Client) canStepUp(a *trace.Answer) bool {
	known := union(c.scopes(), c.requested)
	return a.AsksForScope() && len(missing(strings.Fields(a.Challenge["scope"]), known)) > 0
}

// signInAt signs in at an authorization server for the wanted scopes.
func (c *Client) signInAt(ctx context.Context, server *authServer, wanted []string) error {
	saved := c.savedAt(server)
	callback, err := c.openCallback(saved)
	if err != nil {
		return err
	}
	defer callback.close()
	err = c.signInWithClient(ctx, &attempt{server: server, saved: saved, callback: callback, wanted: wanted})
	if err != nil {
		err = explainOAuth(err, c.config.Account.Resource)
	}
	callback.finish(err)
	return err
}

// attempt is one sign-in at one authorization server.
type attempt struct {
	server    *authServer
	saved     *savedsignin.SignIn // the client to use; receives the tokens
	callback  *callback
	wanted    []string // scopes
	newClient bool     // the client was registered in this run
}

// signInWithClient signs in with the saved client. If there is none that can be used,
// or the server does not know it any more, it registers a new one first.
func (c *Client) signInWithClient(ctx context.Context, a *attempt) error {
	if a.saved.Client.MayRequest(a.wanted) {
		err := c.signInOnce(ctx, a)
		if !errors.Is(err, errUnknownClient) || c.config.Account.ClientID != "" {
			return err
		}
	}
	if err := c.register(ctx, a); err != nil {
		return err
	}
	return c.signInOnce(ctx, a)
}

// savedAt returns the saved sign-in at a server, or a new one without a client.
func (c *Client) savedAt(server *authServer) *savedsignin.SignIn {
	account, issuer := c.config.Account, server.metadata.Issuer
	saved, err := c.config.Store.Load(account, issuer)
	if err != nil {
		c.ui.Note("warning: not using the saved sign-in: %v", err)
	}
	if saved == nil {
		saved = &savedsignin.SignIn{Account: account, Issuer: issuer}
	}
	if account.ClientID != "" && (saved.Client.ID != account.ClientID || c.config.ClientSecret != "") {
		saved.Client = savedsignin.Client{ID: account.ClientID, Secret: c.config.ClientSecret}
	}
	saved.RevocationEndpoint = server.metadata.RevocationEndpoint
	return saved
}

// signInOnce runs the authorization code flow with the client of the attempt, and saves
// the tokens. It returns errUnknownClient if the server does not know the client.
func (c *Client) signInOnce(ctx context.Context, a *attempt) error {
	saved := a.saved
	credentials := &oauthex.ClientCredentials{ClientID: saved.Client.ID, Issuer: a.server.metadata.Issuer}
	if saved.Client.Secret != "" {
		credentials.ClientSecretAuth = &oauthex.ClientSecretAuth{ClientSecret: string(saved.Client.Secret)}
	}
	wanted := a.wanted
	if len(wanted) == 0 {
		wanted = strings.Fields(saved.Client.Scope) // otherwise the go-sdk requests offline_access alone
	}
	var source *tokenSource
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		PreregisteredClient: credentials,
		RedirectURL:         a.callback.redirectURI,
		AuthorizationCodeFetcher: func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			return c.fetchCode(ctx, a, withScopesInOrder(args.URL, wanted))
		},
		ScopeFilter:         func([]string) []string { return wanted },
		RequestRefreshToken: true,
		// Accept a correct iss also from servers that do not announce the parameter.
		AcceptUnadvertisedIss: true,
		Client:                a.server.client(tokenClient(c.http)),
		NewTokenSource: func(_ context.Context, config *oauth2.Config, token *oauth2.Token) (oauth2.TokenSource, error) {
			saved.TokenEndpoint = config.Endpoint.TokenURL
			saved.TokenEndpointStyle = int(config.Endpoint.AuthStyle)
			saved.Tokens = newTokens(token, strings.Join(inOrder(config.Scopes, wanted), " "))
			source = c.newTokenSource(saved)
			return source, nil
		},
	})
	if err != nil {
		return err
	}
	req, resp, err := a.server.unauthorized()
	if err != nil {
		return err
	}
	if err := handler.Authorize(ctx, req, resp); err != nil {
		return err
	}
	c.source = source
	c.signedIn.Store(true)
	c.save(saved)
	return nil
}

// save saves a sign-in. A failure is only a warning, because the sign-in itself works.
func (c *Client) save(saved *savedsignin.SignIn) {
	if err := c.config.Store.Save(saved); err != nil {
		c.ui.Note("warning: the next call has to sign in again: %v", err)
	}
}
