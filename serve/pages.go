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
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func (s *Server) serveHealth(w http.ResponseWriter, r *http.Request) {
	writeStatus(w, http.StatusOK, "ok")
}

// serveReady says whether tokens can be verified now.
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

// serveElsewhere sends a person at the root on to the endpoint, and everybody
// else a 404 that is JSON: clients probe, and read HTML as an answer.
func (s *Server) serveElsewhere(w http.ResponseWriter, r *http.Request) {
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

var landing = template.Must(template.New("landing").Parse(landingSource))

// landingAge is how long the list of tools on the page is kept: the page is
// public, and a flood of requests must cost little.
const landingAge = 2 * time.Second

// maxLandingTools bounds the page.
const maxLandingTools = 200

type landingData struct {
	Name, Version, Instructions, URL, Provider string
	Tools                                      []*mcp.Tool
}

var notSlug = regexp.MustCompile(`[^a-z0-9]+`)

// Slug is the name under which the usual clients keep the server: one word that
// a shell takes as it is.
func (d landingData) Slug() string {
	return cmp.Or(strings.Trim(notSlug.ReplaceAllString(strings.ToLower(d.Name), "-"), "-"), "mcp-server")
}

// VSCode is the argument of code --add-mcp.
func (d landingData) VSCode() (string, error) {
	b, err := json.Marshal(map[string]string{"name": d.Slug(), "type": "http", "url": d.URL})
	return string(b), err
}

// MCPJSON is the mcp.json of Cursor and its kin.
func (d landingData) MCPJSON() (string, error) {
	b, err := json.MarshalIndent(map[string]any{"mcpServers": map[string]any{d.Slug(): map[string]string{"url": d.URL}}}, "", "  ")
	return string(b), err
}

// landingPage answers a browser at the endpoint: what this server is, its tools,
// and how to connect the usual clients.
func (s *Server) landingPage() http.Handler {
	var (
		mu   sync.Mutex
		page []byte
		made time.Time
	)
	render := func(ctx context.Context) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		if page != nil && time.Since(made) < landingAge {
			return page, nil
		}
		tools, err := s.tools(ctx)
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		err = landing.Execute(&b, landingData{
			Name:         cmp.Or(s.config.Title, s.config.Name),
			Version:      s.config.Version,
			Instructions: s.config.Instructions,
			URL:          s.guard.Resource(),
			Provider:     s.guard.Provider().Name,
			Tools:        tools,
		})
		page, made = b.Bytes(), time.Now()
		return page, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := render(r.Context())
		if err != nil {
			s.logger.Warn("landing page", "error", err)
			writeStatus(w, http.StatusServiceUnavailable, "the tools of this server cannot be listed right now")
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
			w.Write(body)
		}
	})
}

// tools asks the server for its tools as a client would.
func (s *Server) tools(ctx context.Context) ([]*mcp.Tool, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	here, there := mcp.NewInMemoryTransports()
	server, err := s.MCP.Connect(ctx, there, nil)
	if err != nil {
		return nil, err
	}
	defer server.Close()
	client, err := mcp.NewClient(&mcp.Implementation{Name: "landing-page", Version: s.config.Version}, nil).Connect(ctx, here, nil)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var tools []*mcp.Tool
	for tool, err := range client.Tools(ctx, nil) {
		if err != nil {
			return nil, err
		}
		if tools = append(tools, tool); len(tools) == maxLandingTools {
			break
		}
	}
	return tools, nil
}
