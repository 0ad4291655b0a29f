//go:build e2e && unix

package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// These tests run clients against a local Clerk with one setting that differs from the
// defaults of "gatehouse dev". The setting is in the file that --config names.

// settingClient is a client that the tests of every setting run.
type settingClient struct {
	name  string
	start func(t *testing.T, endpoint string) session
}

// settingClients returns "gatehouse call" and the clients in Go and Node. It leaves out web
// pages and mcp-remote, because they contain the same SDKs.
func settingClients() []settingClient {
	all := []settingClient{{callName, func(t *testing.T, endpoint string) session { return newCallSession(t, endpoint) }}}
	for _, c := range clients {
		if !strings.HasPrefix(c.name, "page in Chromium") && !strings.HasPrefix(c.name, "mcp-remote") {
			all = append(all, settingClient{c.name, func(t *testing.T, endpoint string) session { return c.start(t, endpoint) }})
		}
	}
	return all
}

// forEachClient runs one step for every client, each with a "gatehouse dev" of its own.
func forEachClient(t *testing.T, step, setting string, do func(t *testing.T, dev *devServer, c settingClient)) {
	t.Helper()
	for _, c := range settingClients() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			scenario{t, c.name}.step(step, func(t *testing.T) { do(t, startDevWith(t, setting), c) })
		})
	}
}

// startDevWith starts "gatehouse dev" with one changed setting of the local Clerk.
func startDevWith(t *testing.T, setting string) *devServer {
	t.Helper()
	file := filepath.Join(t.TempDir(), "clerk.yaml")
	if err := os.WriteFile(file, configWith(t, setting), 0o600); err != nil {
		t.Fatal(err)
	}
	dev := &devServer{t: t, port: freePort(t), clerkPort: freePort(t), config: file}
	dev.start()
	return dev
}

// configWith returns the output of "gatehouse clerk --print-config" with the line of one
// setting replaced.
func configWith(t *testing.T, setting string) []byte {
	t.Helper()
	config, err := exec.CommandContext(within(t, stepTime), gatehouseProgram, "clerk", "--print-config").Output()
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(setting, ":")
	line := regexp.MustCompile(`(?m)^  ` + name + `: .*$`)
	if !line.Match(config) {
		t.Fatalf("got %q, want a line for %s", config, name)
	}
	return line.ReplaceAllLiteral(config, []byte("  "+setting))
}

// signInAda signs ada in, and checks that the server knows her.
func signInAda(t *testing.T, s session) {
	t.Helper()
	if _, err := s.connect(within(t, stepTime), ada); err != nil {
		t.Fatal(err)
	}
	checkWhoami(t, s, ada)
}

// TestOpaqueTokens uses an instance whose access tokens are opaque. The server verifies each
// of them at Clerk, with its secret key.
func TestOpaqueTokens(t *testing.T) {
	forEachClient(t, "opaque", "oauth_jwt_access_tokens: false", func(t *testing.T, dev *devServer, c settingClient) {
		signInAda(t, c.start(t, dev.url()))
		if n := count(dev.requests(), "clerk: POST /v1/oauth_applications/access_tokens/verify 200"); n != 1 {
			t.Errorf("%d requests to verify the token at Clerk, want one", n)
		}
		state, err := getWindow[windowState](within(t, windowTime), dev, "state")
		if err != nil {
			t.Fatal(err)
		}
		if len(state.Tokens) != 1 || state.Tokens[0].Form != "opaque" {
			t.Errorf("window has the tokens %+v, want an opaque one", state.Tokens)
		}
	})
}

// TestAudience uses an instance whose access tokens name the server as their audience, if
// the client sends it as the resource. Clients of 2025-03-26 do not.
func TestAudience(t *testing.T) {
	forEachClient(t, "audience", "aud_claim_enabled: true", func(t *testing.T, dev *devServer, c settingClient) {
		want := []string{dev.url()}
		if strings.HasSuffix(c.name, " 1.11.5") {
			want = nil
		}
		s := c.start(t, dev.url())
		signInAda(t, s)
		checkAudience(t, s, want)
	})
	t.Run("control", func(t *testing.T) {
		t.Parallel()
		s := newGoSession(t, startDevWith(t, "aud_claim_enabled: false").url(), "2026-07-28")
		signInAda(t, s)
		checkAudience(t, s, nil)
	})
}

func checkAudience(t *testing.T, s session, want []string) {
	t.Helper()
	token, err := callTool[struct {
		Audience []string `json:"audience"`
	}](within(t, stepTime), s, "token", nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, token.Audience); diff != "" {
		t.Errorf("audience (-want +got):\n%s", diff)
	}
}

// TestRegistrationOff uses an instance without dynamic client registration. Every client
// must report that. "gatehouse call", the Python clients and the window must also name the setting
// to change.
func TestRegistrationOff(t *testing.T) {
	const sdkError = "Incompatible auth server: does not support dynamic client registration"
	const goError = "no configured client registration methods are supported by the authorization server"
	// The Python clients send the registration to the MCP server then, whose answer they show.
	const pythonError = `turn on \"Dynamic client registration\" in the Clerk Dashboard (Configure → OAuth applications → Settings)`
	wantErr := map[string]string{
		"go-sdk 2026-07-28":                       goError,
		"go-sdk 2025-11-25":                       goError,
		"@modelcontextprotocol/sdk 1.32.2":        sdkError,
		"@modelcontextprotocol/client 2.4.0":      sdkError,
		"@modelcontextprotocol/client 2.4.0 auto": sdkError,
		"@modelcontextprotocol/sdk 1.11.5":        sdkError,
		"@ai-sdk/mcp 2.0.99":                      sdkError,
		"mcp 1.30.0":                              pythonError,
		"mcp 2.3.0":                               pythonError,
		"mcp 2.3.0 legacy":                        pythonError,
		"fastmcp 3.4.11":                          pythonError,
		callName: `gatehouse: hint: turn on "Dynamic client registration" in the ` +
			"Clerk Dashboard → Configure → OAuth applications → Settings",
	}
	const off = "dynamic_oauth_client_registration: false"
	forEachClient(t, "no registration", off, func(t *testing.T, dev *devServer, c settingClient) {
		_, err := c.start(t, dev.url()).connect(within(t, stepTime), ada)
		checkError(t, err, wantErr[c.name])
		// Clients of 2025-03-26 read Clerk's metadata from the MCP server, so they
		// send no request to Clerk that the window could show.
		if !strings.HasSuffix(c.name, " 1.11.5") {
			checkFailed(t, dev, 0, "Clerk does not let clients register", "Configure → OAuth applications → Settings")
		}
		state, err := getWindow[windowState](within(t, windowTime), dev, "state")
		if err != nil || len(state.Settings) == 0 {
			t.Fatalf("window has no settings (%v)", err)
		}
		setting := state.Settings[0]
		const name, note = "dynamic_oauth_client_registration", "stop at registration"
		if setting.Name != name || setting.Value != false || !strings.Contains(setting.Note, note) {
			t.Errorf("window has the first setting %+v, want that registration is off, and the consequence", setting)
		}
	})
}

// checkError checks that the error that the user of a client gets contains want.
func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || want == "" || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want %q in it", err, want)
	}
}

// checkFailed waits until the window shows a failed step after the one with an ID. The step
// must contain the cause why and the remedy do.
func checkFailed(t *testing.T, dev *devServer, after uint64, why, do string) {
	t.Helper()
	step, err := failedStep(within(t, windowTime), dev, after, why)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(step.Do, do) {
		t.Errorf("window shows the remedy %q, want %q in it", step.Do, do)
	}
}

// fewerScopes is the setting by which dynamic clients get fewer scopes than the server
// names, unless they register with more: user:org:read is missing.
const fewerScopes = "default_scopes: [profile, email, offline_access]"

const scopeRejected = "The requested scope is invalid, unknown, or malformed. " +
	"The OAuth 2.0 Client is not allowed to request scope 'user:org:read'."

// TestFewerScopes uses clients that register without scopes, and then request all scopes
// that the server names. Clerk rejects that. The other clients register with these scopes,
// or request none.
func TestFewerScopes(t *testing.T) {
	rejected := []string{"go-sdk 2026-07-28", "go-sdk 2025-11-25"}
	forEachClient(t, "fewer scopes", fewerScopes, func(t *testing.T, dev *devServer, c settingClient) {
		s := c.start(t, dev.url())
		if !slices.Contains(rejected, c.name) {
			signInAda(t, s)
			return
		}
		_, err := s.connect(within(t, stepTime), ada)
		checkError(t, err, "invalid_scope: "+scopeRejected)
		checkScopeFailed(t, dev)
	})
	t.Run("control", func(t *testing.T) {
		t.Parallel()
		signInAda(t, newGoSession(t, startDevWith(t, fewerScopes).url(), "2026-07-28", "profile", "email"))
	})
	t.Run("gatehouse call with a client that has too few scopes", func(t *testing.T) {
		t.Parallel()
		dev := startDevWith(t, fewerScopes)
		_, err := newCallSession(t, dev.url(), "--client-id", register(t, dev, "")).connect(within(t, stepTime), ada)
		checkError(t, err, "gatehouse: error: the client may not ask for a scope that the server wants: authorization server rejects the sign-in: "+
			"invalid_scope: "+scopeRejected)
		checkError(t, err, "gatehouse: hint: have the client register again, so that it asks for user:org:read then")
		checkScopeFailed(t, dev)
	})
	t.Run("gatehouse call with a client that has enough scopes", func(t *testing.T) {
		t.Parallel()
		dev := startDevWith(t, fewerScopes)
		signInAda(t, newCallSession(t, dev.url(), "--client-id", register(t, dev, "profile email user:org:read")))
	})
}

func checkScopeFailed(t *testing.T, dev *devServer) {
	t.Helper()
	checkFailed(t, dev, 0, scopeRejected, "Default scopes for dynamic clients")
}

// register registers a client for "gatehouse call", with scopes unless they are empty.
func register(t *testing.T, dev *devServer, scopes string) (clientID string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"client_name":                "By hand",
		"redirect_uris":              []string{"http://127.0.0.1/callback"},
		"token_endpoint_auth_method": "none",
		"scope":                      scopes,
	})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(within(t, stepTime), http.MethodPost, dev.clerk()+"/oauth/register", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		ClientID string `json:"client_id"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.ClientID == "" {
		t.Fatalf("registration answered %s (%v), want a client_id", resp.Status, err)
	}
	return answer.ClientID
}
