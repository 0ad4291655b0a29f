package localclerk

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

func TestZeroConfig(t *testing.T) {
	t.Parallel()
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Issuer() != DefaultIssuer {
		t.Errorf("issuer %q, want %q", s.Issuer(), DefaultIssuer)
	}
	app := register(t, s, map[string]any{"scope": ""})
	params := with(authorization(app), "scope", "profile email offline_access")
	got := tokens(t, s, app, params)
	if header, _ := decode(t, got["access_token"]); header["typ"] != "at+jwt" {
		t.Errorf("header %v, want typ at+jwt", header)
	}
}

func TestNewRejects(t *testing.T) {
	t.Parallel()
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	valid := Config{Issuer: testIssuer, SigningKey: testKey()}
	if _, err := New(valid); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		change  func(*Config)
		wantErr string
	}{
		{"public issuer", func(c *Config) { c.Issuer = "https://clerk.example.com" }, "is not on loopback"},
		{"unspecified issuer", func(c *Config) { c.Issuer = "http://0.0.0.0:4000" }, "is not on loopback"},
		{"trailing slash", func(c *Config) { c.Issuer = testIssuer + "/" }, "is not a bare origin"},
		{"path", func(c *Config) { c.Issuer = testIssuer + "/clerk" }, "is not a bare origin"},
		{"query", func(c *Config) { c.Issuer = testIssuer + "?a" }, "is not a bare origin"},
		{"no scheme", func(c *Config) { c.Issuer = "localhost:4000" }, "is not a bare origin"},
		{"user name", func(c *Config) { c.Issuer = "http://a@localhost:4000" }, "is not a bare origin"},
		{"no URL", func(c *Config) { c.Issuer = "http://[" }, "Issuer: parse"},
		{"no users", func(c *Config) { c.Users = []User{} }, "Users is empty"},
		{
			name:    "user without a name",
			change:  func(c *Config) { c.Users = []User{{FirstName: "X"}} },
			wantErr: "Users[0] has neither Username nor Email",
		},
		{
			name:    "two of one name",
			change:  func(c *Config) { c.Users = []User{{Username: "x"}, {Username: "y", Email: "X"}} },
			wantErr: `"x" is the name of both user`,
		},
		{
			name:    "organization without a name",
			change:  func(c *Config) { c.Organizations = []Organization{{}} },
			wantErr: "Organizations[0] has neither Name nor Slug",
		},
		{
			name:    "two organizations of one name",
			change:  func(c *Config) { c.Organizations = []Organization{{Name: "A"}, {Slug: "a"}} },
			wantErr: `is the name of both organization`,
		},
		{
			name:    "unknown member",
			change:  func(c *Config) { c.Organizations = []Organization{{Name: "A", Members: []Membership{{User: "bob"}}}} },
			wantErr: `members of "a": no user "bob"`,
		},
		{
			name: "member twice",
			change: func(c *Config) {
				c.Organizations = []Organization{{Name: "A", Members: []Membership{{User: "ada"}, {User: "ada@example.com"}}}}
			},
			wantErr: `"ada@example.com" appears twice`,
		},
		{
			name:    "unknown default scope",
			change:  func(c *Config) { c.Settings = &Settings{DefaultScopes: []string{"x"}} },
			wantErr: `DefaultScopes: got "x"`,
		},
		{
			name:    "malformed custom scope",
			change:  func(c *Config) { c.Settings = &Settings{CustomScopes: []string{"a b"}} },
			wantErr: `"a b" is not a scope`,
		},
		{"weak key", func(c *Config) { c.SigningKey = weak }, "1024 bits, want at least 2048"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			config := valid
			config.Users = SeedUsers()
			test.change(&config)
			if _, err := New(config); err == nil || !strings.Contains(err.Error(), test.wantErr) {
				t.Errorf("got %v, want %q", err, test.wantErr)
			}
		})
	}
}

func TestNewReportsAllFaults(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Issuer: "x", Users: []User{}, Settings: &Settings{DefaultScopes: []string{"x"}}})
	for _, want := range []string{"bare origin", "Users is empty", "DefaultScopes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

// listenerOn is a listener that reports another address.
type listenerOn struct {
	net.Listener
	addr net.Addr
}

func (l listenerOn) Addr() net.Addr { return l.addr }

func TestServe(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	response, err := http.Get("http://" + l.Addr().String() + "/.well-known/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 200 {
		t.Errorf("status %d, want 200", response.StatusCode)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("after the context ended: %v", err)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("the listener is still open")
	}
}

func TestServeRejects(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for _, ip := range []net.IP{net.IPv4zero, net.IPv6unspecified, net.IPv4(192, 168, 0, 1)} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		err = s.Serve(context.Background(), listenerOn{l, &net.TCPAddr{IP: ip, Port: 4000}})
		if err == nil || !strings.Contains(err.Error(), "is not on loopback") {
			t.Errorf("%s: got %v, want an error", ip, err)
		}
		if _, err := l.Accept(); err == nil {
			t.Errorf("%s: the listener is still open", ip)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := s.Serve(context.Background(), l); err == nil || !strings.Contains(err.Error(), "serving: ") {
		t.Errorf("a closed listener: got %v, want an error", err)
	}
}

func TestUnknownPathsAreNotFound(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for _, path := range []string{
		"/", "/authorize", "/oauth/introspect", "/oauth/revoke", "/.well-known/oauth-authorization-server/mcp", "/register",
	} {
		get(t, s, path).wantClerkError(404, "resource_not_found")
	}
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, nil)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			got := tokens(t, s, app, authorization(app))
			post(t, s, "/oauth/token", refreshing(app, got))
		})
		group.Go(func() {
			if err := s.SetSettings(s.Settings()); err != nil {
				t.Error(err)
			}
			if err := s.SetUsers(s.Users(), s.Organizations()); err != nil {
				t.Error(err)
			}
			if err := s.RotateKey(Rotation{Key: testKey()}); err != nil {
				t.Error(err)
			}
			if err := s.SetFaults(Faults{}); err != nil {
				t.Error(err)
			}
		})
		group.Go(func() {
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			for range s.Events(ended, 0) {
			}
		})
	}
	group.Wait()
}
