package gatehousetest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// start serves an MCP server with the tool hello behind a guard, and returns the URL of
// its endpoint. The listener is open before the guard is made, so that the URL is known.
func start(t *testing.T, provider gatehouse.Provider, configure ...func(*gatehouse.Config)) string {
	t.Helper()
	front := httptest.NewUnstartedServer(nil)
	cfg := gatehouse.Config{
		Resource: "http://" + front.Listener.Addr().String() + "/mcp",
		Provider: provider,
	}
	for _, c := range configure {
		c(&cfg)
	}
	guard, err := gatehouse.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "example", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "hello", Description: "Greet the caller"}, hello)
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true})
	mux := http.NewServeMux()
	guard.Mount(mux, handler)
	front.Config.Handler = mux
	front.Start()
	t.Cleanup(func() {
		front.Close()
		guard.Close()
	})
	return guard.Resource()
}

// greeting is the result of the tool hello.
type greeting struct {
	Name         string   `json:"name"`
	Organization string   `json:"organization"`
	Scopes       []string `json:"scopes"`
	Audience     []string `json:"audience"`
}

func callHello(t *testing.T, session *mcp.ClientSession) greeting {
	t.Helper()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "hello"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(result.StructuredContent)
	if err != nil {
		t.Fatal(err)
	}
	var got greeting
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("hello answered %s: %v", text, err)
	}
	slices.Sort(got.Scopes)
	return got
}

func TestConnect(t *testing.T) {
	t.Parallel()
	clerk := gatehousetest.Clerk(t)
	url := start(t, clerk.Provider())
	organizations := clerk.Organizations()
	for _, test := range []struct {
		name string
		who  gatehousetest.Person
		want greeting
	}{
		{
			"control: zero value",
			gatehousetest.Person{},
			greeting{Name: "Ada Lovelace", Scopes: []string{"email", "profile"}},
		},
		{
			"user",
			gatehousetest.Person{User: "grace"},
			greeting{Name: "Grace Hopper", Scopes: []string{"email", "profile"}},
		},
		{"organization", gatehousetest.Person{Organization: "bombe-works"},
			greeting{Name: "Ada Lovelace", Organization: organizations[1].ID, Scopes: []string{"email", "profile", "user:org:read"}}},
		{
			"scopes",
			gatehousetest.Person{Scopes: []string{"openid"}},
			greeting{Name: "Ada Lovelace", Scopes: []string{"email", "openid", "profile"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, callHello(t, clerk.Connect(t, url, test.who))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestConnectStepsUp has a server whose tool needs a scope that clients do not request
// beforehand.
func TestConnectStepsUp(t *testing.T) {
	t.Parallel()
	clerk := gatehousetest.Clerk(t)
	url := start(t, clerk.Provider(), func(cfg *gatehouse.Config) {
		cfg.Requirements = []gatehouse.Requirement{{Tool: "hello", Require: gatehouse.Require{Scopes: []string{"public_metadata"}}}}
	})
	settings := clerk.Settings()
	settings.DefaultScopes = append(settings.DefaultScopes, "public_metadata")
	if err := clerk.SetSettings(settings); err != nil {
		t.Fatal(err)
	}
	got := callHello(t, clerk.Connect(t, url, gatehousetest.Person{}))
	if want := []string{"email", "profile", "public_metadata"}; !slices.Equal(got.Scopes, want) {
		t.Errorf("scopes %q, want %q", got.Scopes, want)
	}
}

// TestSettingsAreEffective sets the settings that it reads: nothing changes.
func TestSettingsAreEffective(t *testing.T) {
	t.Parallel()
	clerk := gatehousetest.Clerk(t)
	register := func() string {
		resp, err := http.Post(clerk.Issuer()+"/oauth/register", "application/json",
			strings.NewReader(`{"redirect_uris":["http://127.0.0.1:9/callback"],"token_endpoint_auth_method":"none"}`))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var client struct {
			Scope string `json:"scope"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&client); err != nil {
			t.Fatal(err)
		}
		return client.Scope
	}
	before := register()
	if err := clerk.SetSettings(clerk.Settings()); err != nil {
		t.Fatal(err)
	}
	if after := register(); after != before || before == "" {
		t.Errorf("scopes of a client %q, want those of the default settings, %q", after, before)
	}
	if got := strings.Join(clerk.Settings().DefaultScopes, " "); got != before {
		t.Errorf("DefaultScopes %q, want %q", got, before)
	}
	empty := clerk.Settings()
	empty.DefaultScopes = []string{}
	if err := clerk.SetSettings(empty); err != nil {
		t.Fatal(err)
	}
	if got := clerk.Settings().DefaultScopes; len(got) != 0 {
		t.Errorf("DefaultScopes %q, want none, as they were set", got)
	}
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	clerk := gatehousetest.Clerk(t)
	settings := clerk.Settings()
	settings.AudClaimEnabled = true
	if err := clerk.SetSettings(settings); err != nil {
		t.Fatal(err)
	}
	url := start(t, clerk.Provider(), func(cfg *gatehouse.Config) { cfg.Provider.Tokens.Audience = gatehouse.AudienceRequired })
	client := clerk.SignIn(t, url, gatehousetest.Person{User: "alan"})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url,
		strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"hello","arguments":{}}}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(text), "Alan Turing") || !strings.Contains(string(text), url) {
		t.Errorf("status %d, %s; want Alan Turing and the audience %s", resp.StatusCode, text, url)
	}
}

// TestTokenPasses is the control of TestFlaws.
func TestTokenPasses(t *testing.T) {
	t.Parallel()
	clerk := gatehousetest.Clerk(t)
	guard := newGuard(t, clerk.Provider())
	for _, test := range []struct {
		name string
		who  gatehousetest.Person
	}{
		{"zero value", gatehousetest.Person{}},
		{"user", gatehousetest.Person{User: "katherine"}},
		{"organization", gatehousetest.Person{User: "grace", Organization: "analytical-engines"}},
		{"scopes", gatehousetest.Person{Scopes: []string{"openid", "email"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			info, err := guard.Verify(t.Context(), clerk.Token(t, resource, test.who), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.Contains(info.Scopes, "user:org:read"); got != (test.who.Organization != "") {
				t.Errorf("scopes %q for %+v", info.Scopes, test.who)
			}
			if test.who.Scopes != nil && !slices.Equal(info.Scopes, test.who.Scopes) {
				t.Errorf("scopes %q, want %q", info.Scopes, test.who.Scopes)
			}
		})
	}
}

func TestFlaws(t *testing.T) {
	t.Parallel()
	clerk := gatehousetest.Clerk(t)
	wantReason := map[gatehousetest.Flaw]gatehouse.Reason{
		gatehousetest.Expired:       "expired",
		gatehousetest.NotYetValid:   "not_yet_valid",
		gatehousetest.WrongAudience: "wrong_audience",
		gatehousetest.WrongIssuer:   "wrong_issuer",
		gatehousetest.Forged:        "bad_signature",
		gatehousetest.Tampered:      "bad_signature",
		gatehousetest.Unsigned:      "wrong_algorithm",
		gatehousetest.IDToken:       "wrong_type",
		gatehousetest.SessionToken:  "wrong_type",
		gatehousetest.TemplateToken: "wrong_type",
		gatehousetest.MachineToken:  "wrong_type",
	}
	if got := len(gatehousetest.Flaws()); got != len(wantReason) {
		t.Errorf("%d flaws, want the %d of this test", got, len(wantReason))
	}
	guard := newGuard(t, clerk.Provider())
	for _, flaw := range gatehousetest.Flaws() {
		t.Run(string(flaw), func(t *testing.T) {
			_, err := guard.Verify(t.Context(), clerk.Token(t, resource, gatehousetest.Person{}, flaw), nil)
			var rejected *gatehouse.TokenError
			if !errors.As(err, &rejected) || rejected.Reason != wantReason[flaw] {
				t.Errorf("error %v, want reason %q", err, wantReason[flaw])
			}
		})
	}
}

// TestFaults calls methods of the local Clerk in a ClerkServer.
func TestFaults(t *testing.T) {
	t.Parallel()
	clerk := gatehousetest.Clerk(t)
	token := clerk.Token(t, resource, gatehousetest.Person{})
	verify := func() error {
		_, err := newGuard(t, clerk.Provider()).Verify(t.Context(), token, nil)
		return err
	}
	if err := verify(); err != nil {
		t.Fatalf("control: %v", err)
	}
	if err := clerk.SetFaults(localclerk.Faults{Status: http.StatusInternalServerError}); err != nil {
		t.Fatal(err)
	}
	var rejected *gatehouse.TokenError
	if err := verify(); err == nil || errors.As(err, &rejected) {
		t.Errorf("in an outage: error %v, want one that is not about the token", err)
	}
	if err := clerk.SetFaults(localclerk.Faults{}); err != nil {
		t.Fatal(err)
	}
	if err := clerk.RotateKey(localclerk.Rotation{SameKeyID: true}); err != nil {
		t.Fatal(err)
	}
	if err := verify(); !errors.As(err, &rejected) || rejected.Reason != "bad_signature" {
		t.Errorf("after a rotation: error %v, want reason bad_signature", err)
	}
}

// TestOneClerkIsNotAnother has two local Clerks that share their first key.
func TestOneClerkIsNotAnother(t *testing.T) {
	t.Parallel()
	here, elsewhere := gatehousetest.Clerk(t), gatehousetest.Clerk(t)
	_, err := newGuard(t, here.Provider()).Verify(t.Context(), elsewhere.Token(t, resource, gatehousetest.Person{}), nil)
	var rejected *gatehouse.TokenError
	if !errors.As(err, &rejected) || rejected.Reason != "wrong_issuer" {
		t.Errorf("error %v, want reason wrong_issuer", err)
	}
}

func TestOpaqueTokens(t *testing.T) {
	t.Setenv("CLERK_SECRET_KEY", "sk_test_another")
	t.Setenv("CLERK_API_URL", "https://api.clerk.example")
	t.Setenv("MCP_USE_OAUTH_CLERK_FRONTEND_API_URL", "https://clerk.example.com")
	clerk := gatehousetest.Clerk(t)
	settings := clerk.Settings()
	settings.OAuthJWTAccessTokens = false
	if err := clerk.SetSettings(settings); err != nil {
		t.Fatal(err)
	}
	if got := callHello(t, clerk.Connect(t, start(t, clerk.Provider()), gatehousetest.Person{})); got.Name != "Ada Lovelace" {
		t.Errorf("hello answered %+v, want Ada Lovelace", got)
	}
}

// failing is a testing.TB that records its failures.
type failing struct {
	testing.TB
	message chan string
	errors  []string
}

func (f *failing) Helper() {}

func (f *failing) Errorf(format string, args ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}

func (f *failing) Fatalf(format string, args ...any) {
	f.message <- fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// failureOf returns the message with which body failed its test, or "".
func failureOf(t *testing.T, body func(testing.TB)) string {
	t.Helper()
	f := &failing{TB: t, message: make(chan string, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		body(f)
	}()
	<-done
	select {
	case message := <-f.message:
		return message
	default:
		return ""
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	clerk := gatehousetest.Clerk(t)
	url := start(t, clerk.Provider())
	open := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(open.Close)
	ada, unknown := gatehousetest.Person{}, gatehousetest.Person{User: "unknown"}
	for _, test := range []struct {
		name    string
		body    func(testing.TB)
		wantErr string // empty for none
	}{
		{"control: Token", func(t testing.TB) { clerk.Token(t, url, ada) }, ""},
		{
			"Token of an unknown user",
			func(t testing.TB) { clerk.Token(t, url, unknown) },
			`no user "unknown"; the users are ada`,
		},
		{"Token of a user who is not a member", func(t testing.TB) {
			clerk.Token(t, url, gatehousetest.Person{User: "katherine", Organization: "bombe-works"})
		}, `Katherine Johnson is not a member of "bombe-works"`},
		{
			"Token with an unknown flaw",
			func(t testing.TB) { clerk.Token(t, url, ada, "a scratch") },
			`with "a scratch": unknown flaw`,
		},
		{"control: SignIn", func(t testing.TB) { clerk.SignIn(t, url, ada) }, ""},
		{
			"SignIn of an unknown user",
			func(t testing.TB) { clerk.SignIn(t, url, unknown) },
			`status 400: Localclerk-Sign-In: no user "unknown"`,
		},
		{
			"SignIn without a guard",
			func(t testing.TB) { clerk.SignIn(t, open.URL, ada) },
			"request without a token: status 404, want 401; check that a guard protects",
		},
		{"SignIn with an unknown scope", func(t testing.TB) {
			clerk.SignIn(t, url, gatehousetest.Person{Scopes: []string{"notes:write"}})
		}, "notes:write"},
		{"control: Connect", func(t testing.TB) { clerk.Connect(t, url, ada) }, ""},
		{"Connect of an unknown user", func(t testing.TB) { clerk.Connect(t, url, unknown) }, `no user "unknown"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := failureOf(t, test.body)
			if (got == "") != (test.wantErr == "") || !strings.Contains(got, test.wantErr) {
				t.Errorf("failure %q, want %q in it", got, test.wantErr)
			}
		})
	}
}

func TestBannedUsersCannotSignIn(t *testing.T) {
	t.Parallel()
	clerk := gatehousetest.Clerk(t)
	url := start(t, clerk.Provider())
	users := clerk.Users()
	users[0].Banned = true
	if err := clerk.SetUsers(users, clerk.Organizations()); err != nil {
		t.Fatal(err)
	}
	got := failureOf(t, func(t testing.TB) { clerk.SignIn(t, url, gatehousetest.Person{}) })
	if !strings.Contains(got, "is banned") {
		t.Errorf("failure %q, want one about the ban", got)
	}
	clerk.SignIn(t, url, gatehousetest.Person{User: "grace"})
}

const resource = "http://localhost:3000/mcp"

func newGuard(t *testing.T, provider gatehouse.Provider) *gatehouse.Guard {
	t.Helper()
	guard, err := gatehouse.New(gatehouse.Config{Resource: resource, Provider: provider, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(guard.Close)
	return guard
}
