package revocationport

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/revocationstore"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/internal/operator"
	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
)

const (
	key    = gatehouse.Secret("0123456789abcdef0123456789abcdef")
	issuer = "https://issuer.example.com"
)

// port is an operator port of a gateway with one guard.
type port struct {
	url   string
	store *revocationstore.Store
	log   testlog.Buffer
}

func start(t *testing.T) *port {
	t.Helper()
	guard, err := gatehouse.New(gatehouse.Config{Resource: "https://mcp.example.com/mcp", Provider: gatehouse.OIDC(issuer)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(guard.Close)
	p := &port{store: revocationstore.OpenMemory()}
	h := operator.New(operator.Config{Revocations: New(Config{
		Key:    key,
		Store:  func() *revocationstore.Store { return p.store },
		Guards: func() []*gatehouse.Guard { return []*gatehouse.Guard{guard} },
		Logger: slog.New(slog.NewTextHandler(&p.log, nil)),
	})})
	server := httptest.NewUnstartedServer(h)
	server.Config = listen.NewServer(h, slog.New(slog.DiscardHandler))
	server.Start()
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

// client returns a client with a key.
func (p *port) client(t *testing.T, key gatehouse.Secret) *Client {
	t.Helper()
	c, problem, _ := NewClient(p.url, key)
	if problem != "" {
		t.Fatal(problem)
	}
	return c
}

// A revocation that was added is in the store and in the list, with the issuer of the provider.
func TestAddAndList(t *testing.T) {
	t.Parallel()
	p := start(t)
	c := p.client(t, key)
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	for range 2 { // the second one changes nothing
		got, err := c.Add(t.Context(), Revocation{Subject: "user_1", Until: until})
		if err != nil || got.Status != "revoked" || got.Shared || len(got.Revocations) != 1 || got.Revocations[0].Issuer != issuer {
			t.Fatalf("got %+v, %v; want one revocation with the issuer", got, err)
		}
	}
	want := []gatehouse.Denial{{Issuer: issuer, Subject: "user_1", Until: until}}
	if got, _, err := p.store.Snapshot(t.Context()); err != nil || !slices.Equal(got, want) {
		t.Errorf("the store has %+v, %v; want %+v", got, err, want)
	}
	list, err := c.List(t.Context())
	if err != nil || len(list.Revocations) != 1 || list.Revocations[0] != Of(want[0]) || list.Store != "the memory of this gateway" {
		t.Errorf("got the list %+v, %v; want %+v", list, err, want)
	}
	if text := p.log.String(); !strings.Contains(text, "added a revocation") || strings.Contains(text, "user_1") {
		t.Errorf("got the log %s, want the revocation without the user", text)
	}
}

// Each row changes one thing of a request that is accepted.
func TestRejectedRequests(t *testing.T) {
	t.Parallel()
	p := start(t)
	for name, tt := range map[string]struct {
		authorization string
		body          string
		wantStatus    int
		wantReason    string
	}{
		"control":               {"Bearer " + string(key), `{"subject":"user_1"}`, 200, ""},
		"control, lower case":   {"bearer " + string(key), `{"client":"c","session":"s","tokenId":"t","organization":"o"}`, 200, ""},
		"control, issued":       {"Bearer " + string(key), `{"subject":"user_1","issuedBefore":"2026-01-02T15:04:05Z"}`, 200, ""},
		"no key":                {"", `{"subject":"user_1"}`, 401, "does not have the key; send that of operator.revoke_key"},
		"empty key":             {"Bearer ", `{"subject":"user_1"}`, 401, "does not have the key"},
		"half of the key":       {"Bearer " + string(key[:16]), `{"subject":"user_1"}`, 401, "does not have the key"},
		"a longer key":          {"Bearer " + string(key) + "0", `{"subject":"user_1"}`, 401, "does not have the key"},
		"another scheme":        {"Basic " + string(key), `{"subject":"user_1"}`, 401, "does not have the key"},
		"no scheme":             {string(key), `{"subject":"user_1"}`, 401, "does not have the key"},
		"no one":                {"Bearer " + string(key), `{"organization":"o"}`, 400, "neither which user nor which session, client or token; add subject"},
		"not JSON":              {"Bearer " + string(key), `subject=user_1`, 400, "the body is not a revocation"},
		"empty":                 {"Bearer " + string(key), ``, 400, "the body is not a revocation"},
		"two values":            {"Bearer " + string(key), `{"subject":"user_1"}{"subject":"user_2"}`, 400, "the body is not a revocation"},
		"misspelt member":       {"Bearer " + string(key), `{"subject":"user_1","organisation":"o"}`, 400, "organisation"},
		"member in upper case":  {"Bearer " + string(key), `{"Subject":"user_1"}`, 400, "Subject"},
		"a member twice":        {"Bearer " + string(key), `{"subject":"user_1","subject":"user_2"}`, 400, "duplicate"},
		"invalid UTF-8":         {"Bearer " + string(key), "{\"subject\":\"\xff\"}", 400, "UTF-8"},
		"NUL":                   {"Bearer " + string(key), `{"subject":"a\u0000"}`, 400, "subject is longer than 1024 bytes or has a NUL"},
		"long":                  {"Bearer " + string(key), `{"subject":"` + strings.Repeat("x", MaxText+1) + `"}`, 400, "subject is longer than 1024 bytes"},
		"too large":             {"Bearer " + string(key), `{"subject":"` + strings.Repeat("x", maxBody) + `"}`, 413, "the body is larger than 16384 bytes"},
		"has ended":             {"Bearer " + string(key), `{"subject":"user_1","until":"2026-01-02T15:04:05Z"}`, 400, "want a time in the next 90 days"},
		"too late":              {"Bearer " + string(key), `{"subject":"user_1","until":"9999-01-02T15:04:05Z"}`, 400, "want a time in the next 90 days"},
		"not a time":            {"Bearer " + string(key), `{"subject":"user_1","until":"tomorrow"}`, 400, "the body is not a revocation"},
		"an issuer of no guard": {"Bearer " + string(key), `{"subject":"user_1","issuer":"https://issuer.example.com/"}`, 400, "is not an issuer of the providers; set issuer to one of https://issuer.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+operator.RevocationsPath, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if tt.authorization != "" {
				req.Header.Set("Authorization", tt.authorization)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != tt.wantStatus || !strings.Contains(string(text), tt.wantReason) || strings.Contains(string(text), string(key)) {
				t.Errorf("got %d %s, want %d and %q", resp.StatusCode, text, tt.wantStatus, tt.wantReason)
			}
		})
	}
	if text := p.log.String(); strings.Count(text, "does not have the key") != 1 || strings.Contains(text, string(key)) {
		t.Errorf("got the log\n%s\nwant one warning about all keys, and no key", text)
	}
}

// A body that does not arrive holds nothing before the key has been checked.
func TestBodyThatDoesNotArrive(t *testing.T) {
	t.Parallel()
	p := start(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(listen.DefaultBodyTimeouts.Arrive / 2)) // the rest of a body has less time than the whole
	fmt.Fprintf(conn, "POST /revocations HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\nContent-Length: 100\r\n\r\n{")
	answer := make([]byte, len("HTTP/1.1 401"))
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "HTTP/1.1 401" {
		t.Errorf("got %q, %v; want 401 before the body had to arrive", answer, err)
	}
}

// Each failure says what to do.
func TestClientFailures(t *testing.T) {
	t.Parallel()
	p := start(t)
	if _, err := p.client(t, key+"0").List(t.Context()); err == nil || !strings.Contains(err.Error(), "has another key") {
		t.Errorf("another key: %v", err)
	}
	if _, err := p.client(t, key).Add(t.Context(), Revocation{Subject: "user_1", Issuer: "https://other.example.com"}); err == nil ||
		!strings.Contains(err.Error(), "is not an issuer of the providers") {
		t.Errorf("another issuer: %v", err)
	}
	without := httptest.NewServer(operator.New(operator.Config{}))
	defer without.Close()
	p.url = without.URL
	if _, err := p.client(t, key).List(t.Context()); err == nil || !strings.Contains(err.Error(), "takes no revocations (404") {
		t.Errorf("a port without revocations, GET: %v", err)
	}
	if _, err := p.client(t, key).Add(t.Context(), Revocation{Subject: "user_1"}); err == nil || !strings.Contains(err.Error(), "takes no revocations (405") {
		t.Errorf("a port without revocations, POST: %v", err)
	}
	without.Close()
	if _, err := p.client(t, key).List(t.Context()); err == nil || !strings.Contains(err.Error(), "no operator port listens at") {
		t.Errorf("no gateway: %v", err)
	}
}

func TestNewClient(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		address     string
		key         gatehouse.Secret
		wantProblem string
	}{
		{"http://localhost:9090", key, ""},
		{"http://127.0.0.1:9090/", key, ""},
		{"http://[::1]:9090", key, ""},
		{"localhost:9090", key, "is not the URL of an operator port"},
		{"https://localhost:9090", key, "is not the URL"},
		{"http://localhost:9090/mcp", key, "is not the URL"},
		{"http://user:secret@localhost:9090", key, "is not the URL"},
		{"http://gateway.internal:9090", key, "is not on this machine"},
		{"http://10.0.0.7:9090", key, "is not on this machine"},
		{"http://localhost:9090", key[:MinKey-1], "has a key of 31 bytes, want at least 32"},
		{"http://localhost:9090", "", "has a key of 0 bytes"},
	} {
		if _, problem, fix := NewClient(tt.address, tt.key); !strings.HasPrefix(problem, tt.wantProblem) || (problem == "") != (tt.wantProblem == "") || (fix == "") != (problem == "") {
			t.Errorf("%s: got %q, %q; want %q and a fix", tt.address, problem, fix, tt.wantProblem)
		}
	}
}

// A store may have an end that JSON cannot have.
func TestLateEnd(t *testing.T) {
	t.Parallel()
	p := start(t)
	if err := p.store.Append(t.Context(), []gatehouse.Denial{{Subject: "user_1", Until: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)}}); err != nil {
		t.Fatal(err)
	}
	if got, err := p.client(t, key).List(t.Context()); err != nil || len(got.Revocations) != 1 || got.Revocations[0].Until.Year() != 9999 {
		t.Errorf("got %+v, %v; want one until the year 9999", got, err)
	}
}
