package localclerk

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	good := Config{Issuer: testIssuer, SigningKey: testKey()}
	if _, err := New(good); err != nil {
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
		{"nameless user", func(c *Config) { c.Users = []User{{FirstName: "X"}} }, "Users[0] has neither Username nor Email"},
		{"two of one name", func(c *Config) { c.Users = []User{{Username: "x"}, {Username: "y", Email: "X"}} }, `"x" names both user`},
		{"nameless organization", func(c *Config) { c.Organizations = []Organization{{}} }, "Organizations[0] has neither Name nor Slug"},
		{"two organizations of one name", func(c *Config) { c.Organizations = []Organization{{Name: "A"}, {Slug: "a"}} }, `names both organization`},
		{"unknown member", func(c *Config) { c.Organizations = []Organization{{Name: "A", Members: []Membership{{User: "bob"}}}} }, `members of "a": no user "bob"`},
		{"member twice", func(c *Config) {
			c.Organizations = []Organization{{Name: "A", Members: []Membership{{User: "ada"}, {User: "ada@example.com"}}}}
		}, `"ada@example.com" is there twice`},
		{"unknown default scope", func(c *Config) { c.Settings = &Settings{DefaultScopes: []string{"x"}} }, `DefaultScopes: got "x"`},
		{"malformed custom scope", func(c *Config) { c.Settings = &Settings{CustomScopes: []string{"a b"}} }, `"a b" is not a scope`},
		{"weak key", func(c *Config) { c.SigningKey = weak }, "1024 bits, want at least 2048"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			config := good
			config.Users = SeedUsers()
			test.change(&config)
			if _, err := New(config); err == nil || !strings.Contains(err.Error(), test.wantErr) {
				t.Errorf("got %v, want %q", err, test.wantErr)
			}
		})
	}
}

func TestNewReportsEverything(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Issuer: "x", Users: []User{}, Settings: &Settings{DefaultScopes: []string{"x"}}})
	for _, want := range []string{"bare origin", "Users is empty", "DefaultScopes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

func TestHost(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for host, want := range map[string]int{
		"localhost:4000":           200,
		"localhost":                200,
		"LOCALHOST:4000":           200,
		"clerk.localhost:4000":     200,
		"localhost.:4000":          200,
		"127.0.0.1:4000":           200,
		"127.1.2.3:4000":           200,
		"[::1]:4000":               200,
		"[::1]":                    200,
		"[::ffff:127.0.0.1]:4000":  200,
		"evil.example:4000":        403,
		"localhost.evil.example":   403,
		"127.0.0.1.evil.example":   403,
		"notlocalhost:4000":        403,
		"0.0.0.0:4000":             403,
		"192.168.0.1:4000":         403,
		"[::]:4000":                403,
		"[::1%25lo]:4000":          403,
		"evil.example@localhost:1": 403,
	} {
		if got := get(t, s, "/.well-known/jwks.json", "Host", host); got.status != want {
			t.Errorf("Host %q: status %d, want %d", host, got.status, want)
		}
	}
}

func TestConnectionMustBeLocal(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for address, want := range map[string]int{"127.0.0.1:4000": 200, "[::1]:4000": 200, "192.168.0.1:4000": 403, "10.0.0.1:4000": 403} {
		tcp, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		at := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, tcp)))
		})
		if got := send(t, at, "GET", "/.well-known/jwks.json", ""); got.status != want {
			t.Errorf("connection to %s: status %d, want %d", address, got.status, want)
		}
	}
}

// listenerOn is a listener that says it listens somewhere else.
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

func TestServeRefuses(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for _, ip := range []net.IP{net.IPv4zero, net.IPv6unspecified, net.IPv4(192, 168, 0, 1)} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		err = s.Serve(context.Background(), listenerOn{l, &net.TCPAddr{IP: ip, Port: 4000}})
		if err == nil || !strings.Contains(err.Error(), "is not on loopback") {
			t.Errorf("%s: got %v, want a refusal", ip, err)
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

func TestSeedsAreTheSameEverywhere(t *testing.T) {
	t.Parallel()
	a, b := newServer(t, nil), newServer(t, nil)
	if diff := cmp.Diff(a.directory.users, b.directory.users); diff != "" {
		t.Errorf("users differ\n%s", diff)
	}
	if diff := cmp.Diff(a.directory.organizations, b.directory.organizations); diff != "" {
		t.Errorf("organizations differ\n%s", diff)
	}
	if a.keys.kid == b.keys.kid {
		t.Error("two instances have one kid")
	}
	for _, u := range a.directory.users {
		if !strings.HasPrefix(u.ID, "user_") || len(u.ID) != len("user_")+resourceIDLength {
			t.Errorf("user id %q, want user_ and %d characters", u.ID, resourceIDLength)
		}
	}
}

func TestFindIsUnambiguous(t *testing.T) {
	t.Parallel()
	d, err := newDirectory([]User{{Username: "a1", FirstName: "Ann"}, {Username: "a2", FirstName: "Ann"}, {Username: "ann.b", FirstName: "a1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if u, err := d.findUser("a1"); err != nil || u.Username != "a1" {
		t.Errorf("got %v, %v, want the user whose username it is", u, err)
	}
	if _, err := d.findUser("ann"); err == nil || !strings.Contains(err.Error(), "more than one user") {
		t.Errorf("got %v, want it to be ambiguous", err)
	}
	if _, err := d.findUser(""); err == nil {
		t.Error("the empty name finds somebody")
	}
}

func TestHandlesAreBounded(t *testing.T) {
	t.Parallel()
	d := &directory{}
	for range 25 {
		d.users = append(d.users, User{Username: "u"})
	}
	if got := d.userNames(); !strings.HasSuffix(got, ", 5 more") {
		t.Errorf("got %q, want 5 more", got)
	}
}

func TestShelf(t *testing.T) {
	t.Parallel()
	s := newBoundedMap[int](2)
	s.put("a", 1)
	s.put("b", 2)
	s.put("a", 3)
	s.put("c", 4)
	if _, ok := s.get("b"); ok {
		t.Error("the oldest entry is still there")
	}
	if diff := cmp.Diff([]int{3, 4}, s.all()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	s.delete("a")
	s.delete("a")
	if diff := cmp.Diff([]int{4}, s.all()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestRandomString(t *testing.T) {
	t.Parallel()
	seen := map[rune]bool{}
	for _, c := range randomString(base62, 10_000) {
		seen[c] = true
	}
	if len(seen) != len(base62) {
		t.Errorf("%d characters come up, want %d", len(seen), len(base62))
	}
}

func FuzzLoopbackHost(f *testing.F) {
	for _, host := range []string{"localhost", "127.0.0.1", "[::1]:80", "a.localhost.", "evil.example", "::ffff:127.0.0.1", "0x7f.1"} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, hostport string) {
		host := hostname(hostport)
		if !isLoopbackHost(host) {
			return
		}
		if addr := net.ParseIP(host); addr != nil && !addr.IsLoopback() {
			t.Errorf("%q is an address that is not loopback", hostport)
		}
		name := strings.TrimSuffix(strings.ToLower(host), ".")
		if net.ParseIP(name) == nil && name != "localhost" && !strings.HasSuffix(name, ".localhost") {
			t.Errorf("%q passes for loopback", hostport)
		}
	})
}
