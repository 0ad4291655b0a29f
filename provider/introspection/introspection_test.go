package introspection_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/introspection"
)

const token = "opaque-token"

// server is an issuer whose endpoint answers with status and body, and records the request.
type server struct {
	*httptest.Server
	status  int
	body    string
	header  http.Header
	got     *http.Request // the last request to the endpoint, with its form
	pointTo string        // introspection_endpoint of the metadata; empty means its own
}

func newServer(t *testing.T) *server {
	s := &server{status: http.StatusOK, body: `{"active":true,"sub":"user_1","exp":4102444800}`}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		target := s.pointTo
		if target == "" {
			target = s.URL + "/introspect"
		}
		json.NewEncoder(w).Encode(map[string]string{"issuer": s.URL, "introspection_endpoint": target})
	})
	mux.HandleFunc("POST /introspect", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		s.got = r
		for name := range s.header {
			w.Header().Set(name, s.header.Get(name))
		}
		w.WriteHeader(s.status)
		w.Write([]byte(s.body))
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *server) config() introspection.Config {
	return introspection.Config{Issuer: s.URL, ClientID: "mcp server", ClientSecret: "s&cret"}
}

func ask(t *testing.T, cfg introspection.Config) (string, error) {
	t.Helper()
	introspect, err := introspection.Func(cfg)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := introspect(t.Context(), token)
	return string(claims), err
}

// The token and the credentials are sent as RFC 7662 and RFC 6749 say.
func TestCredentials(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	if _, err := ask(t, s.config()); err != nil {
		t.Fatal(err)
	}
	id, secret, ok := s.got.BasicAuth()
	if !ok || id != "mcp+server" || secret != "s%26cret" || s.got.PostForm.Get("token") != token || s.got.PostForm.Has("client_secret") {
		t.Errorf("basic: got %q, %q and the form %v", id, secret, s.got.PostForm)
	}

	cfg := s.config()
	cfg.Post = true
	if _, err := ask(t, cfg); err != nil {
		t.Fatal(err)
	}
	if form := s.got.PostForm; s.got.Header.Get("Authorization") != "" || form.Get("client_id") != "mcp server" || form.Get("client_secret") != "s&cret" {
		t.Errorf("post: got %v and the form %v", s.got.Header, form)
	}

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cfg = introspection.Config{Issuer: s.URL, ClientID: "mcp server", PrivateKey: key, KeyID: "key-1", AssertionAudience: "https://as.example.com"}
	if _, err := ask(t, cfg); err != nil {
		t.Fatal(err)
	}
	assertion, err := jwt.Parse(s.got.PostForm.Get("client_assertion"), func(*jwt.Token) (any, error) { return key.Public(), nil },
		jwt.WithIssuer("mcp server"), jwt.WithSubject("mcp server"), jwt.WithAudience("https://as.example.com"), jwt.WithExpirationRequired())
	if err != nil || assertion.Header["kid"] != "key-1" || s.got.Header.Get("Authorization") != "" ||
		s.got.PostForm.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		t.Errorf("private key: %v, form %v", err, s.got.PostForm)
	}

	if _, err := ask(t, introspection.Config{Issuer: s.URL, Unauthenticated: true}); err != nil {
		t.Fatal(err)
	}
	if s.got.Header.Get("Authorization") != "" || len(s.got.PostForm) != 2 {
		t.Errorf("unauthenticated: got %v and the form %v", s.got.Header, s.got.PostForm)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name         string
		status       int
		body         string
		retry        string
		want         string // part of the claims
		wantInactive bool
		wantRetry    time.Duration
		wantError    string
	}{
		{name: "active", status: 200, body: `{"active":true,"sub":"u"}`, want: `"sub":"u"`},
		{name: "iss of its own", status: 200, body: `{"active":true,"iss":"https://other.example"}`, want: `"iss":"https://other.example"`},
		{name: "inactive", status: 200, body: `{"active":false,"sub":"u"}`, wantInactive: true},
		{name: "another active", status: 200, body: `{"active":"true"}`, want: `"active":"true"`}, // the guard rejects it
		{name: "two members", status: 200, body: `{"active":false,"active":true}`, wantError: "reading the introspection answer"},
		{name: "not JSON", status: 200, body: `<html>`, wantError: "reading the introspection answer"},
		{name: "too long", status: 200, body: `{"active":true,"x":"` + strings.Repeat("x", 512<<10) + `"}`, wantError: "longer than"},
		{name: "unsupported type", status: 400, body: `{"error":"unsupported_token_type"}`, wantInactive: true},
		{name: "another error", status: 400, body: `{"error":"invalid_request"}`, wantError: "status 400"},
		{name: "wrong secret", status: 401, body: `{}`, wantError: `rejects the client "mcp server" (status 401)`},
		{name: "forbidden", status: 403, body: `{}`, wantError: "(status 403)"},
		{name: "redirect", status: 302, body: ``, wantError: "status 302"},
		{name: "busy", status: 429, body: ``, retry: "7", wantRetry: 7 * time.Second, wantError: "status 429"},
		{name: "busy for a long time", status: 503, body: ``, retry: "99999999999", wantError: "status 503"},
		{name: "broken", status: 500, body: `{"active":true}`, wantError: "status 500"},
	} {
		s := newServer(t)
		s.status, s.body, s.header = test.status, test.body, http.Header{}
		if test.retry != "" {
			s.header.Set("Retry-After", test.retry)
		}
		s.header.Set("Location", s.URL+"/elsewhere")
		claims, err := ask(t, s.config())
		if errors.Is(err, gatehouse.ErrInactive) != test.wantInactive {
			t.Errorf("%s: got %v, want inactive %v", test.name, err, test.wantInactive)
		}
		if test.wantError != "" && (err == nil || !strings.Contains(err.Error(), test.wantError)) {
			t.Errorf("%s: got %v, want an error with %q", test.name, err, test.wantError)
		}
		var hinted interface{ RetryAfter() time.Duration }
		if test.wantRetry > 0 && (!errors.As(err, &hinted) || hinted.RetryAfter() != test.wantRetry) {
			t.Errorf("%s: got %v, want a Retry-After of %s", test.name, err, test.wantRetry)
		}
		if test.want != "" && !strings.Contains(claims, test.want) {
			t.Errorf("%s: got %s, %v, want %s in it", test.name, claims, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), token) {
			t.Errorf("%s: the error contains the token: %v", test.name, err)
		}
	}
}

// What an answer may lack is added: the issuer that was asked, and exp with a Lifetime.
func TestMissingClaims(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.body = `{"active":true,"sub":"u"}`
	read := func(cfg introspection.Config) (claims struct {
		Issuer string `json:"iss"`
		Expiry int64  `json:"exp"`
	}) {
		text, err := ask(t, cfg)
		if err == nil {
			err = json.Unmarshal([]byte(text), &claims)
		}
		if err != nil {
			t.Fatal(err)
		}
		return claims
	}
	if got := read(s.config()); got.Issuer != s.URL || got.Expiry != 0 {
		t.Errorf("got %+v, want the issuer %s and no exp", got, s.URL)
	}
	cfg := s.config()
	cfg.Lifetime = time.Hour
	if got := read(cfg); time.Until(time.Unix(got.Expiry, 0)).Round(time.Minute) != time.Hour {
		t.Errorf("got %+v, want exp in an hour", got)
	}
}

// The metadata of the issuer chooses the endpoint, but not any endpoint.
func TestEndpointOfMetadata(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for target, want := range map[string]string{
		"http://192.0.2.1/introspect": "is not https",
		"file:///etc/passwd":          "introspection_endpoint of the metadata",
		"/introspect":                 "introspection_endpoint of the metadata",
	} {
		s.pointTo = target
		if _, err := ask(t, s.config()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", target, err, want)
		}
	}
	cfg := s.config()
	cfg.HTTPClient = &http.Client{Transport: document(`{"issuer":"https://issuer.example.com","introspection_endpoint":"` + s.URL + `/introspect"}`)}
	cfg.Issuer = "https://issuer.example.com"
	if _, err := ask(t, cfg); err == nil || !strings.Contains(err.Error(), "on loopback, and the issuer is not") {
		t.Errorf("a remote issuer that points at loopback: got %v", err)
	}
	cfg.HTTPClient = &http.Client{Transport: document(`{"issuer":"https://other.example.com","introspection_endpoint":"https://issuer.example.com/i"}`)}
	if _, err := ask(t, cfg); err == nil {
		t.Error("the metadata of another issuer is used")
	}
}

// document is a transport that answers every request with itself.
type document string

func (d document) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	w.WriteString(string(d))
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

func TestConfigFaults(t *testing.T) {
	t.Parallel()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	valid := introspection.Config{Issuer: "https://issuer.example.com", ClientID: "c", ClientSecret: "s"}
	for _, test := range []struct {
		name   string
		change func(*introspection.Config)
		want   []string // the beginnings of the faults
	}{
		{"control", func(*introspection.Config) {}, nil},
		{"private network", func(c *introspection.Config) { c.Endpoint, c.InsecureHTTP = "http://hydra:4445/x", true }, nil},
		{"no issuer", func(c *introspection.Config) { c.Issuer = "" }, []string{"Issuer is missing"}},
		{"issuer with http", func(c *introspection.Config) { c.Issuer = "http://issuer.example.com" }, []string{"Issuer \"http://issuer.example.com\" is not https"}},
		{"endpoint with http", func(c *introspection.Config) { c.Endpoint = "http://hydra:4445/x" }, []string{"Endpoint \"http://hydra:4445/x\" is not https"}},
		{"InsecureHTTP without need", func(c *introspection.Config) { c.InsecureHTTP = true }, []string{"InsecureHTTP has no effect"}},
		{"no credentials", func(c *introspection.Config) { c.ClientSecret = "" }, []string{"ClientSecret is missing"}},
		{"two credentials", func(c *introspection.Config) { c.Unauthenticated = true }, []string{"ClientSecret is set in addition to Unauthenticated"}},
		{"no client", func(c *introspection.Config) { c.ClientID = "" }, []string{"ClientID is missing"}},
		{"Post without a secret", func(c *introspection.Config) { c.Post, c.ClientSecret, c.Unauthenticated = true, "", true }, []string{"Post has no effect"}},
		{"small key", func(c *introspection.Config) { c.ClientSecret, c.PrivateKey = "", small }, []string{"PrivateKey cannot be used: the RSA key has 1024 bits"}},
		{"Lifetime", func(c *introspection.Config) { c.Lifetime = -time.Second }, []string{"Lifetime \"-1s\" is out of range"}},
		{"three faults", func(c *introspection.Config) { *c = introspection.Config{Lifetime: -1} }, []string{"Issuer is missing", "ClientSecret is missing", "Lifetime"}},
	} {
		cfg := valid
		test.change(&cfg)
		err := introspection.New(cfg).Err
		var lines []string
		if err != nil {
			lines = strings.Split(err.Error(), "\n")
		}
		if len(lines) != len(test.want) {
			t.Errorf("%s: got %q, want %d faults", test.name, lines, len(test.want))
			continue
		}
		for i, want := range test.want {
			if !strings.HasPrefix(lines[i], "gatehouse: introspection.Config."+want) {
				t.Errorf("%s: got %q, want %q", test.name, lines[i], want)
			}
		}
	}
}

// A guard with the provider accepts and rejects as the endpoint says, also tokens that look
// like JWTs.
func TestGuard(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.body = `{"active":true,"sub":"user_1","client_id":"c","scope":"read","aud":"https://mcp.example.com/mcp","exp":4102444800}`
	guard, err := gatehouse.New(gatehouse.Config{Resource: "https://mcp.example.com/mcp", Provider: introspection.New(s.config(), "read")})
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close()
	for _, raw := range []string{"opaque", "a.b.c"} {
		info, err := guard.Verify(t.Context(), raw, nil)
		if err != nil || info.UserID != s.URL+"|user_1" {
			t.Errorf("%s: got %+v, %v", raw, info, err)
		}
	}
	for i, test := range []struct {
		member string
		want   gatehouse.Reason
	}{
		{`"token_use":"access_token"`, ""},
		{`"token_use":"refresh_token"`, "wrong_type"},
		{`"token_type":"Bearer"`, ""},
		{`"token_type":"refresh_token"`, "wrong_type"},
		{`"typ":"Bearer"`, ""},
		{`"typ":"Refresh"`, "wrong_type"},
		{`"typ":"Offline"`, "wrong_type"},
		{`"typ":"ID"`, "wrong_type"},
		{`"sub":null`, "malformed"},
		{`"aud":"https://other.example.com"`, "wrong_audience"},
		{`"iss":"https://other.example.com"`, "wrong_issuer"},
		{`"active":"true"`, "inactive"},
		{`"active":1`, "inactive"},
		{`"active":null`, "inactive"},
		{`"cnf":{"jkt":"x"}`, "sender_constrained"},
		{`"exp":1`, "expired"},
	} {
		name, _, _ := strings.Cut(test.member, ":")
		members := []string{test.member}
		for _, member := range []string{`"active":true`, `"sub":"user_1"`, `"client_id":"c"`, `"aud":"https://mcp.example.com/mcp"`, `"exp":4102444800`} {
			if !strings.HasPrefix(member, name+":") {
				members = append(members, member)
			}
		}
		s.body = "{" + strings.Join(members, ",") + "}"
		var rejected *gatehouse.TokenError
		_, err := guard.Verify(t.Context(), fmt.Sprint("token-", i), nil)
		if got := errors.As(err, &rejected); got != (test.want != "") || got && rejected.Reason != test.want || !got && err != nil {
			t.Errorf("%s: got %v, want reason %q", test.member, err, test.want)
		}
	}
	s.body = `{"active":false}`
	var rejected *gatehouse.TokenError
	if _, err := guard.Verify(t.Context(), "revoked", nil); !errors.As(err, &rejected) || rejected.Reason != "inactive" {
		t.Errorf("revoked: got %v", err)
	}
	if err := guard.Ready(t.Context()); err != nil {
		t.Errorf("Ready: %v", err)
	}
}
