package clerk_test

import (
	"context"
	"encoding/json"
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

// instance is a local Clerk whose userinfo requests are counted and can be answered
// differently.
type instance struct {
	*localclerk.Server
	userinfo atomic.Int64                     // number of requests
	answer   atomic.Pointer[http.HandlerFunc] // replaces userinfo, if set
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

// call returns the request that a tool receives from a caller with the token, or the
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
		var rejected *gatehouse.TokenError
		if !errors.As(err, &rejected) || !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%v: error %v, want a rejection", kind, err)
			continue
		}
		want := gatehouse.Reason("wrong_type")
		if kind == localclerk.APIKey {
			want = "opaque"
		}
		if rejected.Reason != want {
			t.Errorf("%v: reason %q, want %q (%v)", kind, rejected.Reason, want, rejected)
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
		t.Errorf("UserOf = %+v, %v; want only the ID, as in Clerk's access tokens", user, ok)
	}
	// The caller of another provider is not a user of Clerk, and its token is sent nowhere.
	other := clerk.Provider(in.Issuer())
	other.Name = "Another provider"
	if req, err = call(t, other, mint(t, in, accessToken("profile", "email"))); err != nil {
		t.Fatal(err)
	}
	if user, ok := clerk.UserOf(req); ok || !cmp.Equal(user, clerk.User{}) {
		t.Errorf("UserOf a caller of another provider = %+v, %v", user, ok)
	}
	if user, err := clerk.Profile(t.Context(), req); !errors.Is(err, clerk.ErrNotSignedIn) || !cmp.Equal(user, clerk.User{}) {
		t.Errorf("Profile of a caller of another provider = %+v, %v, want ErrNotSignedIn", user, err)
	}
	if _, err := clerk.Membership(t.Context(), req); !errors.Is(err, clerk.ErrNotSignedIn) {
		t.Errorf("Membership of a caller of another provider = %v, want ErrNotSignedIn", err)
	}
	for _, req := range []*mcp.CallToolRequest{{}, {Extra: &mcp.RequestExtra{}}, {Extra: &mcp.RequestExtra{TokenInfo: &auth.TokenInfo{UserID: "forged"}}}} {
		if user, ok := clerk.UserOf(req); ok || !cmp.Equal(user, clerk.User{}) {
			t.Errorf("UserOf without a guard = %+v, %v", user, ok)
		}
		if _, err := clerk.Profile(t.Context(), req); !errors.Is(err, clerk.ErrNotSignedIn) {
			t.Errorf("Profile without a guard = %v, want ErrNotSignedIn", err)
		}
	}
}

// TestClaimsAreReadStrictly returns claims from Introspect, as text: localclerk cannot
// write a member twice.
func TestClaimsAreReadStrictly(t *testing.T) {
	tests := []struct {
		name       string
		claims     string // in addition to the required ones
		want       clerk.User
		wantReason gatehouse.Reason
		orReason   gatehouse.Reason // which part finds the fault first is not part of the contract
	}{
		{
			name:   "control: flat",
			claims: `"roles":["editor"],"org_id":"org_1","org_role":"org:admin"`,
			want:   clerk.User{ID: "user_1", Roles: []string{"editor"}, Org: clerk.Org{ID: "org_1", Role: "org:admin"}},
		},
		{
			name:   "control: compact",
			claims: `"o":{"id":"org_1","rol":"admin"}`,
			want:   clerk.User{ID: "user_1", Org: clerk.Org{ID: "org_1", Role: "org:admin"}},
		},
		{
			name:   "upper case",
			claims: `"ROLES":["admin"],"Org_Id":"org_1","Email":"ada@example.com"`,
			want:   clerk.User{ID: "user_1"},
		},
		{name: "Unicode folding", claims: `"roleſ":["admin"],"permiſſions":["all"]`, want: clerk.User{ID: "user_1"}},
		{name: "upper case in the organization", claims: `"o":{"ID":"org_1"}`, want: clerk.User{ID: "user_1"}},
		{
			name:   "two spellings",
			claims: `"roles":["editor"],"ROLES":["admin"]`,
			want:   clerk.User{ID: "user_1", Roles: []string{"editor"}},
		},
		{name: "roles twice", claims: `"roles":["editor"],"roles":["admin"]`, wantReason: "malformed"},
		{name: "organization twice", claims: `"org_id":"org_1","org_id":"org_2"`, wantReason: "malformed"},
		{
			name:       "id of the organization twice",
			claims:     `"o":{"id":"org_1","id":"org_2"}`,
			wantReason: "malformed",
			orReason:   "unusable_claims",
		},
		{name: "roles of another type", claims: `"roles":"admin"`, wantReason: "unusable_claims"},
		{
			name:   "email of another type",
			claims: `"email":7,"roles":["editor"]`,
			want:   clerk.User{ID: "user_1", Roles: []string{"editor"}},
		},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			const issuer = "https://clerk.example.com"
			p := clerk.Provider(issuer)
			p.Introspect = func(context.Context, string) (json.RawMessage, error) {
				return fmt.Appendf(nil, `{"active":true,"iss":%q,"sub":"user_1","client_id":"client_1","exp":%d,%s}`,
					issuer, time.Now().Add(time.Hour).Unix(), test.claims), nil
			}
			req, err := call(t, p, fmt.Sprintf("oat_%d", i))
			if test.wantReason != "" {
				var rejected *gatehouse.TokenError
				if !errors.As(err, &rejected) || rejected.Reason != test.wantReason && rejected.Reason != test.orReason {
					t.Errorf("error %v, want reason %q", err, test.wantReason)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, _ := clerk.UserOf(req)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("UserOf (-want +got):\n%s", diff)
			}
		})
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
		t.Errorf("%d requests to userinfo for one token, want 1", got)
	}
}

func TestProfileWhenClerkFails(t *testing.T) {
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   error
	}{
		{"500", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", 500) }, clerk.ErrUnavailable},
		{"HTML", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html>") }, clerk.ErrUnavailable},
		{"10 MB", func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 10<<20)) }, clerk.ErrUnavailable},
		{
			"another user",
			func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"sub":"user_other","name":"Mallory"}`) },
			clerk.ErrUnavailable,
		},
		{"401", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(401) }, clerk.ErrTokenRevoked},
		{"403", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(403) }, clerk.ErrTokenRevoked},
		{"429", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(429) }, clerk.ErrUnavailable},
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
			id, _ := gatehouse.IdentityOf(req)
			if got := clerk.TokenRejected(id); got != (test.name == "401") {
				t.Errorf("TokenRejected = %v, want true for status 401 alone", got)
			}
			in.answer.Store(nil)
			if user, err := clerk.Profile(t.Context(), req); err != nil || user.Name != "Ada Lovelace" {
				t.Errorf("after recovery: %+v, %v", user, err)
			}
		})
	}
}

func TestProfileWhenTheFirstCallerCancels(t *testing.T) {
	in := start(t)
	req, err := call(t, clerk.Provider(in.Issuer()), mint(t, in, accessToken("profile")))
	if err != nil {
		t.Fatal(err)
	}
	requested := make(chan struct{})
	release := make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(requested)
		<-release
		in.ServeHTTP(w, r)
	})
	in.answer.Store(&slow)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { _, err := clerk.Profile(ctx, req); first <- err }()
	<-requested
	second := make(chan error, 1)
	go func() { _, err := clerk.Profile(t.Context(), req); second <- err }()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller that canceled got %v, want context.Canceled", err)
	}
	close(release)
	if err := <-second; err != nil {
		t.Errorf("the other caller got %v", err)
	}
}

// TestTokenGoesToItsIssuerOnly sends a request to another origin with the client that
// Profile uses.
func TestTokenGoesToItsIssuerOnly(t *testing.T) {
	var received atomic.Bool
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { received.Store(true) }), ReadHeaderTimeout: time.Second}
	go server.Serve(other)
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
	if resp, err := client.Get("http://" + other.Addr().String()); err == nil {
		resp.Body.Close()
		t.Error("a request to another origin succeeded")
	}
	if received.Load() {
		t.Error("the other origin received the request")
	}
	resp, err := client.Get(in.Issuer() + "/oauth/userinfo")
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("control: %v, %v", resp, err)
	}
	resp.Body.Close()
}
