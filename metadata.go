package gatehouse

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/internal/remote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// documentMaxAge is how long clients and proxies may keep a discovery document.
const documentMaxAge = 5 * time.Minute

// resource is the endpoint under one of its names, with its metadata.
type resource struct {
	url         string
	host        string
	metadataURL string
}

// newResource returns the resource under one of its names.
func (s *settings) newResource(alias string) (resource, error) {
	u, err := url.Parse(alias)
	if err != nil {
		return resource{}, err
	}
	return resource{
		url:         alias,
		host:        plainHost(u.Scheme, u.Host),
		metadataURL: u.Scheme + "://" + u.Host + wellknown.ProtectedResource(u),
	}, nil
}

// resourceMetadata returns the metadata of the resource under one of its names (RFC 9728 §2).
// Empty members are omitted (§3.2). scopes are those of all providers.
func (s *settings) resourceMetadata(alias string, scopes [][]string) ([]byte, error) {
	return json.Marshal(struct {
		Resource               string   `json:"resource"`
		AuthorizationServers   []string `json:"authorization_servers"`
		ScopesSupported        []string `json:"scopes_supported,omitempty"`
		BearerMethodsSupported []string `json:"bearer_methods_supported"`
		ResourceName           string   `json:"resource_name,omitempty"`
		ResourceDocumentation  string   `json:"resource_documentation,omitempty"`
	}{alias, s.authorizationServers(), union(scopes...), []string{"header"}, s.ResourceName, s.ResourceDocumentation})
}

// resourceFor returns the index of the resource whose host is the Host of r, or of the
// canonical one if there is none. The text of a request never becomes part of a URL.
func (g *Guard) resourceFor(r *http.Request) int {
	host := plainHost(g.resourceURL.Scheme, r.Host)
	return max(slices.IndexFunc(g.resources, func(r resource) bool { return r.host == host }), 0)
}

// hostMetadataPaths are the paths of documents that exist once on a host.
var hostMetadataPaths = []string{
	wellknown.ProtectedResourcePath, wellknown.AuthorizationServerPath, wellknown.OpenIDConfigurationPath,
}

// MetadataPaths returns the paths that [Guard.MetadataHandler] serves, for routers other
// than [http.ServeMux].
func (g *Guard) MetadataPaths() []string { return union(g.ownMetadataPaths(), hostMetadataPaths) }

// ownMetadataPaths returns the paths of the protected resource metadata that contain the path
// of the endpoint: the public one, and the local one for a proxy that removes a prefix.
func (g *Guard) ownMetadataPaths() []string {
	paths := union(
		[]string{wellknown.ProtectedResource(g.resourceURL)},
		[]string{wellknown.ProtectedResourcePath + g.endpoint},
	)
	return slices.DeleteFunc(paths, func(path string) bool { return path == wellknown.ProtectedResourcePath })
}

// MetadataHandler returns a handler for the paths of [Guard.MetadataPaths]. It serves the
// documents that clients need before they have a token: the protected resource metadata
// (RFC 9728), with the path of the endpoint and without it; and the provider's own
// authorization server metadata (RFC 8414 and OpenID Connect Discovery), unchanged, for
// clients of MCP 2025-03-26, which request it from the MCP server. The documents are
// public, and pages of every web origin may read them.
func (g *Guard) MetadataHandler() http.Handler {
	own := g.ownMetadataPaths()
	return listen.LimitBodies(g.limits.bodies, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		switch r.Method {
		case http.MethodGet, http.MethodHead:
		case http.MethodOptions:
			h.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
			h.Set("Access-Control-Allow-Headers", g.corsHeaders)
			h.Set("Access-Control-Max-Age", corsMaxAge)
			w.WriteHeader(http.StatusNoContent)
			return
		default:
			h.Set("Allow", "GET, HEAD, OPTIONS")
			writeError(w, r, http.StatusMethodNotAllowed,
				errorBody{Error: reason.CodeInvalidRequest, Description: "use GET to read this document"})
			return
		}
		switch path := r.URL.Path; {
		case path == wellknown.ProtectedResourcePath || slices.Contains(own, path):
			h.Add("Vary", "Host")
			writeDocument(w, r, g.policy().metadata[g.resourceFor(r)])
		case path == wellknown.AuthorizationServerPath:
			passThrough(w, r, g.issuers[0].documents.authorizationServer)
		case path == wellknown.OpenIDConfigurationPath:
			passThrough(w, r, g.issuers[0].documents.openIDConfiguration)
		default:
			writeError(w, r, http.StatusNotFound, errorBody{Error: reason.CodeNotFound, Description: "this server has no such document"})
		}
	}))
}

// passThrough serves a document of the provider unchanged.
func passThrough(w http.ResponseWriter, r *http.Request, doc *remote.Document) {
	document, err := doc.Get(r.Context())
	switch {
	case remote.ClassOf(err) == remote.NotFound:
		writeError(w, r, http.StatusNotFound, errorBody{Error: reason.CodeNotFound, Description: "the provider has no such document"})
	case err != nil:
		info := infoOf(reason.ProviderUnavailable)
		setRetryAfter(w.Header(), err)
		writeError(w, r, info.Status, errorBody{info.Code, info.Phrase, info.Reason})
	default:
		writeDocument(w, r, document.Body)
	}
}

func writeDocument(w http.ResponseWriter, r *http.Request, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(documentMaxAge.Seconds())))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}
