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

// These tests take clients to instances of Clerk that are not as "gatehouse dev"
// has them from the start: one setting is another, in the file that --config
// takes.

// settled is a client among those that meet every setting.
type settled struct {
	name  string
	start func(t *testing.T, endpoint string) session
}

// allSettled are the clients of the sign-in suite in Go and Node, and "gatehouse
// call". A page and mcp-remote have the same SDKs in them.
func allSettled() []settled {
	all := []settled{{callName, func(t *testing.T, endpoint string) session { return newCallSession(t, endpoint) }}}
	for _, c := range clients {
		if !strings.HasPrefix(c.name, "page in Chromium") && !strings.HasPrefix(c.name, "mcp-remote") {
			all = append(all, settled{c.name, func(t *testing.T, endpoint string) session { return c.start(t, endpoint) }})
		}
	}
	return all
}

// eachSettled runs one step for every client, each in a house of its own.
func eachSettled(t *testing.T, step, setting string, do func(t *testing.T, h *house, c settled)) {
	t.Helper()
	for _, c := range allSettled() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			journey{t, c.name}.step(step, func(t *testing.T) { do(t, settledHouse(t, setting), c) })
		})
	}
}

// settledHouse starts "gatehouse dev" with the file that "gatehouse clerk
// --print-config" prints, in which the line of one setting is another.
func settledHouse(t *testing.T, setting string) *house {
	t.Helper()
	file := filepath.Join(t.TempDir(), "clerk.yaml")
	if err := os.WriteFile(file, changed(t, setting), 0o600); err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, port: freePort(t), clerkPort: freePort(t), config: file}
	h.open()
	return h
}

func changed(t *testing.T, setting string) []byte {
	t.Helper()
	config, err := exec.CommandContext(within(t, stepTime), gatehouse, "clerk", "--print-config").Output()
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

// enter signs ada in, and looks whether the server knows her.
func enter(t *testing.T, s session) {
	t.Helper()
	if _, err := s.connect(within(t, stepTime), ada); err != nil {
		t.Fatal(err)
	}
	checkWhoami(t, s, ada)
}

// TestOpaqueTokens has an instance whose access tokens are opaque: the server
// asks Clerk, with its secret key, what each stands for.
func TestOpaqueTokens(t *testing.T) {
	eachSettled(t, "opaque", "oauth_jwt_access_tokens: false", func(t *testing.T, h *house, c settled) {
		enter(t, c.start(t, h.url()))
		if n := count(h.requests(), "clerk: POST /v1/oauth_applications/access_tokens/verify 200"); n != 1 {
			t.Errorf("Clerk was asked %d times for a token, want once", n)
		}
		state, err := look[windowState](within(t, windowTime), h, "state")
		if err != nil {
			t.Fatal(err)
		}
		if len(state.Tokens) != 1 || state.Tokens[0].Form != "opaque" {
			t.Errorf("window has the tokens %+v, want an opaque one", state.Tokens)
		}
	})
}

// TestAudience has an instance whose access tokens name the server they are for,
// if the client does. Those of 2025-03-26 do not.
func TestAudience(t *testing.T) {
	eachSettled(t, "audience", "aud_claim_enabled: true", func(t *testing.T, h *house, c settled) {
		want := []string{h.url()}
		if strings.HasSuffix(c.name, " 1.11.5") {
			want = nil
		}
		s := c.start(t, h.url())
		enter(t, s)
		checkAudience(t, s, want)
	})
	t.Run("control", func(t *testing.T) {
		t.Parallel()
		s := newGoSession(t, settledHouse(t, "aud_claim_enabled: false").url(), "2026-07-28")
		enter(t, s)
		checkAudience(t, s, nil)
	})
}

func checkAudience(t *testing.T, s session, want []string) {
	t.Helper()
	token, err := ask[struct {
		Audience []string `json:"audience"`
	}](within(t, stepTime), s, "token", nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, token.Audience); diff != "" {
		t.Errorf("audience (-want +got):\n%s", diff)
	}
}

// TestRegistrationOff has an instance that lets no client introduce itself.
// Every client says so in its own words; the program and the window name the
// switch.
func TestRegistrationOff(t *testing.T) {
	const sdkWords = "Incompatible auth server: does not support dynamic client registration"
	const goWords = "no configured client registration methods are supported by the authorization server"
	wantErr := map[string]string{
		"go-sdk 2026-07-28":                       goWords,
		"go-sdk 2025-11-25":                       goWords,
		"@modelcontextprotocol/sdk 1.32.2":        sdkWords,
		"@modelcontextprotocol/client 2.4.0":      sdkWords,
		"@modelcontextprotocol/client 2.4.0 auto": sdkWords,
		"@modelcontextprotocol/sdk 1.11.5":        sdkWords,
		callName:                                  "gatehouse: hint: enable Dynamic Client Registration (Clerk: Dashboard → Configure → OAuth applications → Settings)",
	}
	eachSettled(t, "no registration", "dynamic_oauth_client_registration: false", func(t *testing.T, h *house, c settled) {
		_, err := c.start(t, h.url()).connect(within(t, stepTime), ada)
		checkError(t, err, wantErr[c.name])
		// Clients of 2025-03-26 read Clerk's document from the server, and Clerk
		// never hears of them.
		if !strings.HasSuffix(c.name, " 1.11.5") {
			checkFailed(t, h, 0, "Dynamic client registration is turned off", "Configure → OAuth applications → Settings")
		}
		state, err := look[windowState](within(t, windowTime), h, "state")
		if err != nil || len(state.Settings) == 0 {
			t.Fatalf("window has no settings (%v)", err)
		}
		setting := state.Settings[0]
		if setting.Name != "dynamic_oauth_client_registration" || setting.Value != false || !strings.Contains(setting.Note, "stop at registration") {
			t.Errorf("window has the first setting %+v, want registration off and what follows", setting)
		}
	})
}

// checkError looks for what a client's user gets to read.
func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || want == "" || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want %q in it", err, want)
	}
}

// checkFailed waits until the window shows a step that failed after the one with
// the ID given, and looks whether it says why and what to do.
func checkFailed(t *testing.T, h *house, after uint64, why, do string) {
	t.Helper()
	step, err := failed(within(t, windowTime), h, after, why)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(step.Do, do) {
		t.Errorf("window says to do %q, want %q in it", step.Do, do)
	}
}

// fewerScopes is an instance whose dynamic clients hold fewer scopes than the
// server names, unless they register with more: user:org:read is missing.
const fewerScopes = "default_scopes: [profile, email, offline_access]"

const scopeRefused = "The requested scope is invalid, unknown, or malformed. The OAuth 2.0 Client is not allowed to request scope 'user:org:read'."

// TestFewerScopes has clients that register without scopes, and then ask for all
// that the server names. The others register with those, or ask for none.
func TestFewerScopes(t *testing.T) {
	refused := []string{"go-sdk 2026-07-28", "go-sdk 2025-11-25"}
	eachSettled(t, "fewer scopes", fewerScopes, func(t *testing.T, h *house, c settled) {
		s := c.start(t, h.url())
		if !slices.Contains(refused, c.name) {
			enter(t, s)
			return
		}
		_, err := s.connect(within(t, stepTime), ada)
		checkError(t, err, "invalid_scope: "+scopeRefused)
		checkScopeFailed(t, h)
	})
	t.Run("control", func(t *testing.T) {
		t.Parallel()
		enter(t, newGoSession(t, settledHouse(t, fewerScopes).url(), "2026-07-28", "profile", "email"))
	})
	t.Run("gatehouse call of a client that holds too few", func(t *testing.T) {
		t.Parallel()
		h := settledHouse(t, fewerScopes)
		_, err := newCallSession(t, h.url(), "--client-id", registered(t, h, "")).connect(within(t, stepTime), ada)
		checkError(t, err, "gatehouse: error: authorization server does not give this client the scopes: invalid_scope: "+scopeRefused)
		checkError(t, err, "gatehouse: hint: a client holds only the scopes it registered; on Clerk: add the scope to the default scopes")
		checkScopeFailed(t, h)
	})
	t.Run("gatehouse call of a client that holds enough", func(t *testing.T) {
		t.Parallel()
		h := settledHouse(t, fewerScopes)
		enter(t, newCallSession(t, h.url(), "--client-id", registered(t, h, "profile email user:org:read")))
	})
}

func checkScopeFailed(t *testing.T, h *house) {
	t.Helper()
	checkFailed(t, h, 0, scopeRefused, "Default scopes for dynamic clients")
}

// registered registers a client for "gatehouse call" by hand, with scopes if
// they are not empty.
func registered(t *testing.T, h *house, scopes string) (clientID string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"client_name": "By hand", "redirect_uris": []string{"http://127.0.0.1/callback"}, "token_endpoint_auth_method": "none", "scope": scopes,
	})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(within(t, stepTime), http.MethodPost, h.clerk()+"/oauth/register", bytes.NewReader(body))
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
