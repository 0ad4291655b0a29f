package serve

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/internal/operator"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// serveReady reports whether tokens can be verified now.
func (s *Server) serveReady(w http.ResponseWriter, r *http.Request) {
	operator.ServePublicReady(w, r, s.guard)
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

//go:embed landing.css
var landingStyle string

//go:embed landing.js
var landingScript string

var landingTemplate = template.Must(template.New("landing").Parse(landingSource))

// landingPolicy allows the style and the script of the landing page, and nothing else: the
// page loads nothing, and a name or an instruction that contained markup could not run.
var landingPolicy = strings.Join([]string{
	"default-src 'none'",
	"style-src " + cspHash(landingStyle),
	"script-src " + cspHash(landingScript),
	"base-uri 'none'",
	"form-action 'none'",
	"frame-ancestors 'none'",
}, "; ")

// cspHash returns the hash source of an inline style or script (Content Security Policy
// Level 3 §2.3.1).
func cspHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// landingData is what the landing page shows. All of it comes from the configuration: the
// page is public, so the MCP server, whose middleware may expect a caller, is not asked.
type landingData struct {
	Style  template.CSS
	Script template.JS

	Name, Version, Instructions, URL, Provider string

	Tools []*mcp.Tool
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

// providerNames returns the names of the providers, joined by "or".
func (s *Server) providerNames() string {
	var names []string
	for _, p := range s.guard.Providers() {
		if name := cmp.Or(p.Name, p.Issuer); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " or ")
}

// landingPage returns the handler for browsers that open the endpoint. The page
// says what this server is and how to connect the usual clients. It is rendered
// once, with the first request, when the URL of the endpoint is final.
func (s *Server) landingPage() http.Handler {
	render := sync.OnceValues(func() ([]byte, error) {
		var page bytes.Buffer
		err := landingTemplate.Execute(&page, landingData{
			Style:        template.CSS(landingStyle),
			Script:       template.JS(landingScript),
			Name:         cmp.Or(s.config.Title, s.config.Name),
			Version:      s.config.Version,
			Instructions: s.config.Instructions,
			URL:          s.guard.Resource(),
			Provider:     s.providerNames(),
			Tools:        s.config.LandingTools,
		})
		return page.Bytes(), err
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, err := render()
		if err != nil {
			s.logger.Error("rendering the landing page failed", "error", err)
			http.Error(w, "the landing page cannot be rendered", http.StatusInternalServerError)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", landingPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		h.Add("Vary", "Accept")
		if r.Method != http.MethodHead {
			w.Write(page)
		}
	})
}
