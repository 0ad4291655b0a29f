package revocationport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"syscall"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/internal/operator"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// maxAnswer bounds what a client reads of an answer in bytes. It is more than a full list.
const maxAnswer = 256 << 20

// Client sends revocations to the operator port of a gateway.
type Client struct {
	base string
	key  gatehouse.Secret
	http *http.Client
}

// NewClient returns a client of the operator port at address, like "http://localhost:9090". It must be on
// loopback: the port serves revocations there only, and the key is sent without TLS. If it is not, problem
// and fix say why.
func NewClient(address string, key gatehouse.Secret) (c *Client, problem, fix string) {
	const example = "write it like http://localhost:9090"
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/":
		return nil, "is not the URL of an operator port", example
	case !wellknown.IsLoopback(u.Host):
		return nil, "is not on this machine, and the operator port takes revocations on loopback only",
			`forward the port, like "kubectl port-forward POD 9090" or "ssh -L 9090:localhost:9090 HOST", and use http://localhost:9090`
	case len(key) < MinKey:
		return nil, fmt.Sprintf("has a key of %d bytes, want at least %d", len(key), MinKey), "use the key of operator.revoke_key in the file of the gateway"
	}
	// No proxy of the environment gets the key.
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Client{base: "http://" + u.Host, key: key, http: client}, "", ""
}

// String returns the URL of the operator port.
func (c *Client) String() string { return c.base }

// Add adds a revocation. The answer has what the gateway made of it.
func (c *Client) Add(ctx context.Context, r Revocation) (*Answer, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return c.do(ctx, http.MethodPost, body)
}

// List returns the revocations that have not ended.
func (c *Client) List(ctx context.Context) (*Answer, error) { return c.do(ctx, http.MethodGet, nil) }

func (c *Client) do(ctx context.Context, method string, body []byte) (*Answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+operator.RevocationsPath, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+string(c.key))
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, failure.New("start the gateway with operator: {listen: …, revoke_key_file: …} in its file, or correct the address",
			"no operator port listens at %s", c.base)
	} else if err != nil {
		return nil, failure.New("check that the address is that of the gateway's operator port", "%w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, failure.New("look at the log of the gateway", "reading the answer of %s: %w", c.base, err)
	}
	var a Answer
	decodeErr := json.Unmarshal(text, &a)
	switch {
	case resp.StatusCode == http.StatusOK && decodeErr == nil && len(a.Status) > 0:
		return &a, nil
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusMethodNotAllowed:
		return nil, failure.New("add operator: {revoke_key_file: FILE} to the file of the gateway and restart it",
			"the server at %s takes no revocations (%s)", c.base, resp.Status)
	case resp.StatusCode == http.StatusUnauthorized:
		return nil, failure.New("use the key of operator.revoke_key with which the gateway was started", "the gateway at %s has another key", c.base)
	case a.Reason != "":
		return nil, failure.New("change what the gateway names, or look at its log", "the gateway at %s: %s", c.base, a.Reason)
	}
	return nil, failure.New("check that the address is that of the gateway's operator port", "%s answered %s", c.base, resp.Status)
}
