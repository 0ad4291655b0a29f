package diagnose

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"syscall"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
	"github.com/gatehouse-mcp/gatehouse/provider/auth0"
	"github.com/gatehouse-mcp/gatehouse/provider/betterauth"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/provider/cognito"
	"github.com/gatehouse-mcp/gatehouse/provider/descope"
	"github.com/gatehouse-mcp/gatehouse/provider/entra"
	"github.com/gatehouse-mcp/gatehouse/provider/google"
	"github.com/gatehouse-mcp/gatehouse/provider/keycloak"
	"github.com/gatehouse-mcp/gatehouse/provider/logto"
	"github.com/gatehouse-mcp/gatehouse/provider/okta"
	"github.com/gatehouse-mcp/gatehouse/provider/scalekit"
	"github.com/gatehouse-mcp/gatehouse/provider/stytch"
	"github.com/gatehouse-mcp/gatehouse/provider/supabase"
	"github.com/gatehouse-mcp/gatehouse/provider/workos"
	"github.com/gatehouse-mcp/gatehouse/provider/zitadel"
)

// The defaults of package serve, which reads MCP_URL, HOST and PORT.
const (
	defaultPath = "/mcp"
	defaultPort = "3000"
)

// environment is what the settings of the process and of the .env file name.
type environment struct {
	issuer         string
	issuerVariable string
	localGuess     bool // no setting names the URL of the server, so it is the default one
}

// vendors are the providers that can be configured by the environment, each with the
// variables of which one shows that it is meant.
var vendors = []struct {
	variables []string
	fromEnv   func() gatehouse.Provider
}{
	{[]string{"MCP_USE_OAUTH_CLERK_FRONTEND_API_URL", "CLERK_PUBLISHABLE_KEY"}, clerk.FromEnv},
	{[]string{"MCP_USE_OAUTH_AUTH0_DOMAIN"}, auth0.FromEnv},
	{[]string{"MCP_USE_OAUTH_WORKOS_SUBDOMAIN"}, workos.FromEnv},
	{[]string{"MCP_USE_OAUTH_SUPABASE_PROJECT_ID", "MCP_USE_OAUTH_SUPABASE_URL"}, supabase.FromEnv},
	{[]string{"MCP_USE_OAUTH_KEYCLOAK_SERVER_URL"}, keycloak.FromEnv},
	{[]string{"MCP_USE_OAUTH_BETTER_AUTH_URL"}, betterauth.FromEnv},
	{[]string{"MCP_USE_OAUTH_SCALEKIT_ENVIRONMENT_URL"}, scalekit.FromEnv},
	{[]string{"OKTA_OAUTH2_ISSUER"}, okta.FromEnv},
	{[]string{"COGNITO_USER_POOL_ID"}, cognito.FromEnv},
	{[]string{"DESCOPE_CONFIG_URL", "DESCOPE_PROJECT_ID"}, descope.FromEnv},
	{[]string{"LOGTO_ENDPOINT"}, logto.FromEnv},
	{[]string{"STYTCH_DOMAIN"}, stytch.FromEnv},
	{[]string{"ZITADEL_DOMAIN"}, zitadel.FromEnv},
	{[]string{"AZURE_TENANT_ID"}, entra.FromEnv},
	{[]string{"GOOGLE_CLIENT_ID"}, google.FromEnv},
}

// resolveEnvironment takes provider and endpoint from the settings that a server would read.
func (d *doctor) resolveEnvironment() {
	settings, err := env.Load(".")
	if err != nil {
		d.found("config.dotenv", err.Error(), "fix",
			"correct the line that the message names, and quote values with spaces or #")
		return
	}
	d.resolveProvider(settings)
	d.resolveServer(settings)
	if !d.has("config", Fault) {
		d.ok("config", "%s names the issuer %s; the endpoint is %s", d.settings.issuerVariable, d.settings.issuer, d.endpoint)
	}
}

func (d *doctor) resolveProvider(settings *env.Env) {
	for _, v := range vendors {
		for _, variable := range v.variables {
			if settings.Get(variable) == "" {
				continue
			}
			p := v.fromEnv()
			if p.Err != nil {
				for _, ce := range configErrors(p.Err) {
					d.found("config.provider", fmt.Sprintf("%s %s", describeSetting(ce), ce.Problem), "provider", p.Name,
						"fix", ce.Fix)
				}
				return
			}
			d.settings.issuer, d.settings.issuerVariable = p.Issuer, variable
			return
		}
	}
	d.found("config.missing", "neither the environment nor a .env file in this directory has a setting of a provider")
}

// describeSetting names a setting and its value, which a [gatehouse.ConfigError] leaves out
// if it is a secret.
func describeSetting(ce *gatehouse.ConfigError) string {
	if ce.Value == "" {
		return ce.Field
	}
	return fmt.Sprintf("%s %q", ce.Field, ce.Value)
}

// resolveServer sets the endpoint as package serve does.
func (d *doctor) resolveServer(settings *env.Env) {
	if value := settings.Get("MCP_URL"); value != "" {
		u, err := wellknown.Resource(value)
		var fault *wellknown.Fault
		if errors.As(err, &fault) {
			d.found("config.server", fmt.Sprintf("MCP_URL %q %s", wellknown.Redacted(value), fault.Problem), "fix", fault.Fix)
			return
		}
		if u.Path == "" {
			u.Path = defaultPath
		}
		d.endpoint = u
		return
	}
	port := settings.Get("PORT")
	if port == "" {
		port = defaultPort
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		d.found("config.server", fmt.Sprintf("PORT %q is not a port", port), "fix",
			"set it to a number from 1 to 65535, like 3000")
		return
	}
	d.settings.localGuess = true
	d.endpoint = &url.URL{Scheme: "http", Host: net.JoinHostPort("localhost", port), Path: defaultPath}
}

// dropGuess forgets an endpoint that no setting names, if no server listens there.
func (d *doctor) dropGuess(ctx context.Context) {
	if !d.settings.localGuess || d.endpoint == nil {
		return
	}
	d.first = d.prober.send(ctx, initializeRequest(d.resource(), nil))
	if errors.Is(d.first.err, syscall.ECONNREFUSED) {
		d.skip("endpoint", "no server listens at "+d.resource(), "start the server, or set MCP_URL")
		d.endpoint, d.first = nil, nil
	}
}
