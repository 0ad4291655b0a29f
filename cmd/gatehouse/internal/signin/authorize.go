package signin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/auth"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
	"github.com/gatehouse-mcp/gatehouse/diagnose"
)

// errTimeout ends the wait for the user.
var errTimeout = errors.New("no sign-in")

// fetchCode has the user sign in at the authorization URL, and returns the checked
// response.
func (c *Client) fetchCode(ctx context.Context, a *attempt, authURL string) (*auth.AuthorizationResult, error) {
	if err := CheckEndpoint(a.server.metadata.Issuer, "authorization_endpoint", authURL); err != nil {
		return nil, err
	}
	u, err := url.Parse(authURL)
	if err != nil {
		return nil, err
	}
	state := u.Query().Get("state")
	a.callback.expect(state)
	if !a.newClient {
		if err := c.checkClient(ctx, authURL); err != nil {
			return nil, err
		}
	}
	var response authResponse
	if c.config.Account.User != "" {
		response, err = c.signInLocally(ctx, authURL, a.callback.redirectURI)
	} else {
		response, err = c.signInWithBrowser(ctx, authURL, a.callback)
	}
	if err != nil {
		return nil, err
	}
	if err := response.check(state, a.wanted, a.server.metadata); err != nil {
		return nil, err
	}
	c.ui.Step("got the authorization code")
	c.ui.Begin("exchanging the code for a token")
	return &auth.AuthorizationResult{Code: string(response.code), State: response.state, Iss: response.iss}, nil
}

// withScopesInOrder returns an authorization URL with its scopes in the order of inOrder.
// The go-sdk collects them in a map, so that their order changes from run to run.
func withScopesInOrder(authURL string, wanted []string) string {
	endpoint, query, _ := strings.Cut(authURL, "?")
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		value, ok := strings.CutPrefix(pair, "scope=")
		scope, err := url.QueryUnescape(value)
		if ok && err == nil {
			pairs[i] = "scope=" + url.QueryEscape(strings.Join(inOrder(strings.Fields(scope), wanted), " "))
		}
	}
	return endpoint + "?" + strings.Join(pairs, "&")
}

// checkClient returns errUnknownClient if the authorization server does not know the
// client, or not with this redirect URI. The server would show that only in the
// browser, on a page that does not redirect back (RFC 6749 section 4.1.2.1), and this
// program would wait until its timeout.
func (c *Client) checkClient(ctx context.Context, authURL string) error {
	resp, err := c.visit(ctx, authURL, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := pageError(resp); err != nil {
		return err
	}
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		body, err := trace.Peek(resp, trace.MaxErrorBody)
		if err != nil {
			return err
		}
		said := trace.JoinNonEmpty(": ", fmt.Sprint(resp.StatusCode), trace.ErrorText(resp, body))
		c.ui.Step("the authorization server does not know this client or its redirect URI: %s", said)
		return fmt.Errorf("%w: %s", errUnknownClient, said)
	}
	return nil
}

// maxErrorPage bounds what is read of a page in which an error may be, in bytes. The error is
// in its first part.
const maxErrorPage = 256 << 10

// entraError matches an error of Microsoft Entra ID in a page.
var entraError = regexp.MustCompile(`AADSTS\d+: [^"<>\\]{1,300}`)

// pageError returns the error in a page of Microsoft Entra ID. Entra ID shows most errors of a
// request only there, and does not redirect back with them.
func pageError(resp *http.Response) error {
	if mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); mediaType != "text/html" {
		return nil
	}
	page, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorPage))
	if err != nil {
		return fmt.Errorf("reading the page of the authorization server: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(page))
	said := entraError.FindString(html.UnescapeString(string(page)))
	if said == "" {
		return nil
	}
	hint := "look the code up at https://login.microsoftonline.com/error"
	if e, ok := diagnose.ExplainEntra(said); ok {
		hint = e.Fix
	}
	return failure.New(hint, "authorization server rejects the sign-in: %s", trace.OneLine(said))
}

// visit gets the authorization URL as a browser would, but follows no redirect.
func (c *Client) visit(ctx context.Context, authURL string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, authURL, nil)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	visitor := *c.http
	visitor.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return visitor.Do(req)
}

// signInWithBrowser opens the browser, or prints the link, and waits for the
// authorization response.
func (c *Client) signInWithBrowser(ctx context.Context, authURL string, cb *callback) (authResponse, error) {
	c.ui.Begin("waiting for the sign-in in the browser")
	c.showLink(authURL, cb)
	ctx, cancel := context.WithTimeoutCause(ctx, c.config.Timeout, errTimeout)
	defer cancel()
	return c.await(ctx, cb)
}

func (c *Client) showLink(authURL string, cb *callback) {
	if c.config.NoBrowser {
		c.ui.Note("open this link to sign in: %s", authURL)
		return
	}
	if err := c.ui.OpenBrowser(authURL); err != nil {
		c.ui.Note("no browser opened (%v); open this link to sign in: %s", err, authURL)
		c.ui.Note("the browser must reach %s on this machine; from another machine: ssh -L %s:%s", cb.host, cb.host, cb.host)
		return
	}
	c.ui.Step("opened the browser")
	c.ui.Note("opened the browser to sign in; if no window appears, open this link: %s", authURL)
}

// await waits for the authorization response, and shows a countdown meanwhile.
func (c *Client) await(ctx context.Context, cb *callback) (authResponse, error) {
	counting, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.ui.Countdown(counting, "the sign-in in the browser", c.config.Timeout)
	}()
	defer func() { stop(); <-done }()
	select {
	case response := <-cb.responses:
		return response, nil
	case <-ctx.Done():
	}
	if errors.Is(context.Cause(ctx), errTimeout) {
		said := ""
		if n := cb.ignoredAnswers(); n > 0 {
			said = fmt.Sprintf("; answers ignored because their state is of another sign-in: %d", n)
		}
		return authResponse{}, failure.New(
			"run the command again; --timeout waits longer, --no-browser prints the link; if the page reported a problem "+
				"with the client, --logout forgets the client",
			"%w within %s%s", errTimeout, c.config.Timeout, said)
	}
	return authResponse{}, ctx.Err()
}
