package signin

import (
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
	"github.com/gatehouse-mcp/gatehouse/diagnose"
)

// errTokenRejected reports that the MCP endpoint rejects the token of a new sign-in.
var errTokenRejected = errors.New("server rejects the token of the new sign-in")

// Transport returns the transport for the requests to the MCP endpoint. After a failure,
// the go-sdk tries again with an older revision of the protocol. Where that cannot help,
// the transport returns the first error again and sends nothing: after a sign-in that
// failed, a rejected token of a new sign-in, a redirect, or if the server is unreachable.
//
// A redirect is an error. If it were followed, a POST request would become a GET request,
// and the URL would not be the resource of the sign-in.
func (c *Client) Transport() http.RoundTripper { return &mcpTransport{client: c} }

type mcpTransport struct {
	client   *Client
	answered atomic.Bool // the server sent an answer in this run
}

// RoundTrip implements [http.RoundTripper].
func (t *mcpTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if failed := t.client.failed.Load(); failed != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, *failed
	}
	resp, err := t.client.config.Transport.RoundTrip(req)
	if err == nil {
		err = checkRedirect(req, resp)
	}
	if err != nil {
		if !t.answered.Load() && req.Context().Err() == nil {
			t.client.failed.Store(&err)
		}
		return nil, err
	}
	t.answered.Store(true)
	if resp.StatusCode == http.StatusUnauthorized && t.client.signedIn.Load() {
		err := errTokenRejected
		t.client.failed.Store(&err)
	}
	return resp, nil
}

// checkRedirect returns an error, and closes the body, if the response is a redirect.
func checkRedirect(req *http.Request, resp *http.Response) error {
	location := resp.Header.Get("Location")
	if resp.StatusCode < 300 || resp.StatusCode >= 400 || location == "" {
		return nil
	}
	resp.Body.Close()
	target, err := req.URL.Parse(location)
	if err != nil {
		return failure.New("report this to the operator of the server", "%q redirects to a URL that is malformed", req.URL)
	}
	return or(setupFailure(diagnose.ExplainRedirect(req.URL, target), "%q redirects to %q", req.URL, trace.WithoutQuery(target)),
		"call that URL, if you trust it")
}
