package serve

import (
	"bytes"
	"io"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	versionHeader = "Mcp-Protocol-Version"
	sessionHeader = "Mcp-Session-Id"
	// firstStateless is the first revision without sessions. Revisions are dates and
	// compare as strings.
	firstStateless = "2026-07-28"
	// versionMember is the member of _meta in which a request of a stateless revision
	// names that revision.
	versionMember = "io.modelcontextprotocol/protocolVersion"
)

// revisions serves the stateless revisions of MCP and those with sessions on one URL. A
// handler of the go-sdk serves only one of the two kinds. With [Config.Stateless], the
// earlier revisions have no sessions either.
func (s *Server) revisions() http.Handler {
	getServer := func(*http.Request) *mcp.Server { return s.MCP }
	// The go-sdk's check of the Host header is off: the guard checks it against the
	// public URL, and the go-sdk would reject requests from a proxy on this machine.
	stateless := mcp.NewStreamableHTTPHandler(getServer, &mcp.StreamableHTTPOptions{
		Stateless:                    true,
		DisableLocalhostProtection:   true,
		PropagateRequestCancellation: true,
	})
	if s.config.Stateless {
		return stateless
	}
	stateful := mcp.NewStreamableHTTPHandler(getServer, &mcp.StreamableHTTPOptions{
		SessionTimeout:             s.guard.SessionTimeout(),
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

// isStateless reports whether r is a request of a stateless revision. If it has no
// version header, its body decides: a client that forgot the header then gets the
// error of the stateless handler, which names the header.
func isStateless(r *http.Request) bool {
	if version := r.Header.Get(versionHeader); version != "" {
		return version >= firstStateless
	}
	if r.Method != http.MethodPost || r.Header.Get(sessionHeader) != "" {
		return false
	}
	body, err := io.ReadAll(r.Body)
	r.Body = &replayedBody{Reader: bytes.NewReader(body), err: err, Closer: r.Body}
	return bytes.Contains(body, []byte(versionMember))
}

// replayedBody is a body that was read before, followed by the error that ended it.
type replayedBody struct {
	io.Reader
	io.Closer
	err error
}

func (b *replayedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF && b.err != nil {
		err = b.err
	}
	return n, err
}
