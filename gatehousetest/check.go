package gatehousetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

const (
	// maxDocument bounds, in bytes, the metadata documents and error bodies that Check reads.
	maxDocument = 64 << 10
	// maxQuoted bounds, in bytes, a text of the server in a message.
	maxQuoted = 300
)

// initialize is a request that an MCP server of every revision answers, and that needs no
// session.
const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25",` +
	`"capabilities":{},"clientInfo":{"name":"gatehousetest","version":"1"}}}`

// Check tests the sign-in of the MCP server whose endpoint has the URL resource. The
// server must be running, and its users must sign in with c. Each fault fails t with a
// message that says how to fix it. Check tests that
//
//   - a request without a token gets 401, with a challenge that leads to the metadata
//     (RFC 6750 §3, RFC 9728 §5.1), whatever its method, and also with a slash after the path,
//   - the protected resource metadata is served at the path of the endpoint and at the
//     root, and names the endpoint and c (RFC 9728 §3); of several endpoints on one host, the
//     metadata at the root may name another,
//   - a valid token is accepted in the Authorization header, and not in the query,
//   - a token with any of [Flaws] gets 401.
//
// The valid token has the scopes of the server's challenge.
func (c *ClerkServer) Check(t testing.TB, resource string) {
	t.Helper()
	u, err := url.Parse(resource)
	if err != nil || u.Scheme == "" || u.Host == "" {
		t.Fatalf("gatehousetest: checking %q: it is not an absolute URL; pass the URL of the MCP endpoint", resource)
	}
	k := &checker{clerk: c, resource: resource, url: u}
	faults, err := k.check(t)
	if err != nil {
		t.Fatalf("gatehousetest: checking %q: %v", resource, err)
	}
	for _, fault := range faults {
		t.Errorf("gatehousetest: checking %q: %s", resource, fault)
	}
}

// checker runs one Check. It collects faults, so that all of them are reported at once.
type checker struct {
	clerk    *ClerkServer
	resource string
	url      *url.URL
	scopes   []string // of the challenge
	visited  []string // addresses of documents, each of which is checked once
	faults   []string
}

func (k *checker) fault(format string, args ...any) {
	k.faults = append(k.faults, fmt.Sprintf(format, args...))
}

// check returns the faults. The error says why the server cannot be checked.
func (k *checker) check(t testing.TB) ([]string, error) {
	t.Helper()
	ctx := t.Context()
	if err := k.withoutToken(ctx); err != nil {
		return nil, err
	}
	k.documents(ctx)
	who := Person{Scopes: slices.Concat([]string{localclerk.ScopeProfile, localclerk.ScopeEmail}, k.scopes)}
	slices.Sort(who.Scopes)
	who.Scopes = slices.Compact(who.Scopes)
	k.validToken(ctx, k.clerk.Token(t, k.resource, who))
	for _, flaw := range Flaws() {
		a, err := send(ctx, http.MethodPost, k.resource, k.clerk.Token(t, k.resource, who, flaw))
		switch {
		case err != nil:
			return nil, err
		case a.status != http.StatusUnauthorized:
			k.fault("a token with %s gets status %d, want 401; protect the endpoint with a guard that verifies tokens%s",
				flaw, a.status, a.reason())
		}
	}
	return k.faults, nil
}

// withoutToken sends requests without a token.
func (k *checker) withoutToken(ctx context.Context) error {
	a, err := send(ctx, http.MethodPost, k.resource, "")
	if err != nil {
		return err
	}
	if err := a.requireUnauthorized(k.resource); err != nil {
		k.fault("%v", err)
	} else {
		k.challenge(ctx, a)
	}
	// A server may lack these methods and this path, but it must not answer without a token.
	for _, other := range []struct{ method, url string }{
		{http.MethodGet, k.resource},
		{http.MethodDelete, k.resource},
		{http.MethodPost, strings.TrimSuffix(k.resource, "/") + "/"},
	} {
		a, err := send(ctx, other.method, other.url, "")
		switch {
		case err != nil:
			return err
		case !slices.Contains([]int{http.StatusUnauthorized, http.StatusNotFound, http.StatusMethodNotAllowed}, a.status):
			k.fault("%s %s without a token gets status %d, want 401; protect every method of the endpoint, with Guard.Mount or Guard.Wrap",
				other.method, other.url, a.status)
		}
	}
	return nil
}

// challenge checks the challenge of a request without a token, and keeps its scopes.
func (k *checker) challenge(ctx context.Context, a answer) {
	const fix = "let the guard write the answer, and let no middleware remove its headers"
	values := a.header.Values("WWW-Authenticate")
	challenges, err := oauthex.ParseWWWAuthenticate(values)
	if err != nil {
		k.fault("WWW-Authenticate %s cannot be parsed: %v; %s", quoted(strings.Join(values, ", ")), err, fix)
		return
	}
	i := slices.IndexFunc(challenges, func(c oauthex.Challenge) bool { return strings.EqualFold(c.Scheme, "Bearer") })
	if i < 0 {
		k.fault("the 401 has WWW-Authenticate %s, want a Bearer challenge, or clients do not start a sign-in; %s",
			quoted(strings.Join(values, ", ")), fix)
		return
	}
	params := challenges[i].Params
	k.scopes = strings.Fields(params["scope"])
	if code := params["error"]; code != "" {
		k.fault("the challenge of a request without a token has error=%s, want none (RFC 6750 section 3.1); %s", quoted(code), fix)
	}
	if params["resource_metadata"] == "" {
		k.fault("the challenge has no resource_metadata, so clients do not find the authorization server; %s", fix)
		return
	}
	k.document(ctx, params["resource_metadata"], "the resource_metadata of the challenge")
}

// documents checks the protected resource metadata at both of its paths.
func (k *checker) documents(ctx context.Context) {
	origin := k.url.Scheme + "://" + k.url.Host
	k.document(ctx, origin+wellknown.ProtectedResource(k.url), "the metadata at the path of the endpoint")
	k.document(ctx, origin+wellknown.ProtectedResourcePath, "the metadata at the root")
}

// document checks the protected resource metadata at address.
func (k *checker) document(ctx context.Context, address, name string) {
	if slices.Contains(k.visited, address) {
		return
	}
	k.visited = append(k.visited, address)
	a, err := send(ctx, http.MethodGet, address, "")
	if err != nil {
		k.fault("%s: %v", name, err)
		return
	}
	if a.status != http.StatusOK {
		k.fault("%s (%s) gets status %d, want 200; "+
			"serve it with Guard.Mount, or with Guard.MetadataHandler at each of Guard.MetadataPaths", name, address, a.status)
		return
	}
	var document struct {
		Resource             string   `json:"resource"`
		AuthorizationServers []string `json:"authorization_servers"`
	}
	if err := json.Unmarshal(a.body, &document); err != nil {
		k.fault("%s (%s) is not the JSON of RFC 9728: %v; let Guard.MetadataHandler serve it", name, address, err)
		return
	}
	if !k.names(document.Resource) && !k.belongsToAnother(ctx, address, document.Resource) {
		k.fault("%s (%s) has the resource %s, want %q, or clients stop; "+
			"set gatehouse.Config.Resource (serve.Config.URL) to the URL that clients use", name, address, quoted(document.Resource), k.resource)
	}
	if !slices.Contains(document.AuthorizationServers, k.clerk.Issuer()) {
		k.fault("%s (%s) has the authorization servers %q, want %q; set Provider to the result of ClerkServer.Provider",
			name, address, document.AuthorizationServers, k.clerk.Issuer())
	}
}

// names reports whether resource is the endpoint. At the root of a host, the empty path
// and a slash are the same (RFC 3986 §6.2.3).
func (k *checker) names(resource string) bool {
	root := k.url.Path == "" || k.url.Path == "/"
	return resource == k.resource || root && strings.TrimSuffix(resource, "/") == strings.TrimSuffix(k.resource, "/")
}

// belongsToAnother reports whether the metadata at address is that of the root, and
// resource is another endpoint of the same host, with metadata at its own path.
func (k *checker) belongsToAnother(ctx context.Context, address, resource string) bool {
	other, err := url.Parse(resource)
	origin := k.url.Scheme + "://" + k.url.Host
	if err != nil || address != origin+wellknown.ProtectedResourcePath || other.Scheme+"://"+other.Host != origin {
		return false
	}
	own := origin + wellknown.ProtectedResource(other)
	if own == address {
		return false
	}
	a, err := send(ctx, http.MethodGet, own, "")
	return err == nil && a.status == http.StatusOK
}

// validToken sends a valid token, in the header and in the query.
func (k *checker) validToken(ctx context.Context, token string) {
	a, err := send(ctx, http.MethodPost, k.resource, token)
	switch {
	case err != nil:
		k.fault("with a valid token: %v", err)
		return
	case a.status == http.StatusForbidden:
		k.fault("a valid token with the scopes %q gets status 403, want 200; check what the server requires of every caller%s",
			k.scopes, a.reason())
	case a.status == http.StatusUnauthorized:
		k.fault("a valid token gets status 401, want 200; make the guard with the result of ClerkServer.Provider and with the Resource %q%s",
			k.resource, a.reason())
	case a.status < 200 || a.status > 299:
		k.fault("a valid token gets status %d for the method initialize, want 200%s", a.status, a.reason())
	}
	if session := a.header.Get("Mcp-Session-Id"); session != "" {
		endSession(ctx, k.resource, token, session)
	}
	query := url.Values{"access_token": {token}}
	a, err = send(ctx, http.MethodPost, k.resource+"?"+query.Encode(), "")
	if err == nil && a.status != http.StatusBadRequest && a.status != http.StatusUnauthorized {
		k.fault("a token in the query gets status %d, want 400 or 401: URLs are logged; "+
			"read tokens from the Authorization header only", a.status)
	}
}

// endSession ends the session that a server opened for a valid token. A server may reject that.
func endSession(ctx context.Context, resource, token, session string) {
	req, err := newRequest(ctx, http.MethodDelete, resource, token)
	if err != nil {
		return
	}
	req.Header.Set("Mcp-Session-Id", session)
	if resp, err := plainClient.Do(req); err == nil {
		resp.Body.Close()
	}
}

// answer is the response to a request of a check.
type answer struct {
	status int
	header http.Header
	body   []byte // of errors and documents only; a stream may never end
}

// plainClient follows no redirects, so that the status is that of the server itself.
var plainClient = &http.Client{
	Timeout:       signInTimeout,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// send sends one request. The body of a POST is initialize. Without a token, there is no
// Authorization header.
func send(ctx context.Context, method, address, token string) (answer, error) {
	req, err := newRequest(ctx, method, address, token)
	if err != nil {
		return answer{}, err
	}
	resp, err := plainClient.Do(req)
	if err != nil {
		var fault *url.Error
		if errors.As(err, &fault) {
			err = fault.Err // without the URL, which may contain a token
		}
		return answer{}, fmt.Errorf("%s %s: %w; start the server first", method, req.URL.Host+req.URL.Path, err)
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		a.body, _ = io.ReadAll(io.LimitReader(resp.Body, maxDocument))
	}
	return a, nil
}

func newRequest(ctx context.Context, method, address, token string) (*http.Request, error) {
	var body io.Reader = http.NoBody
	if method == http.MethodPost {
		body = strings.NewReader(initialize)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json, text/event-stream")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req, nil
}

// requireUnauthorized returns an error if the answer to a request without a token is not
// a 401.
func (a answer) requireUnauthorized(resource string) error {
	switch {
	case a.status == http.StatusUnauthorized:
		return nil
	case a.status == http.StatusNotFound:
		return fmt.Errorf("request without a token: status 404, want 401; "+
			"check that a guard protects %s and that this is the URL of the MCP endpoint", resource)
	case a.status >= 200 && a.status < 300:
		return fmt.Errorf("request without a token: status %d, want 401: anyone can call this server; "+
			"check that a guard protects %s, with Guard.Mount, Guard.Wrap or serve", a.status, resource)
	}
	return fmt.Errorf("request without a token: status %d, want 401; check that a guard protects %s", a.status, resource)
}

// reason returns the reason in the body of a guard's answer, to be appended to a message.
func (a answer) reason() string {
	var body struct {
		Reason      string `json:"reason"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(a.body, &body) != nil || body.Reason == "" {
		return ""
	}
	return fmt.Sprintf(" (the answer has the reason %s: %s)", quoted(body.Reason), quoted(body.Description))
}

// quoted returns text of the server, shortened and quoted for a message.
func quoted(text string) string { return fmt.Sprintf("%q", quote.Clip(text, maxQuoted)) }
