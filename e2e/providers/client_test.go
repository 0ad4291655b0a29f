//go:build providers && unix

package providers

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// whoamiOfGoSDK connects the client of go-sdk to an endpoint, signs the user of b in with a
// client that is registered dynamically, and calls the tool whoami.
func whoamiOfGoSDK(t testing.TB, e *endpoint, b *browser) caller {
	t.Helper()
	return whoamiOf(t, e, &auth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName:              "Gatehouse provider tests",
			RedirectURIs:            []string{redirectURI},
			GrantTypes:              []string{"authorization_code", "refresh_token"},
			TokenEndpointAuthMethod: "none",
		}},
		AuthorizationCodeFetcher: b.fetchCode,
	})
}

// whoamiOf is like whoamiOfGoSDK, for a client with another configuration.
func whoamiOf(t testing.TB, e *endpoint, cfg *auth.AuthorizationCodeHandlerConfig) caller {
	t.Helper()
	handler, err := auth.NewAuthorizationCodeHandler(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t, stepTime)
	client := mcp.NewClient(&mcp.Implementation{Name: "providers", Version: "1.0.0"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: e.URL, OAuthHandler: handler}, nil)
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	defer session.Close()
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "whoami", Arguments: map[string]any{}})
	if err != nil {
		t.Fatalf("calling whoami: %v", err)
	}
	return callerIn(t, result)
}

// fetchCode is an [auth.AuthorizationCodeFetcher]: it signs the user in.
func (b *browser) fetchCode(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
	redirect, err := b.authorize(ctx, args.URL)
	if err != nil {
		return nil, err
	}
	query := redirect.Query()
	if query.Has("error") {
		return nil, fmt.Errorf("%s: %s", query.Get("error"), query.Get("error_description"))
	}
	return &auth.AuthorizationResult{Code: query.Get("code"), State: query.Get("state"), Iss: query.Get("iss")}, nil
}

// callerIn returns the caller in a result of the tool whoami.
func callerIn(t testing.TB, result *mcp.CallToolResult) caller {
	t.Helper()
	data, err := json.Marshal(result.StructuredContent)
	if err != nil {
		t.Fatal(err)
	}
	var c caller
	if err := json.Unmarshal(data, &c); err != nil || result.IsError {
		t.Fatalf("the tool whoami answered %s (error: %t)", data, result.IsError)
	}
	return c
}

// whoamiWith calls the tool whoami with an access token.
func (e *endpoint) whoamiWith(t testing.TB, token string) caller {
	t.Helper()
	ctx := within(t, stepTime)
	client := mcp.NewClient(&mcp.Implementation{Name: "providers", Version: "1.0.0"}, nil)
	transport := &mcp.StreamableClientTransport{Endpoint: e.URL, HTTPClient: &http.Client{Transport: bearer(token)}}
	session, err := client.Connect(ctx, transport, nil)
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	defer session.Close()
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "whoami", Arguments: map[string]any{}})
	if err != nil {
		t.Fatalf("calling whoami: %v", err)
	}
	return callerIn(t, result)
}

// bearer is a transport that sends an access token.
type bearer string

func (b bearer) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(req)
}

var linkToOpen = regexp.MustCompile(`open this link to sign in: (\S+)`)

// whoamiOfCall runs "gatehouse call" twice with an empty store of sign-ins. It signs the
// user of b in at the link that the first run prints, and checks that the second run uses
// the saved sign-in. arguments are added to both commands.
func whoamiOfCall(t *testing.T, e *endpoint, b *browser, arguments ...string) caller {
	t.Helper()
	argv := append([]string{gatehouseProgram(t), "call", e.URL, "whoami", "--json", "--no-browser"}, arguments...)
	environment := append(os.Environ(), "XDG_CONFIG_HOME="+t.TempDir())
	first := callOnce(t, environment, argv, b)
	second := callOnce(t, environment, argv, nil)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("the saved sign-in is of another caller (-first +second):\n%s", diff)
	}
	return first
}

// callOnce runs "gatehouse call". If b is nil, it fails if the program asks for a sign-in.
func callOnce(t *testing.T, environment, argv []string, b *browser) caller {
	t.Helper()
	ctx := within(t, stepTime)
	stdout, stderr := &testlog.Buffer{}, &testlog.Buffer{}
	stderr.ShowOnFailure(t, "gatehouse call")
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = environment, stdout, stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(ctx)
	var exit error
	go func() {
		exit = cmd.Wait()
		end()
	}()
	link, err := stderr.Wait(ended, linkToOpen)
	switch {
	case err == nil && b == nil:
		t.Error("gatehouse call asks for a sign-in again, want the saved one")
	case err == nil:
		if err := b.visit(ctx, link[1]); err != nil {
			t.Errorf("signing in: %v", err)
		}
	}
	<-ended.Done()
	if exit != nil {
		t.Fatalf("gatehouse call: %v", exit)
	}
	var result mcp.CallToolResult
	if err := json.Unmarshal([]byte(stdout.String()), &result); err != nil {
		t.Fatalf("gatehouse call wrote %q: %v", stdout, err)
	}
	return callerIn(t, &result)
}

// scriptClients are the clients in the folder e2e/clients that sign in at the servers here.
var scriptClients = map[string]func(testing.TB) []string{
	"@modelcontextprotocol/client": func(t testing.TB) []string {
		folder := npmCI(t, "e2e")
		return []string{"node", filepath.Join(folder, "clients", "sdk-v2.mjs")}
	},
	"mcp of Python": func(t testing.TB) []string {
		return []string{python(t), "-B", filepath.Join(repository, "e2e", "clients", "python_sdk.py")}
	},
}

// whoamiOfScript runs a client of scriptClients, which registers dynamically, signs the user
// of b in, and calls the tool whoami.
func whoamiOfScript(t *testing.T, e *endpoint, b *browser, argv []string) caller {
	t.Helper()
	ctx := within(t, stepTime)
	stderr := &testlog.Buffer{}
	stderr.ShowOnFailure(t, filepath.Base(argv[len(argv)-1]))
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "SIGN_IN_URL="+signInService(t, b)+"?link=")
	cmd.Stderr = stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		stdin.Close()
		cmd.Wait()
	}()
	answers := json.NewDecoder(stdout)
	command := func(input map[string]any, value any) {
		t.Helper()
		answer := struct {
			Value any
			Error string
		}{Value: value}
		if err := json.NewEncoder(stdin).Encode(input); err != nil {
			t.Fatal(err)
		}
		if err := answers.Decode(&answer); err != nil || answer.Error != "" {
			t.Fatalf("%s: %v %s", input["command"], err, answer.Error)
		}
	}
	command(map[string]any{"command": "connect", "url": e.URL, "user": "ada", "consent": "allow"}, nil)
	var result mcp.CallToolResult
	command(map[string]any{"command": "call", "tool": "whoami", "input": map[string]any{}}, &result)
	return callerIn(t, &result)
}

// signInService returns the URL of a service that takes a browser's place for clients in
// other languages: it signs the user of b in at the authorization URL in the query parameter
// link, and answers with the redirect to the client.
func signInService(t *testing.T, b *browser) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		redirect, err := b.authorize(r.Context(), r.URL.Query().Get("link"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		http.Redirect(w, r, redirect.String(), http.StatusFound)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// python returns the Python of a virtual environment with the packages of
// e2e/requirements-v2.txt, which the tests of e2e use too.
func python(t testing.TB) string {
	t.Helper()
	requireProgram(t, "python3", "python3-venv")
	folder := filepath.Join(repository, "e2e")
	requirements, err := os.ReadFile(filepath.Join(folder, "requirements-v2.txt"))
	if err != nil {
		t.Fatal(err)
	}
	environment := filepath.Join(folder, ".venv", "requirements-v2")
	program := filepath.Join(environment, "bin", "python")
	installed(t, environment, requirements, func() {
		run(t, folder, "python3", "-m", "venv", "--clear", environment)
		run(t, folder, program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input",
			"--require-hashes", "--only-binary", ":all:", "--requirement", "requirements-v2.txt")
	})
	return program
}
