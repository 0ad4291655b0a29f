package serve

import (
	"bytes"
	"io"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	versionHeader = "Mcp-Protocol-Version"
	// statelessSince is the first revision without sessions. Revisions are dates
	// and compare as strings.
	statelessSince = "2026-07-28"
	// versionMember is the member of _meta by which a request names a stateless
	// revision, whatever its header says.
	versionMember = "io.modelcontextprotocol/protocolVersion"
)

// bothEras serves the stateless revisions of MCP and those with sessions on one
// URL: a handler of go-sdk is good for one of them. The guard is before both.
func bothEras(server *mcp.Server) http.Handler {
	get := func(*http.Request) *mcp.Server { return server }
	// The guard has checked the Host, and knows the public one; the handlers
	// would refuse it behind a proxy on this machine.
	stateless := mcp.NewStreamableHTTPHandler(get, &mcp.StreamableHTTPOptions{
		Stateless:                    true,
		DisableLocalhostProtection:   true,
		PropagateRequestCancellation: true,
	})
	stateful := mcp.NewStreamableHTTPHandler(get, &mcp.StreamableHTTPOptions{
		SessionTimeout:             sessionTimeout,
		DisableLocalhostProtection: true,
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isStateless(r) {
			stateless.ServeHTTP(w, r)
		} else {
			stateful.ServeHTTP(w, r)
		}
	})
}

// isStateless reports to which era r belongs. Without a version header the body
// is looked at, so that a client that forgot the header is told so.
func isStateless(r *http.Request) bool {
	if version := r.Header.Get(versionHeader); version != "" {
		return version >= statelessSince
	}
	if r.Method != http.MethodPost || r.Header.Get("Mcp-Session-Id") != "" {
		return false
	}
	body, err := io.ReadAll(r.Body)
	r.Body = &replayed{Reader: bytes.NewReader(body), err: err, Closer: r.Body}
	return bytes.Contains(body, []byte(versionMember))
}

// replayed is a body read once already, with the error that it ended in.
type replayed struct {
	io.Reader
	io.Closer
	err error
}

func (b *replayed) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF && b.err != nil {
		err = b.err
	}
	return n, err
}
