//go:build e2e && unix

package e2e

import (
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const inspectorName = "MCP Inspector 2.12.0, web"

// inspectorURL matches the link that the Inspector prints; it contains a token of the
// Inspector.
var inspectorURL = regexp.MustCompile(`http://127\.0\.0\.1:\d+/?\?MCP_INSPECTOR_API_TOKEN=\w+`)

// signInPageRequests are directRequests with a user who signs in on the pages of the local
// Clerk.
var signInPageRequests = []string{
	"POST /mcp 401",
	"GET /.well-known/oauth-protected-resource/mcp 200",
	"clerk: GET /.well-known/oauth-authorization-server 200",
	clientRegistered,
	signInRequested,
	"clerk: GET /oauth/authorize/continue 200",
	"clerk: POST /oauth/authorize/continue 303",
	"clerk: GET /oauth/authorize/continue 200",
	"clerk: POST /oauth/authorize/continue 303",
	tokenIssued,
}

// startInspector starts the server of the Inspector, and a script that uses its page in a
// browser.
func startInspector(t *testing.T, endpoint string) *script {
	t.Helper()
	home := t.TempDir()
	env := []string{
		"HOME=" + home,
		"MCP_STORAGE_DIR=" + filepath.Join(home, "storage"),
		"MCP_INSPECTOR_SECRET_STORE=memory",
		"MCP_AUTO_OPEN_ENABLED=false",
		"CLIENT_PORT=" + strconv.Itoa(freePort(t)),
		"MCP_SANDBOX_PORT=" + strconv.Itoa(freePort(t)),
		"MCP_APP_ORIGIN_PORT=" + strconv.Itoa(freePort(t)),
	}
	launcher := filepath.Join(packages(t), "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js")
	server := launch(t, "the Inspector", nil, nil, env, node(t), launcher, "--web")
	link, err := server.await(within(t, stepTime), inspectorURL)
	if err != nil {
		t.Fatal(err)
	}
	return newScript(t, endpoint, "inspector.mjs", chromium(t), link, screenshots(t))
}

func TestInspector(t *testing.T) {
	t.Parallel()
	dev := startDev(t)
	s := startInspector(t, dev.url())
	sc := scenario{t, inspectorName}
	sc.step("sign-in", func(t *testing.T) {
		u := ada
		u.organization = "Bombe Works"
		revision, err := s.connect(within(t, stepTime), u)
		if err != nil {
			t.Fatal(err)
		}
		if revision != "2025-11-25" {
			t.Errorf("got revision %s, want 2025-11-25", revision)
		}
	})
	sc.step("list", func(t *testing.T) { checkTools(t, s) })
	sc.step("whoami", func(t *testing.T) {
		got, err := callTool[struct {
			whoami
			Organization organization `json:"organization"`
		}](within(t, stepTime), s, "whoami", nil)
		if err != nil {
			t.Fatal(err)
		}
		checkNamed(t, got.whoami, ada)
		if want := (organization{"Bombe Works", "bombe-works"}); got.Organization != want {
			t.Errorf("got organization %+v, want the one chosen on the consent page, %+v", got.Organization, want)
		}
	})
	sc.step("requests", func(t *testing.T) { checkRequests(t, dev, signInPageRequests) })
	sc.step("deny", func(t *testing.T) {
		got := connectDenying(t, dev, startInspector(t, dev.url()))
		if !strings.Contains(strings.ToLower(got), "denied") {
			t.Errorf("got error %q, want the Inspector's message for access_denied", got)
		}
	})
	sc.step("close", func(t *testing.T) { closeSession(t, s) })
}
