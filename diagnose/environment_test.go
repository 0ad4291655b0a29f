package diagnose_test

import (
	"os"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/diagnose"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
)

const frontendAPI = "MCP_USE_OAUTH_CLERK_FRONTEND_API_URL"

// variables are those that a run without a target reads, apart from those of other providers.
var variables = []string{frontendAPI, "CLERK_PUBLISHABLE_KEY", "CLERK_SECRET_KEY", "CLERK_API_URL", "MCP_URL", "PORT", "HOST"}

// environment makes the run one without a target, with these settings and the .env file. The
// test must not be parallel.
func (r *rig) environment(dotenv string, settings map[string]string) {
	r.t.Helper()
	r.target = ""
	r.t.Chdir(r.t.TempDir())
	if dotenv != "" {
		if err := os.WriteFile(".env", []byte(dotenv), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	for _, name := range variables {
		r.t.Setenv(name, settings[name])
	}
}

// environmentSetups are settings in the environment or in a .env file.
var environmentSetups = []setup{
	{"No setting names a provider", "the server does not start", "config.missing", frontendAPI,
		func(r *rig) { r.environment("", nil) }},
	{"The .env file has a line that is not a setting", "the server does not start", "config.dotenv",
		"the line that the message names",
		func(r *rig) { r.environment("CLERK_PUBLISHABLE_KEY pk_test_x\n", nil) }},
	{"The Frontend API URL is the bare subdomain", "the server does not start", "config.provider",
		"https://verb-noun-42.clerk.accounts.dev",
		func(r *rig) { r.environment(frontendAPI+"=verb-noun-42\n", nil) }},
	{"MCP_URL has no scheme", "the server does not start", "config.server", "write it in full",
		func(r *rig) {
			r.environment("", map[string]string{frontendAPI: clerkURL, "MCP_URL": "mcp.example.com"})
		}},
	{"PORT is not a number", "the server does not start", "config.server", "1 to 65535",
		func(r *rig) { r.environment("", map[string]string{frontendAPI: clerkURL, "PORT": "http"}) }},
	{"The server was not restarted after a change of its settings", "users sign in elsewhere, or 401 at every call",
		"config.other_issuer",
		"restart the server",
		func(r *rig) { r.environment("", map[string]string{frontendAPI: clerkURL, "MCP_URL": mcpOrigin}) }},
	{"CLERK_SECRET_KEY is that of another instance", "tools that ask Clerk fail", "clerk.other_instance", "same instance",
		func(r *rig) {
			c := r.local(nil)
			endpoint, other := r.target, gatehousetest.Clerk(r.t)
			r.environment("", map[string]string{frontendAPI: c.Issuer(), "MCP_URL": endpoint})
			r.config.ClerkAPIURL, r.config.ClerkSecretKey = other.Issuer(), gatehouse.Secret(other.SecretKey())
		}},
}

// TestEnvironment checks runs without a target. It is not parallel, because it changes the
// environment.
func TestEnvironment(t *testing.T) {
	for _, s := range environmentSetups {
		t.Run(s.want+"/"+s.name, func(t *testing.T) { checkSetup(t, s) })
	}
}

func TestEnvironmentHealthy(t *testing.T) {
	t.Run("server and issuer", func(t *testing.T) {
		r := newClerkRig(t)
		r.environment(frontendAPI+"="+clerkURL+"\nMCP_URL="+mcpOrigin+"\n", nil)
		report := r.run()
		wantHealthy(t, report)
		want(t, report, "config", diagnose.OK)
		want(t, report, "resource", diagnose.OK)
	})
	t.Run("the server does not run", func(t *testing.T) {
		r := newRig(t)
		c := gatehousetest.Clerk(t)
		_, port, _ := strings.Cut(strings.TrimPrefix(closedPort(t), "http://"), ":")
		r.environment("", map[string]string{frontendAPI: c.Issuer(), "PORT": port})
		r.config.HTTPClient = nil
		report := r.run()
		wantHealthy(t, report)
		want(t, report, "endpoint", diagnose.Unchecked)
		want(t, report, "server", diagnose.OK)
	})
}
