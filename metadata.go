package gatehouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/internal/remote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// documentMaxAge is how long clients and proxies may keep a discovery document.
const documentMaxAge = 5 * time.Minute

// documents are the provider's own, passed through.
type documents struct {
	authorizationServer *remote.Document
	openIDConfiguration *remote.Document
}

// describe writes what is told about the resource under one of its names: the
// metadata of RFC 9728 §2. Empty members are left out (§3.2).
func (s *settings) describe(alias string) (resource, error) {
	u, err := url.Parse(alias)
	if err != nil {
		return resource{}, err
	}
	metadata, err := json.Marshal(struct {
		Resource               string   `json:"resource"`
		AuthorizationServers   []string `json:"authorization_servers"`
		ScopesSupported        []string `json:"scopes_supported,omitempty"`
		BearerMethodsSupported []string `json:"bearer_methods_supported"`
		ResourceName           string   `json:"resource_name,omitempty"`
		ResourceDocumentation  string   `json:"resource_documentation,omitempty"`
	}{alias, []string{s.Provider.Issuer}, s.scopes, []string{"header"}, s.ResourceName, s.ResourceDocumentation})
	if err != nil {
		return resource{}, err
	}
	return resource{
		url:         alias,
		host:        u.Host,
		metadataURL: u.Scheme + "://" + u.Host + wellknown.ProtectedResource(u),
		metadata:    metadata,
	}, nil
}

func (s *settings) openDocuments() (documents, error) {
	as, err1 := wellknown.AuthorizationServer(s.Provider.Issuer)
	oidc, err2 := wellknown.OpenIDConfiguration(s.Provider.Issuer)
	if err := errors.Join(err1, err2); err != nil {
		return documents{}, err
	}
	return documents{
		authorizationServer: s.openDocument(as),
		openIDConfiguration: s.openDocument(oidc),
	}, nil
}

func (s *settings) openDocument(url string) *remote.Document {
	return remote.New(remote.Config{URL: url, Client: s.HTTPClient, Logger: s.Logger, Accept: s.checkIssuer})
}

// checkIssuer keeps a document of somebody else's from being passed on or
// believed (RFC 8414 §3.3).
func (s *settings) checkIssuer(document remote.Copy) error {
	var doc struct {
		Issuer string `json:"issuer"`
	}
	if err := json.Unmarshal(document.Body, &doc); err != nil {
		return err
	}
	if doc.Issuer != s.Provider.Issuer {
		return fmt.Errorf("metadata issuer is %q, want %q", doc.Issuer, s.Provider.Issuer)
	}
	return nil
}

// locateKeys finds the jwks_uri in the issuer's metadata: RFC 8414 first, then
// OpenID Connect Discovery.
func (d documents) locateKeys(ctx context.Context) (string, error) {
	var faults []error
	for _, document := range []*remote.Document{d.authorizationServer, d.openIDConfiguration} {
		c, err := document.Get(ctx)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		var metadata struct {
			JWKSURI string `json:"jwks_uri"`
		}
		if err := json.Unmarshal(c.Body, &metadata); err == nil && metadata.JWKSURI != "" {
			return metadata.JWKSURI, nil
		}
		faults = append(faults, errors.New("metadata has no jwks_uri"))
	}
	return "", errors.Join(faults...)
}

// MetadataPaths lists the paths that [Guard.MetadataHandler] answers.
func (g *Guard) MetadataPaths() []string {
	return union(
		[]string{wellknown.ProtectedResource(g.resource), wellknown.ProtectedResourcePath},
		[]string{wellknown.AuthorizationServerPath, wellknown.OpenIDConfigurationPath},
	)
}

// MetadataHandler serves the documents that clients look for before they have a
// token, at the paths of [Guard.MetadataPaths]: the protected resource metadata
// (RFC 9728), at the path of the endpoint and at the root, and the provider's
// own authorization server metadata, unchanged, for clients of the MCP revision
// of 2025-03-26, which look for it here. They are public.
func (g *Guard) MetadataHandler() http.Handler {
	inserted := wellknown.ProtectedResource(g.resource)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		switch r.Method {
		case http.MethodGet, http.MethodHead:
		case http.MethodOptions:
			h.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
			h.Set("Access-Control-Allow-Headers", corsHeaders)
			h.Set("Access-Control-Max-Age", corsMaxAge)
			w.WriteHeader(http.StatusNoContent)
			return
		default:
			h.Set("Allow", "GET, HEAD, OPTIONS")
			writeError(w, r, http.StatusMethodNotAllowed, reason.CodeInvalidRequest, "this document is read with GET")
			return
		}
		switch r.URL.Path {
		case inserted, wellknown.ProtectedResourcePath:
			h.Add("Vary", "Host")
			writeDocument(w, r, "application/json", g.resourceFor(r).metadata)
		case wellknown.AuthorizationServerPath:
			passThrough(w, r, g.documents.authorizationServer)
		case wellknown.OpenIDConfigurationPath:
			passThrough(w, r, g.documents.openIDConfiguration)
		default:
			writeError(w, r, http.StatusNotFound, "not_found", "there is no such document here")
		}
	})
}

func passThrough(w http.ResponseWriter, r *http.Request, doc *remote.Document) {
	document, err := doc.Get(r.Context())
	switch {
	case remote.ClassOf(err) == remote.NotFound:
		writeError(w, r, http.StatusNotFound, "not_found", "the provider has no such document")
	case err != nil:
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter(err).Seconds()+0.999)))
		writeError(w, r, http.StatusServiceUnavailable, reason.CodeUnavailable, infoOf(reason.ProviderUnavailable).Phrase)
	default:
		writeDocument(w, r, "application/json", document.Body)
	}
}

func writeDocument(w http.ResponseWriter, r *http.Request, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(documentMaxAge.Seconds())))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}
