package localclerk

import (
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// browser requests the pages as a browser does, but does not follow redirects.
type browser struct {
	t testing.TB
	s *Server
}

func (b browser) get(target string) response {
	b.t.Helper()
	return get(b.t, b.s, target, "Accept", "text/html", "Sec-Fetch-Site", "none")
}

// press presses a button of the page of a transaction.
func (b browser) press(transaction string, fields ...string) response {
	b.t.Helper()
	form := url.Values{"transaction": {transaction}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return post(b.t, b.s, continuePath, form, "Accept", "text/html", "Origin", testIssuer, "Sec-Fetch-Site", "same-origin")
}

// open starts an authorization and returns its transaction.
func (b browser) open(params url.Values) string {
	b.t.Helper()
	uri, query := b.get("/oauth/authorize?" + params.Encode()).location()
	if uri != continuePath || query.Get("transaction") == "" {
		b.t.Fatalf("redirects to %q with %v, want the continue page", uri, query)
	}
	return query.Get("transaction")
}

func (b browser) page(transaction string) string {
	b.t.Helper()
	return b.get(continueURL(transaction)).want(200).body
}

func TestSignInAndConsentPages(t *testing.T) {
	t.Parallel()
	b := browser{t, newServer(t, nil)}
	app := register(t, b.s, map[string]any{"client_name": "Probe", "client_uri": "https://probe.example"})
	params := with(authorization(app), "scope", "openid user:org:read")
	ada, _ := b.s.currentDirectory().findUser("ada")
	bombe, _ := b.s.currentDirectory().organization("bombe-works")

	transaction := b.open(params)
	page := b.page(transaction)
	for _, want := range []string{"Sign in", "Probe", "Ada Lovelace", "grace@example.com", ada.ID, "Local Clerk", testIssuer} {
		if !strings.Contains(page, want) {
			t.Errorf("the sign-in page lacks %q", want)
		}
	}
	uri, query := b.press(transaction, "action", actionSignIn, "user", ada.ID).location()
	if uri != continuePath || query.Get("transaction") != transaction {
		t.Fatalf("redirects to %q with %v, want the consent page", uri, query)
	}
	page = b.page(transaction)
	for _, want := range []string{
		"Probe wants access", "https://probe.example", "Ada Lovelace", "127.0.0.1:9999", "Confirm your identity", "user:org:read",
		"Analytical Engines", "Bombe Works", "Deny", "Allow"} {
		if !strings.Contains(page, want) {
			t.Errorf("the consent page lacks %q", want)
		}
	}
	if strings.Contains(page, "Keep access") {
		t.Error("the consent page names a scope that was not requested")
	}
	allowed := b.press(transaction, "action", actionAllow, "organization_id", bombe.ID)
	uri, query = allowed.location()
	if allowed.status != 303 || uri != testRedirect || query.Get("state") != testState || query.Get("iss") != testIssuer {
		t.Fatalf("%d to %q with %v, want 303 to the client", allowed.status, uri, query)
	}
	got := post(t, b.s, "/oauth/token", redemption(app, query.Get("code"))).want(200).object()
	_, claims := decode(t, got["access_token"])
	if claims["sub"] != ada.ID || claims["org_id"] != bombe.ID {
		t.Errorf("got claims %v, want sub %s and org_id %s", claims, ada.ID, bombe.ID)
	}

	b.press(transaction, "action", actionAllow).want(400)
	b.get(continueURL(transaction)).want(400)
}

func TestSwitchUserAndDeny(t *testing.T) {
	t.Parallel()
	b := browser{t, newServer(t, nil)}
	transaction := b.open(authorization(register(t, b.s, nil)))
	b.press(transaction, "action", actionSignIn, "user", derivedID("user_", "ada")).want(303)
	b.press(transaction, "action", actionSignOut).want(303)
	if page := b.page(transaction); !strings.Contains(page, "Sign in") {
		t.Error("no sign-in page after Switch user")
	}
	b.press(transaction, "action", actionSignIn, "user", derivedID("user_", "grace")).want(303)
	if page := b.page(transaction); !strings.Contains(page, "Grace Hopper") || strings.Contains(page, "<select") {
		t.Error("the consent page is not Grace's, or asks for an organization without the scope")
	}
	uri, query := b.press(transaction, "action", actionDeny).location()
	if uri != testRedirect || query.Get("error") != accessDenied || query.Get("state") != testState || query.Get("iss") != testIssuer {
		t.Errorf("redirects to %q with %v, want %s", uri, query, accessDenied)
	}
}

func TestDecisionRejects(t *testing.T) {
	t.Parallel()
	b := browser{t, newServer(t, nil)}
	params := with(authorization(register(t, b.s, nil)), "scope", "openid user:org:read")
	grace, _ := b.s.currentDirectory().findUser("grace")
	bombe, _ := b.s.currentDirectory().organization("bombe-works")
	open := func() string {
		transaction := b.open(params)
		b.press(transaction, "action", actionSignIn, "user", grace.ID).want(303)
		return transaction
	}
	b.press(open(), "action", actionAllow).want(303)
	for _, test := range []struct {
		name   string
		fields []string
		reason string
	}{
		{"unknown action", []string{"action", "take"}, "action is &#39;take&#39;"},
		{"unknown user", []string{"action", actionSignIn, "user", "user_x"}, "user &#39;user_x&#39; does not exist"},
		{
			name:   "another organization",
			fields: []string{"action", actionAllow, "organization_id", bombe.ID},
			reason: "not a member of the organization",
		},
		{
			name:   "organization by slug",
			fields: []string{"action", actionAllow, "organization_id", "analytical-engines"},
			reason: "not a member of the organization",
		},
		{"unknown transaction", []string{"transaction", "x", "action", actionAllow}, "unknown, completed, or older"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := b.press(open(), test.fields...).want(400); !strings.Contains(got.body, test.reason) {
				t.Errorf("got %s, want %q in it", got.body, test.reason)
			}
		})
	}
}

func TestAllowRequiresSignIn(t *testing.T) {
	t.Parallel()
	b := browser{t, newServer(t, nil)}
	transaction := b.open(authorization(register(t, b.s, nil)))
	uri, _ := b.press(transaction, "action", actionAllow).location()
	if uri != continuePath {
		t.Errorf("redirects to %q, want the sign-in page", uri)
	}
}

func TestDecisionFromAnotherOrigin(t *testing.T) {
	t.Parallel()
	b := browser{t, newServer(t, nil)}
	params := authorization(register(t, b.s, nil))
	for _, test := range []struct {
		name       string
		headers    []string
		wantStatus int
	}{
		{"same origin", []string{"Origin", testIssuer, "Sec-Fetch-Site", "same-origin"}, 303},
		{"same origin, old browser", []string{"Origin", testIssuer}, 303},
		{"cross-site", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		{"same site, other port", []string{"Origin", "http://localhost:3000", "Sec-Fetch-Site", "same-site"}, 403},
		{"old browser", []string{"Origin", "https://evil.example"}, 403},
		{"null", []string{"Origin", "null"}, 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			form := url.Values{"transaction": {b.open(params)}, "action": {actionSignIn}, "user": {derivedID("user_", "ada")}}
			post(t, b.s, continuePath, form, test.headers...).want(test.wantStatus)
		})
	}
}

func TestTransactionExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := browser{t, newServer(t, nil)}
		params := authorization(register(t, b.s, nil))
		transaction := b.open(params)
		time.Sleep(transactionLifetime - time.Second)
		b.press(transaction, "action", actionSignIn, "user", derivedID("user_", "ada")).want(303)
		time.Sleep(time.Second)
		b.press(transaction, "action", actionAllow).want(400)
	})
}

func TestBannedUserCannotSignIn(t *testing.T) {
	t.Parallel()
	users := SeedUsers()
	users[1].Banned = true
	s, err := New(Config{Issuer: testIssuer, Users: users, SigningKey: testKey()})
	if err != nil {
		t.Fatal(err)
	}
	b := browser{t, s}
	params := authorization(register(t, s, nil))
	signIn(t, s, params)
	_, query := authorize(t, s, params, SignInHeader, "grace").location()
	if query.Get("error") != accessDenied || !strings.Contains(query.Get("error_description"), "is banned") {
		t.Errorf("headless: got %v, want %s", query, accessDenied)
	}
	_, query = b.press(b.open(params), "action", actionSignIn, "user", derivedID("user_", "grace")).location()
	if query.Get("error") != accessDenied {
		t.Errorf("pages: got %v, want %s", query, accessDenied)
	}
}
