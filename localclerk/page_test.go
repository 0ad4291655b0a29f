package localclerk

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
)

func TestPageHeaders(t *testing.T) {
	t.Parallel()
	b := browser{t, newServer(t, nil)}
	got := b.get(continueURL(b.open(authorization(register(t, b.s, nil))))).want(200)
	policy := got.header.Get("Content-Security-Policy")
	for _, want := range []string{
		"default-src 'none'",
		"frame-ancestors 'none'",
		"base-uri 'none'",
		"form-action 'self' http://127.0.0.1:9999",
		"style-src 'sha256-",
	} {
		if !strings.Contains(policy, want) {
			t.Errorf("Content-Security-Policy %q lacks %q", policy, want)
		}
	}
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(got.body)
	if style == nil || !strings.Contains(policy, cspHash(style[1])) {
		t.Errorf("Content-Security-Policy %q does not allow the page's style", policy)
	}
	for header, want := range map[string]string{
		"Cache-Control":          "no-store",
		"X-Frame-Options":        "DENY",
		"X-Content-Type-Options": "nosniff",
		"Referrer-Policy":        "same-origin",
		"Content-Type":           "text/html; charset=utf-8",
	} {
		if got := got.header.Get(header); got != want {
			t.Errorf("%s %q, want %q", header, got, want)
		}
	}
	if strings.Contains(got.body, "<script") {
		t.Error("the page has a script")
	}
}

func TestPagesEscapeClientMetadata(t *testing.T) {
	t.Parallel()
	b := browser{t, newServer(t, nil)}
	const evil = `<script>alert(1)</script>`
	app := register(t, b.s, map[string]any{"client_name": evil, "client_uri": `"` + evil})
	transaction := b.open(authorization(app))
	signIn := b.page(transaction)
	b.press(transaction, "action", actionSignIn, "user", derivedID("user_", "ada"))
	for name, page := range map[string]string{
		"sign-in": signIn,
		"consent": b.page(transaction),
		"error":   b.get("/oauth/authorize?client_id=" + url.QueryEscape(evil)).want(400).body,
	} {
		if strings.Contains(page, "<script>") || !strings.Contains(page, "&lt;script&gt;") {
			t.Errorf("the %s page does not escape", name)
		}
	}
}

func TestCSPFormTarget(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"http://127.0.0.1:9999/callback":  "http://127.0.0.1:9999",
		"https://app.example/cb?a=b":      "https://app.example",
		"http://[::1]:9999/cb":            "http:",
		"https://a;script-src/cb":         "https:",
		"https://a,b/cb":                  "https:",
		"cursor://anysphere.mcp/callback": "cursor:",
		"com.example.app:/callback":       "com.example.app:",
		"":                                "",
	} {
		if got := cspFormTarget(uri); got != want {
			t.Errorf("%q: got %q, want %q", uri, got, want)
		}
	}
}
