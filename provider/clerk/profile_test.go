package clerk_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const resource = "http://localhost:3000/mcp"

// instance is a local Clerk on a socket whose userinfo can be counted and broken.
type instance struct {
	*localclerk.Server
	userinfo atomic.Int64
	answer   atomic.Pointer[http.HandlerFunc] // instead of userinfo
}

func start(t *testing.T) *instance {
	t.Helper()
	in := &instance{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/oauth/userinfo" {
			in.userinfo.Add(1)
			if h := in.answer.Load(); h != nil {
				(*h)(w, r)
				return
			}
		}
		in.ServeHTTP(w, r)
	}))
	local, err := localclerk.New(localclerk.Config{Issuer: "http://" + server.Listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	in.Server = local
	server.Start()
	t.Cleanup(server.Close)
	return in
}

// call returns the request that a tool gets from a caller with the token, or the
// error of the guard.
func call(t *testing.T, p gatehouse.Provider, token string) (*mcp.CallToolRequest, error) {
	t.Helper()
	guard, err := gatehouse.New(gatehouse.Config{Resource: resource, Provider: p, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	info, err := guard.Verify(t.Context(), token, nil)
	if err != nil {
		return nil, err
	}
	return &mcp.CallToolRequest{Extra: &mcp.RequestExtra{TokenInfo: info}}, nil
}

func mint(t *testing.T, in *instance, token localclerk.Token) string {
	t.Helper()
	raw, err := in.IssueToken(token)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func accessToken(scopes ...string) localclerk.Token {
	return localclerk.Token{Kind: localclerk.OAuthToken, User: "ada", ClientID: "abcdefghijklmnop", Scopes: scopes}
}

func TestOtherTokensOfTheInstance(t *testing.T) {
	in := start(t)
	p := clerk.Provider(in.Issuer())
	if _, err := call(t, p, mint(t, in, accessToken("profile"))); err != nil {
		t.Fatalf("control: %v", err)
	}
	for _, kind := range []localclerk.TokenKind{localclerk.SessionToken, localclerk.TemplateToken, localclerk.M2MToken, localclerk.IDToken, localclerk.APIKey} {
		token := accessToken()
		token.Kind = kind
		_, err := call(t, p, mint(t, in, token))
		var refused *gatehouse.TokenError
		if !errors.As(err, &refused) || !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%v: error %v, want a refusal", kind, err)
			continue
		}
		want := gatehouse.Reason("wrong_type")
		if kind == localclerk.APIKey {
			want = "opaque"
		}
		if refused.Reason != want {
			t.Errorf("%v: reason %q, want %q (%v)", kind, refused.Reason, want, refused)
		}
	}
}

func TestUserOf(t *testing.T) {
	in := start(t)
	req, err := call(t, clerk.Provider(in.Issuer()), mint(t, in, accessToken("profile", "email")))
	if err != nil {
		t.Fatal(err)
	}
	user, ok := clerk.UserOf(req)
	if !ok || user.ID == "" || user.Email != "" || user.Name != "" {
		t.Errorf("UserOf = %+v, %v; want the ID alone, as Clerk's access tokens have it", user, ok)
	}
	for _, none := range []*mcp.CallToolRequest{{}, {Extra: &mcp.RequestExtra{}}, {Extra: &mcp.RequestExtra{TokenInfo: &auth.TokenInfo{UserID: "forged"}}}} {
		if user, ok := clerk.UserOf(none); ok || !cmp.Equal(user, clerk.User{}) {
			t.Errorf("UserOf without a guard = %+v, %v", user, ok)
		}
		if _, err := clerk.Profile(t.Context(), none); !errors.Is(err, clerk.ErrNotSignedIn) {
			t.Errorf("Profile without a guard = %v, want ErrNotSignedIn", err)
		}
	}
}

func TestProfile(t *testing.T) {
	in := start(t)
	req, err := call(t, clerk.Provider(in.Issuer()), mint(t, in, accessToken("profile", "email")))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			user, err := clerk.Profile(t.Context(), req)
			if err != nil || user.Name != "Ada Lovelace" || user.Email != "ada@example.com" {
				t.Errorf("Profile = %+v, %v", user, err)
			}
		}()
	}
	wg.Wait()
	if got := in.userinfo.Load(); got != 1 {
		t.Errorf("userinfo was asked %d times for one token, want once", got)
	}
}

func TestProfileWhenClerkIsAway(t *testing.T) {
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   error
	}{
		{"500", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", 500) }, clerk.ErrUnavailable},
		{"HTML", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html>") }, clerk.ErrUnavailable},
		{"10 MB", func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 10<<20)) }, clerk.ErrUnavailable},
		{"another user", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"sub":"user_other","name":"Mallory"}`) }, clerk.ErrUnavailable},
		{"401", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(401) }, clerk.ErrTokenRevoked},
		{"redirect elsewhere", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://localhost:1/steal", http.StatusFound)
		}, clerk.ErrUnavailable},
	}
	in := start(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			req, err := call(t, clerk.Provider(in.Issuer()), mint(t, in, accessToken("profile")))
			if err != nil {
				t.Fatal(err)
			}
			in.answer.Store(&test.answer)
			user, err := clerk.Profile(t.Context(), req)
			if !errors.Is(err, test.want) || user.ID == "" || user.Name != "" {
				t.Errorf("Profile = %+v, %v; want the ID and %v", user, err, test.want)
			}
			in.answer.Store(nil)
			if user, err := clerk.Profile(t.Context(), req); err != nil || user.Name != "Ada Lovelace" {
				t.Errorf("after recovery: %+v, %v", user, err)
			}
		})
	}
}

func TestProfileOfACallerWhoLeaves(t *testing.T) {
	in := start(t)
	req, err := call(t, clerk.Provider(in.Issuer()), mint(t, in, accessToken("profile")))
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{})
	release := make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-release
		in.ServeHTTP(w, r)
	})
	in.answer.Store(&slow)
	ctx, leave := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { _, err := clerk.Profile(ctx, req); first <- err }()
	<-asked
	second := make(chan error, 1)
	go func() { _, err := clerk.Profile(t.Context(), req); second <- err }()
	leave()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	close(release)
	if err := <-second; err != nil {
		t.Errorf("who stayed got %v", err)
	}
}

// TestTokenGoesToItsIssuerOnly drives the client that Profile uses against
// another origin.
func TestTokenGoesToItsIssuerOnly(t *testing.T) {
	var stolen atomic.Bool
	thief, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Store(true) }), ReadHeaderTimeout: time.Second}
	go server.Serve(thief)
	t.Cleanup(func() { server.Close() })

	in := start(t)
	req, err := call(t, clerk.Provider(in.Issuer()), mint(t, in, accessToken("profile")))
	if err != nil {
		t.Fatal(err)
	}
	client, ok := gatehouse.IssuerClient(req)
	if !ok {
		t.Fatal("no client")
	}
	if resp, err := client.Get("http://" + thief.Addr().String()); err == nil {
		resp.Body.Close()
		t.Error("a request to another origin went out")
	}
	if stolen.Load() {
		t.Error("another origin was reached")
	}
	resp, err := client.Get(in.Issuer() + "/oauth/userinfo")
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("control: %v, %v", resp, err)
	}
	resp.Body.Close()
}
