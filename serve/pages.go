package serve

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"regexp"
	"strings"
	"sync"
)

// serveHealth reports that the process answers requests.
func (s *Server) serveHealth(w http.ResponseWriter, r *http.Request) {
	writeStatus(w, http.StatusOK, "ok")
}

// serveReady reports whether tokens can be verified now.
func (s *Server) serveReady(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if s.guard.Ready(ctx) != nil {
		writeStatus(w, http.StatusServiceUnavailable, "waiting for the keys of the identity provider")
		return
	}
	writeStatus(w, http.StatusOK, "ready")
}

func writeStatus(w http.ResponseWriter, code int, status string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(map[string]string{"status": status})
}

// serveOtherPaths redirects browsers from / to the endpoint. Other requests get a
// JSON 404, because MCP clients probe paths and would read HTML as an answer.
func (s *Server) serveOtherPaths(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/" && r.Method == http.MethodGet && !s.config.NoLandingPage {
		http.Redirect(w, r, s.endpointPath(), http.StatusFound)
		return
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusNotFound)
	json.NewEncoder(w).Encode(map[string]string{
		"error":             "not_found",
		"error_description": "the MCP endpoint is at " + s.endpointPath(),
	})
}

func (s *Server) endpointPath() string {
	if s.resource != nil {
		return cmp.Or(s.resource.EscapedPath(), "/")
	}
	return s.config.Path
}

//go:embed landing.html
var landingSource string

var landingTemplate = template.Must(template.New("landing").Parse(landingSource))

// landingData is what the landing page shows. All of it comes from the
// configuration: the page is public, so making it runs no code of the user's.
type landingData struct {
	Name, Version, Instructions, URL, Provider string
}

var notSlug = regexp.MustCompile(`[^a-z0-9]+`)

// Slug returns the name for the server in a client's configuration: lower-case
// letters, digits and hyphens, which need no quotes in a shell.
func (d landingData) Slug() string {
	return cmp.Or(strings.Trim(notSlug.ReplaceAllString(strings.ToLower(d.Name), "-"), "-"), "mcp-server")
}

// VSCode returns the argument of code --add-mcp.
func (d landingData) VSCode() (string, error) {
	b, err := json.Marshal(map[string]string{"name": d.Slug(), "type": "http", "url": d.URL})
	return string(b), err
}

// MCPJSON returns the mcp.json file of Cursor and similar clients.
func (d landingData) MCPJSON() (string, error) {
	b, err := json.MarshalIndent(map[string]any{"mcpServers": map[string]any{d.Slug(): map[string]string{"url": d.URL}}}, "", "  ")
	return string(b), err
}

// landingPage returns the handler for browsers that open the endpoint. The page
// says what this server is and how to connect the usual clients. It is rendered
// once, with the first request, when the URL of the endpoint is final.
func (s *Server) landingPage() http.Handler {
	render := sync.OnceValues(func() ([]byte, error) {
		var page bytes.Buffer
		err := landingTemplate.Execute(&page, landingData{
			Name:         cmp.Or(s.config.Title, s.config.Name),
			Version:      s.config.Version,
			Instructions: s.config.Instructions,
			URL:          s.guard.Resource(),
			Provider:     s.config.Provider.Name,
		})
		return page.Bytes(), err
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, err := render()
		if err != nil {
			s.logger.Error("rendering the landing page failed", "error", err)
			writeStatus(w, http.StatusInternalServerError, "the landing page cannot be rendered")
			return
		}
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		h.Add("Vary", "Accept")
		if r.Method != http.MethodHead {
			w.Write(page)
		}
	})
}
