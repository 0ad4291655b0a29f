//go:build providers && unix

package providers

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
)

const (
	// doctorTime bounds one run of "gatehouse doctor", which bounds itself to a minute.
	doctorTime = 90 * time.Second
	// mcpServerStart is how long an MCP server of another project may take to start.
	mcpServerStart = 2 * time.Minute
	goSDKVersion   = "v1.8.0" // as in go.mod
)

// problemsOf runs "gatehouse doctor" and returns the level and the ID of each finding that is a
// fault or a warning, in its order. It logs all of them.
func problemsOf(t *testing.T, target string) []string {
	t.Helper()
	cmd := exec.CommandContext(within(t, doctorTime), gatehouseProgram(t), "doctor", "--json", target)
	cmd.Dir = t.TempDir() // without a .env
	out, err := cmd.Output()
	status := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		status = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Version  int
		Target   string
		Findings []struct{ ID, Level, Title, Evidence, Consequence, Fix string }
	}
	if err := json.Unmarshal(out, &report); err != nil || report.Version != 1 {
		t.Fatalf("got %s, %v", out, err)
	}
	var problems []string
	wantStatus := 0
	for _, f := range report.Findings {
		if f.Level != "fault" && f.Level != "warning" {
			continue
		}
		problems = append(problems, f.Level+" "+f.ID)
		if f.Level == "fault" {
			wantStatus = 1
		}
		if f.Evidence == "" || f.Consequence == "" || f.Fix == "" {
			t.Errorf("%s has no evidence, consequence or fix: %+v", f.ID, f)
		}
	}
	if status != wantStatus {
		t.Errorf("got exit status %d, want %d", status, wantStatus)
	}
	t.Logf("doctor %s: %s", target, out)
	return problems
}

// wantProblems compares the problems, in their order.
func wantProblems(t *testing.T, target string, want ...string) {
	t.Helper()
	if got := problemsOf(t, target); !slices.Equal(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", target, strings.Join(got, ", "), strings.Join(want, ", "))
	}
}

// mcpServer is an MCP server of another project, which trusts the tokens of a local Clerk.
type mcpServer struct {
	name     string
	argv     func(t *testing.T, port, issuer string) []string
	metadata string   // path of its protected resource metadata
	want     []string // problems that it has, each read and found to be true
}

// nodeServer returns the command line of a script with the packages of mcpservers.
func nodeServer(file string) func(*testing.T, string, string) []string {
	return func(t *testing.T, _, _ string) []string {
		requireProgram(t, "node", "nodejs")
		return []string{"node", filepath.Join(npmCI(t, "e2e", "providers", "mcpservers"), file)}
	}
}

func fastMCP(t *testing.T, _, _ string) []string {
	requireProgram(t, "python3", "python3")
	folder := filepath.Join(repository, "e2e", "providers", "mcpservers")
	requirements, err := os.ReadFile(filepath.Join(folder, "requirements.txt"))
	if err != nil {
		t.Fatal(err)
	}
	environment := filepath.Join(cacheFolder(t, "fastmcp"), "venv")
	if err := os.MkdirAll(environment, 0o755); err != nil {
		t.Fatal(err)
	}
	python := filepath.Join(environment, "bin", "python")
	installed(t, environment, requirements, func() {
		run(t, folder, "python3", "-m", "venv", "--clear", environment)
		run(t, folder, python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input",
			"--requirement", "requirements.txt")
	})
	return []string{python, filepath.Join(folder, "fastmcp_server.py")}
}

// goSDKExample builds the example of go-sdk with a resource server. Its settings are variables.
func goSDKExample(t *testing.T, port, issuer string) []string {
	program := filepath.Join(t.TempDir(), "gosdk")
	run(t, repository, "go", "build", "-o", program, "-ldflags",
		"-X main.authorizationServer="+issuer+" -X main.introspectionEndpoint="+issuer+"/oauth/token_info",
		"github.com/modelcontextprotocol/go-sdk/examples/auth/server")
	return []string{program, "-port", port}
}

// TestDoctorAndOtherServers runs doctor against servers of other projects.
func TestDoctorAndOtherServers(t *testing.T) {
	clerk := gatehousetest.Clerk(t)
	issuer := clerk.Provider().Issuer
	for _, s := range []mcpServer{
		{
			name: "mcp-use 2.5.2", argv: nodeServer("mcp-use-v2.mjs"), metadata: "/.well-known/oauth-protected-resource/mcp",
			want: []string{"warning challenge.error", "warning scopes.none", "warning origin.any", "warning cors.preflight"},
		},
		{
			name: "mcp-use 1.34.6", argv: nodeServer("mcp-use-v1.mjs"), metadata: "/.well-known/oauth-protected-resource",
			want: []string{
				"warning challenge.error", "warning resource.origin", "warning scopes.offline",
				"warning origin.any", "warning origin.host", "warning cors.expose",
			},
		},
		{
			name: "TypeScript SDK 1.32.2", argv: nodeServer("sdk-express.mjs"), metadata: "/.well-known/oauth-protected-resource/mcp",
			want: []string{"warning challenge.error", "warning origin.any", "warning origin.host", "warning cors.preflight"},
		},
		{
			name: "FastMCP 4.2.3", argv: fastMCP, metadata: "/.well-known/oauth-protected-resource/mcp",
			want: []string{"warning metadata.empty_scopes", "fault server.issuer_slash", "warning origin.any", "warning origin.host"},
		},
		{
			name: "go-sdk " + goSDKVersion, argv: goSDKExample, metadata: "/.well-known/oauth-protected-resource",
			want: []string{
				"warning metadata.not_at_path", "fault scopes.unknown", "fault token.server_error",
				"warning origin.any", "warning origin.host", "warning cors.preflight",
			},
		},
	} {
		t.Run(s.name, func(t *testing.T) {
			port := freePort(t)
			url := "http://localhost:" + port
			start(t, serverProcess{
				name: strings.ReplaceAll(s.name, " ", "-"),
				dir:  filepath.Join(repository, "e2e", "providers", "mcpservers"), // where mcp-use looks for its packages
				argv: s.argv(t, port, issuer),
				env: []string{
					"PORT=" + port, "ISSUER=" + issuer, "MCP_USE_OAUTH_CLERK_FRONTEND_API_URL=" + issuer, "MCP_URL=" + url,
				},
				ready:  url + s.metadata,
				within: mcpServerStart,
			})
			wantProblems(t, url+"/mcp", s.want...)
		})
	}
}

// startNGINX starts nginx in front of an endpoint, with what location has in the configuration,
// and returns the origin.
func startNGINX(t *testing.T, location string) string {
	t.Helper()
	requireProgram(t, "nginx", "nginx")
	folder, port := t.TempDir(), freePort(t)
	var temporary strings.Builder
	for _, of := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temporary, "%s_temp_path %s/%s;\n", of, folder, of)
	}
	file := filepath.Join(folder, "nginx.conf")
	text := fmt.Sprintf("daemon off; pid %s/pid; error_log %s/error.log; worker_processes 1; events {}\n"+
		"http { access_log off; %s server { listen 127.0.0.1:%s; location = /ready { return 200; } %s } }\n",
		folder, folder, temporary.String(), port, location)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	origin := "http://127.0.0.1:" + port
	start(t, serverProcess{
		name: "nginx", argv: []string{"nginx", "-c", file, "-e", folder + "/error.log"}, ready: origin + "/ready", within: nodeStart,
	})
	return origin
}

// TestDoctorAndNGINX runs doctor against a guard behind nginx.
func TestDoctorAndNGINX(t *testing.T) {
	clerk := gatehousetest.Clerk(t)
	for _, test := range []struct {
		name, location string
		public         bool // whether the guard knows the URL of nginx
		want           []string
	}{
		{"everything is passed on", "location / { proxy_pass %s; }", true, []string{"warning origin.host"}},
		{"with its Host", "location / { proxy_pass %s; proxy_set_header Host $http_host; }", true, nil},
		{
			"without the metadata", "location /mcp { proxy_pass %s; proxy_set_header Host $http_host; }", true,
			[]string{"fault metadata.missing"},
		},
		{
			"the guard knows another URL", "location / { proxy_pass %s; }", false,
			[]string{"fault challenge.other_host", "fault resource.port", "warning origin.host"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := newEndpoint(t)
			upstream := strings.TrimSuffix(e.URL, "/mcp")
			origin := startNGINX(t, fmt.Sprintf(test.location, upstream))
			e.protect(t, clerk.Provider(), func(cfg *gatehouse.Config) {
				if test.public {
					cfg.Resource = origin + "/mcp"
				}
			})
			wantProblems(t, origin+"/mcp", test.want...)
		})
	}
}

// TestDoctorAndIssuers runs doctor against authorization servers of other projects.
func TestDoctorAndIssuers(t *testing.T) {
	t.Run("oidc-provider "+oidcProviderVersion, func(t *testing.T) {
		wantProblems(t, startOIDCProvider(t, newEndpoint(t), "jwt"))
	})
	t.Run("Better Auth", func(t *testing.T) { wantProblems(t, startBetterAuth(t, newEndpoint(t))) })
	t.Run("Keycloak", func(t *testing.T) { wantProblems(t, startKeycloak(t, "").url+"/realms/master") })
}
