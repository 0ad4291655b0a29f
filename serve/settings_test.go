package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
)

func TestSettings(t *testing.T) {
	provider := gatehouse.OIDC("https://issuer.example.com")
	tests := []struct {
		name    string
		config  Config
		env     map[string]string
		wantURL string
		wantErr string // part of the text
	}{
		{name: "nothing set", wantURL: "http://localhost:3000/mcp"},
		{name: "PORT", env: map[string]string{"PORT": "8080"}, wantURL: "http://localhost:8080/mcp"},
		{
			name:    "Port wins",
			config:  Config{Port: 9090},
			env:     map[string]string{"PORT": "8080"},
			wantURL: "http://localhost:9090/mcp",
		},
		{name: "HOST on loopback", env: map[string]string{"HOST": "127.0.0.1"}, wantURL: "http://127.0.0.1:3000/mcp"},
		{name: "IPv6", env: map[string]string{"HOST": "::1"}, wantURL: "http://[::1]:3000/mcp"},
		{
			name:    "MCP_URL, an origin",
			env:     map[string]string{"MCP_URL": "https://mcp.example.com"},
			wantURL: "https://mcp.example.com/mcp",
		},
		{
			name:    "MCP_URL, an endpoint",
			env:     map[string]string{"MCP_URL": "https://example.com/tools/mcp"},
			wantURL: "https://example.com/tools/mcp",
		},
		{
			name:    "URL wins",
			config:  Config{URL: "https://a.example.com"},
			env:     map[string]string{"MCP_URL": "https://b.example.com"},
			wantURL: "https://a.example.com/mcp",
		},
		{
			name:    "Path",
			config:  Config{Path: "/v1/mcp"},
			env:     map[string]string{"MCP_URL": "https://mcp.example.com"},
			wantURL: "https://mcp.example.com/v1/mcp",
		},
		{
			name:    "public, every address",
			env:     map[string]string{"HOST": "0.0.0.0", "MCP_URL": "https://mcp.example.com"},
			wantURL: "https://mcp.example.com/mcp",
		},

		{
			name:    "every address without MCP_URL",
			env:     map[string]string{"HOST": "0.0.0.0"},
			wantErr: `MCP_URL is missing while the server listens on "0.0.0.0"; set it to the public URL`,
		},
		{
			name:    "PORT is not a number",
			env:     map[string]string{"PORT": "http"},
			wantErr: `PORT "http" is not a port; set it to a number`,
		},
		{name: "PORT out of range", env: map[string]string{"PORT": "65536"}, wantErr: `PORT "65536" is not a port`},
		{
			name:    "MCP_URL without scheme",
			env:     map[string]string{"MCP_URL": "mcp.example.com"},
			wantErr: `MCP_URL "mcp.example.com" is not an absolute URL; write it in full`,
		},
		{name: "MCP_URL without TLS", env: map[string]string{"MCP_URL": "http://mcp.example.com"}, wantErr: "https"},
		{
			name:    "Path below the path of URL, for a proxy that removes a prefix",
			config:  Config{Path: "/mcp", URL: "https://example.com/tools/mcp"},
			wantURL: "https://example.com/tools/mcp",
		},
		{name: "Path with a slash at its end", config: Config{Path: "/v1/", URL: "https://a.example.com"}, wantURL: "https://a.example.com/v1"},
		{
			name:    "HOST with a port",
			env:     map[string]string{"HOST": "localhost:8080"},
			wantErr: `HOST "localhost:8080" has a port; write "localhost", and set PORT to "8080"`,
		},
		{
			name:    "HOST with a port, every address",
			env:     map[string]string{"HOST": "0.0.0.0:8080"},
			wantErr: `HOST "0.0.0.0:8080" has a port; write "0.0.0.0", and set PORT to "8080"`,
		},
		{
			name:    "Host with a port",
			config:  Config{Host: "localhost:8080"},
			wantErr: `Host "localhost:8080" has a port; write "localhost", and set Port to "8080"`,
		},
		{name: "HOST with brackets", env: map[string]string{"HOST": "[::1]"}, wantErr: `HOST "[::1]" has brackets; write "::1"`},
		{
			name:    "Host is a URL",
			config:  Config{Host: "https://mcp.example.com/"},
			wantErr: `Host "https://mcp.example.com/" is a URL; write "mcp.example.com", or set MCP_URL to the public URL`,
		},
		{name: "Host with a slash", config: Config{Host: "a/b"}, wantErr: `Host "a/b" is not an address`},
		{name: "Path with a space", config: Config{Path: "/a b"}, wantErr: `Path "/a b" is not a path; write it like "/mcp"`},
		{
			name:    "Path with a space, below a URL",
			config:  Config{Path: "/a b", URL: "https://a.example.com"},
			wantErr: `Path "/a b" is not a path; write it like "/mcp"`,
		},
		{name: "Path below /.well-known", config: Config{Path: "/.well-known/a"}, wantErr: `Path "/.well-known/a" is under /.well-known/`},
		{name: "Path of a health check", config: Config{Path: "/healthz"}, wantErr: `Path "/healthz" has the path of a health check`},
		{
			name:    "MCP_URL with the path of a health check",
			env:     map[string]string{"MCP_URL": "https://a.example.com/readyz"},
			wantErr: `MCP_URL "https://a.example.com/readyz" has the path of a health check`,
		},
		{
			name:    "MCP_URL with the path of a health check, which a proxy maps to Path",
			config:  Config{Path: "/mcp"},
			env:     map[string]string{"MCP_URL": "https://a.example.com/readyz"},
			wantURL: "https://a.example.com/readyz",
		},
		{
			name:    "MCP_URL with a password, which the message leaves out",
			env:     map[string]string{"MCP_URL": "https://user:hunter2@a.example.com"},
			wantErr: `MCP_URL "https://user:xxxxx@a.example.com" has user info; remove everything between // and @`,
		},
		{name: "Path with two slashes", config: Config{Path: "/a//b"}, wantErr: `Path "/a//b" has // in its path`},
		{
			name:    "invalid MCP_URL and a setting that depends on it",
			config:  Config{AllowedOrigins: []string{"*"}},
			env:     map[string]string{"MCP_URL": "mcp.example.com"},
			wantErr: `MCP_URL "mcp.example.com" is not an absolute URL`,
		},
		{name: "Path without slash", config: Config{Path: "mcp"}, wantErr: `Path "mcp" does not begin with a slash`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := test.config
			cfg.Name, cfg.Version, cfg.Provider = "n", "1", provider
			server, err := newServer(cfg, &env.Env{File: test.env})
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) {
					t.Fatalf("error\n got %v\nwant %s", err, test.wantErr)
				}
				var fault *gatehouse.ConfigError
				if !errors.As(err, &fault) || fault.Fix == "" {
					t.Errorf("%v is not a ConfigError with a fix", err)
				}
				if strings.Contains(err.Error(), "\n") {
					t.Errorf("one wrong setting is reported more than once: %v", err)
				}
				return
			}
			if err != nil || server.URL() != test.wantURL {
				t.Errorf("URL %v, error %v; want %s", server, err, test.wantURL)
			}
		})
	}
}

func TestEveryFaultAtOnce(t *testing.T) {
	_, err := newServer(Config{Path: "mcp"}, &env.Env{File: map[string]string{"PORT": "x", "HOST": "0.0.0.0"}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"Name is missing", "Version is missing", `PORT "x"`, `Path "mcp"`, "MCP_URL is missing", "Provider is missing"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
}

// Behind a proxy that removes a prefix, the server listens on Path.
func TestPathBehindAPrefixProxy(t *testing.T) {
	provider := gatehouse.OIDC("https://issuer.example.com")
	for path, want := range map[string]int{"/mcp": 401, "/tools/mcp": 404} {
		server, err := newServer(Config{
			Name: "n", Version: "1", Provider: provider, URL: "https://example.com/tools/mcp", Path: "/mcp",
		}, &env.Env{})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		server.Handler().ServeHTTP(w, httptest.NewRequest("POST", path, nil))
		if w.Code != want {
			t.Errorf("POST %s: got status %d, want %d", path, w.Code, want)
		}
	}
}

// TestGuardAlone sets Guard and, next to it, settings that would have no effect.
func TestGuardAlone(t *testing.T) {
	provider := gatehouse.OIDC("https://issuer.example.com")
	guard, err := gatehouse.New(gatehouse.Config{Resource: "https://mcp.example.com/mcp", Provider: provider})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(guard.Close)
	tests := []struct {
		name    string
		config  Config
		wantErr string
	}{
		{name: "control", config: Config{NoLandingPage: true}},
		{
			name: "audit",
			config: Config{
				Audit:         func(context.Context, gatehouse.AuditEvent) {},
				AuditLogger:   slog.Default(),
				AuditSubjects: gatehouse.AuditSubjectsClear,
				AuditKey:      make([]byte, 32),
			},
			wantErr: "to Audit, AuditLogger, AuditSubjects, AuditKey;",
		},
		{name: "provider", config: Config{Provider: provider}, wantErr: "Guard is set in addition to Provider; set these"},
		{
			name: "everything",
			config: Config{
				Provider:       provider,
				URL:            "https://mcp.example.com",
				RequiredScopes: []string{"a"},
				ImpliedScopes:  map[string][]string{"a": {"b"}},
				Requirements:   []gatehouse.Requirement{{Tool: "admin", Require: gatehouse.Require{Scopes: []string{"a"}}}},
				AllowedOrigins: []string{"https://app.example.com"},
				Revoked:        func(gatehouse.Identity) bool { return false },
				Revocations:    struct{ gatehouse.RevocationStore }{},
				KeyFile:        "keys.json",
			},
			wantErr: "to Provider, URL, RequiredScopes, ImpliedScopes, Requirements, AllowedOrigins, Revoked, Revocations, KeyFile;",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := test.config
			cfg.Name, cfg.Version, cfg.Guard = "n", "1", guard
			server, err := newServer(cfg, &env.Env{})
			if test.wantErr != "" {
				var fault *gatehouse.ConfigError
				if !errors.As(err, &fault) || !strings.Contains(err.Error(), test.wantErr) {
					t.Errorf("error %v, want %s", err, test.wantErr)
				}
				return
			}
			if err != nil || server.Guard() != guard || server.URL() != guard.Resource() {
				t.Errorf("error %v, want a server with the guard", err)
			}
		})
	}
}

func TestPublicListenerNeedsAURL(t *testing.T) {
	server, err := newServer(Config{Name: "n", Version: "1", Provider: gatehouse.OIDC("https://issuer.example.com")}, &env.Env{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Serve(t.Context(), l); err == nil || !strings.Contains(err.Error(), "MCP_URL is missing") {
		t.Errorf("Serve on every address = %v, want an error about MCP_URL", err)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("the listener was left open")
	}
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	for field, config := range map[string]Config{"Port": {Port: port}, "PORT": {}} {
		config.Name, config.Version, config.Provider = "n", "1", gatehouse.OIDC("https://issuer.example.com")
		server, err := newServer(config, &env.Env{File: map[string]string{"PORT": strconv.Itoa(port)}})
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("serve: port %d is in use; stop the program that uses it, or set %s to another", port, field)
		if err := server.ListenAndServe(t.Context()); err == nil || err.Error() != want {
			t.Errorf("ListenAndServe\n got %v\nwant %s", err, want)
		}
	}
}
