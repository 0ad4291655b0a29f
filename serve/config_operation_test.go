package serve

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
)

func TestOperationSettings(t *testing.T) {
	longKey := strings.Repeat("k", 32)
	for name, test := range map[string]struct {
		set  func(*Config)
		env  map[string]string
		want string // field of the fault; empty for none
	}{
		"none":                   {set: func(*Config) {}},
		"delay":                  {set: func(c *Config) { c.DrainDelay = time.Second }},
		"negative delay":         {set: func(c *Config) { c.DrainDelay = -1 }, want: "DrainDelay"},
		"timeout":                {set: func(c *Config) { c.ShutdownTimeout = time.Second }},
		"negative timeout":       {set: func(c *Config) { c.ShutdownTimeout = -1 }, want: "ShutdownTimeout"},
		"key":                    {set: func(c *Config) { c.SessionKey = []byte(longKey) }},
		"short key":              {set: func(c *Config) { c.SessionKey = []byte(longKey[1:]) }, want: "SessionKey"},
		"key of the environment": {set: func(*Config) {}, env: map[string]string{"MCP_SESSION_KEY": longKey}},
		"short key of it": {
			set:  func(*Config) {},
			env:  map[string]string{"MCP_SESSION_KEY": longKey[1:]},
			want: "MCP_SESSION_KEY",
		},
		"accepted keys": {
			set: func(c *Config) {
				c.SessionKey, c.AcceptedSessionKeys = []byte(longKey), []gatehouse.SessionKey{[]byte(longKey + "x")}
			},
		},
		"accepted key without a key": {
			set:  func(c *Config) { c.AcceptedSessionKeys = []gatehouse.SessionKey{[]byte(longKey)} },
			env:  map[string]string{"MCP_SESSION_KEY": longKey + "x"},
			want: "AcceptedSessionKeys",
		},
		"accepted keys of the environment": {
			set: func(*Config) {},
			env: map[string]string{"MCP_SESSION_KEY": longKey, "MCP_ACCEPTED_SESSION_KEYS": longKey + "x, " + longKey + "y"},
		},
		"short accepted key of it": {
			set:  func(*Config) {},
			env:  map[string]string{"MCP_SESSION_KEY": longKey, "MCP_ACCEPTED_SESSION_KEYS": longKey + "x," + longKey[1:]},
			want: "MCP_ACCEPTED_SESSION_KEYS[1]",
		},
		"comma after the last key of it": {
			set:  func(*Config) {},
			env:  map[string]string{"MCP_SESSION_KEY": longKey, "MCP_ACCEPTED_SESSION_KEYS": longKey + "x,"},
			want: "MCP_ACCEPTED_SESSION_KEYS[1]",
		},
		"the same key in both variables": {
			set:  func(*Config) {},
			env:  map[string]string{"MCP_SESSION_KEY": longKey, "MCP_ACCEPTED_SESSION_KEYS": longKey},
			want: "MCP_ACCEPTED_SESSION_KEYS[0]",
		},
		"accepted keys of the environment alone": {
			set:  func(*Config) {},
			env:  map[string]string{"MCP_ACCEPTED_SESSION_KEYS": longKey},
			want: "MCP_ACCEPTED_SESSION_KEYS",
		},
		"stateless, accepted keys of it": {
			set: func(c *Config) { c.Stateless = true },
			env: map[string]string{"MCP_ACCEPTED_SESSION_KEYS": longKey},
		},
		"stateless with accepted keys": {
			set: func(c *Config) {
				c.Stateless, c.AcceptedSessionKeys = true, []gatehouse.SessionKey{[]byte(longKey)}
			},
			want: "AcceptedSessionKeys",
		},
		"stateless":                {set: func(c *Config) { c.Stateless = true }},
		"stateless, key of it":     {set: func(c *Config) { c.Stateless = true }, env: map[string]string{"MCP_SESSION_KEY": longKey}},
		"stateless with a key":     {set: func(c *Config) { c.Stateless, c.SessionKey = true, []byte(longKey) }, want: "SessionKey"},
		"stateless with a timeout": {set: func(c *Config) { c.Stateless, c.SessionTimeout = true, time.Hour }, want: "SessionTimeout"},
		"negative session timeout": {set: func(c *Config) { c.SessionTimeout = -1 }, want: "SessionTimeout"},
		"sessions":                 {set: func(c *Config) { c.MaxSessions, c.MaxSessionsPerUser = 20, 10 }},
		"more for a user than all": {set: func(c *Config) { c.MaxSessions, c.MaxSessionsPerUser = 10, 20 }, want: "MaxSessionsPerUser"},
	} {
		cfg := Config{Name: "n", Version: "1", Provider: gatehouse.OIDC("https://issuer.example.com")}
		test.set(&cfg)
		_, err := newServer(cfg, &env.Env{File: test.env})
		var fault *gatehouse.ConfigError
		if errors.As(err, &fault); (fault == nil) != (test.want == "") || fault != nil && fault.Field != test.want {
			t.Errorf("%s: got %v, want a fault of %q", name, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "kkk") {
			t.Errorf("%s: the error prints the key: %v", name, err)
		}
	}
}

// Handler fixes the URL: a listener on another port is an error that says so.
func TestHandlerBeforeAnotherPort(t *testing.T) {
	for _, called := range []bool{false, true} {
		server, err := newServer(Config{Name: "n", Version: "1", Provider: gatehouse.OIDC("https://issuer.example.com")}, &env.Env{})
		if err != nil {
			t.Fatal(err)
		}
		if called {
			server.Handler()
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var fault *gatehouse.ConfigError
		if err := server.bindURL(l); errors.As(err, &fault) != called || called && fault.Field != "Port" {
			t.Errorf("with Handler called %v: bindURL = %v", called, err)
		}
	}
}

// A body that never arrives ends the request on every path.
func TestBodyThatNeverArrives(t *testing.T) {
	cfg := Config{Name: "n", Version: "1", Provider: gatehouse.OIDC("https://issuer.example.com")}
	server, err := newServer(cfg, &env.Env{})
	if err != nil {
		t.Fatal(err)
	}
	server.bodies = listen.BodyTimeouts{Arrive: 100 * time.Millisecond, Rest: 50 * time.Millisecond}
	live := httptest.NewServer(server.Handler())
	t.Cleanup(live.Close)
	for _, path := range []string{
		"/", "/healthz", "/mcp", "//mcp", "/other", "/.well-known/oauth-protected-resource", "/.well-known/other",
	} {
		for _, method := range []string{"GET", "POST"} {
			t.Run(method+" "+path, func(t *testing.T) {
				t.Parallel()
				conn, err := net.Dial("tcp", live.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(20 * time.Second))
				io.WriteString(conn, method+" "+path+" HTTP/1.1\r\nHost: localhost:3000\r\nContent-Length: 100\r\n\r\n{")
				if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 ") {
					t.Errorf("got %q and error %v, want an answer and the end of the connection", answer, err)
				}
			})
		}
	}
}

// failingFlush is a writer whose Flush fails.
type failingFlush struct{ http.ResponseWriter }

func (failingFlush) FlushError() error { return io.ErrClosedPipe }

func TestFlushOfTheLogReportsErrors(t *testing.T) {
	o := &outcome{}
	w := &statusWriter{ResponseWriter: failingFlush{httptest.NewRecorder()}, outcome: o}
	if err := http.NewResponseController(w).Flush(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Flush = %v, want the error of the writer", err)
	}
	if o.status != http.StatusOK {
		t.Errorf("status is %d after a flush, want 200", o.status)
	}
}
