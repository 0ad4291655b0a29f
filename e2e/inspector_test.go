//go:build e2e && unix

package e2e

import (
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const inspectorName = "MCP Inspector 2.12.0, web"

// inspectorURL is the link, with a token of its own, that the Inspector prints.
var inspectorURL = regexp.MustCompile(`http://127\.0\.0\.1:\d+/?\?MCP_INSPECTOR_API_TOKEN=\w+`)

// pagesWay is straightWay with a person on the local Clerk's pages.
var pagesWay = []string{
	"POST /mcp 401",
	"GET /.well-known/oauth-protected-resource/mcp 200",
	"clerk: GET /.well-known/oauth-authorization-server 200",
	clientIsNew,
	signInAsked,
	"clerk: GET /oauth/authorize/continue 200",
	"clerk: POST /oauth/authorize/continue 303",
	"clerk: GET /oauth/authorize/continue 200",
	"clerk: POST /oauth/authorize/continue 303",
	tokenIssued,
}

// startInspector starts the Inspector's own server, and the script of a person
// who uses its page.
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
	return newScript(t, endpoint, "inspector.mjs", chromium(t), link, pictures(t))
}

func TestInspector(t *testing.T) {
	t.Parallel()
	h := openHouse(t)
	s := startInspector(t, h.url())
	j := journey{t, inspectorName}
	j.step("sign-in", func(t *testing.T) {
		p := ada
		p.organization = "Bombe Works"
		revision, err := s.connect(within(t, stepTime), p)
		if err != nil {
			t.Fatal(err)
		}
		if revision != "2025-11-25" {
			t.Errorf("got revision %s, want 2025-11-25", revision)
		}
	})
	j.step("list", func(t *testing.T) {
		names, err := s.tools(within(t, stepTime))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(whoamiTools, slices.Sorted(slices.Values(names))); diff != "" {
			t.Errorf("tools (-want +got):\n%s", diff)
		}
	})
	j.step("whoami", func(t *testing.T) {
		got, err := ask[struct {
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
	j.step("wire", func(t *testing.T) { checkWire(t, h, pagesWay) })
	j.step("deny", func(t *testing.T) {
		before := count(h.requests(), tokenIssued)
		_, err := startInspector(t, h.url()).connect(within(t, stepTime), ada.denying())
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), "denied") {
			t.Errorf("got error %v, want the Inspector's word for access_denied", err)
		}
		if n := count(h.requests(), tokenIssued) - before; n != 0 {
			t.Errorf("%d tokens were issued after a denial, want none", n)
		}
	})
	j.step("close", func(t *testing.T) {
		if err := s.close(within(t, stepTime)); err != nil {
			t.Error(err)
		}
	})
}
