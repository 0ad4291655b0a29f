package trace

import (
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// Transport is an [http.RoundTripper] that reports every exchange of a call and of
// its sign-in. It is safe for concurrent use.
type Transport struct {
	next     http.RoundTripper
	endpoint string // the URL of the MCP endpoint, without its query
	step     Stepper

	mu         sync.Mutex
	roles      map[string]Role // by URL without query, as learned from challenges and metadata
	last       *Answer         // newest informative answer of the MCP endpoint
	rejections map[Role]string // newest rejection by each endpoint of the sign-in
	resource   string          // resource of the newest protected resource metadata
	issuer     string          // issuer of the newest authorization server metadata
}

// Stepper prints one line about the flow.
type Stepper func(format string, args ...any)

// Role is the purpose of a URL.
type Role int

// The roles of URLs.
const (
	RoleOther Role = iota
	RoleMCP
	RoleResourceMetadata
	RoleServerMetadata
	RoleRegistration
	RoleToken
	RoleRevocation
)

// NewTransport returns a Transport that sends requests through next and reports each
// exchange to step. endpoint is the URL of the MCP endpoint.
func NewTransport(next http.RoundTripper, endpoint string, step Stepper) *Transport {
	if u, err := url.Parse(endpoint); err == nil {
		endpoint = WithoutQuery(u)
	}
	return &Transport{
		next:       next,
		endpoint:   endpoint,
		step:       step,
		roles:      map[string]Role{endpoint: RoleMCP},
		rejections: map[Role]string{},
	}
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	role := t.roleOf(req.URL)
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		if req.Context().Err() == nil {
			t.step("%s: %v", attempt(role, req), err)
		}
		return nil, err
	}
	switch role {
	case RoleMCP:
		err = t.recordMCP(req, resp)
	case RoleOther:
	default:
		err = t.recordOAuth(role, req, resp)
	}
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// Learn records the role of a URL. The role of the MCP endpoint does not change.
func (t *Transport) Learn(rawURL string, role Role) {
	u, err := url.Parse(rawURL)
	if err != nil || rawURL == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if bare := WithoutQuery(u); bare != t.endpoint {
		t.roles[bare] = role
	}
}

// LastAnswer returns the newest informative answer of the MCP endpoint, or nil before
// the first. A rejection is always informative.
func (t *Transport) LastAnswer() *Answer {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// Resource returns the resource that the newest protected resource metadata names, or
// "".
func (t *Transport) Resource() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.resource
}

// Issuer returns the issuer that the newest authorization server metadata names, or "".
func (t *Transport) Issuer() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.issuer
}

// Rejection returns the status and the error text of the newest rejection by an
// endpoint of the sign-in, or "". Print it instead of the errors of the OAuth
// libraries, which may quote a whole response with its secrets.
func (t *Transport) Rejection(role Role) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rejections[role]
}

func (t *Transport) roleOf(u *url.URL) Role {
	t.mu.Lock()
	defer t.mu.Unlock()
	if role, ok := t.roles[WithoutQuery(u)]; ok {
		return role
	}
	switch {
	case strings.HasPrefix(u.Path, wellknown.ProtectedResourcePath):
		return RoleResourceMetadata
	case strings.HasPrefix(u.Path, wellknown.AuthorizationServerPath), strings.Contains(u.Path, wellknown.OpenIDConfigurationPath):
		return RoleServerMetadata
	}
	return RoleOther
}

// attempt describes the purpose of a request, for an exchange that failed.
func attempt(role Role, req *http.Request) string {
	where := WithoutQuery(req.URL)
	switch role {
	case RoleMCP:
		return "asked " + where
	case RoleResourceMetadata:
		return "asked " + where + " for the protected resource metadata"
	case RoleServerMetadata:
		return "asked " + where + " for the authorization server metadata"
	case RoleRegistration:
		return "asked " + where + " to register a client"
	case RoleToken:
		return "asked " + where + " for a token"
	case RoleRevocation:
		return "asked " + where + " to revoke a token"
	}
	return req.Method + " " + where
}
