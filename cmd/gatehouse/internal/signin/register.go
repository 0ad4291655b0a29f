package signin

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/savedsignin"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
	"github.com/gatehouse-mcp/gatehouse/diagnose"
)

const (
	maxHostName   = 64 // bytes of the host in the client's name
	offlineAccess = "offline_access"

	useClientID = "register a client by hand and pass --client-id"
)

// errUnknownClient reports that the authorization server does not know the client or
// its redirect URI.
var errUnknownClient = errors.New("authorization server does not know the client")

// register registers a new client for the wanted scopes (RFC 7591) and stores it in the
// attempt. It saves the client at once, so that failed sign-ins do not register one
// each time, unless that would overwrite a sign-in that still works.
func (c *Client) register(ctx context.Context, a *attempt) error {
	metadata := a.server.metadata
	if metadata.RegistrationEndpoint == "" {
		return or(setupFailure(diagnose.ExplainNoRegistration(metadata.Issuer, metadata.ServiceDocumentation),
			"authorization server %q does not register clients: its metadata has no registration_endpoint", metadata.Issuer), useClientID)
	}
	if c.config.BeforeRegister != nil {
		if err := c.config.BeforeRegister(metadata.Issuer); err != nil {
			return err
		}
	}
	c.ui.Begin("registering a client")
	scopes := a.wanted
	if len(scopes) > 0 && slices.Contains(metadata.ScopesSupported, offlineAccess) {
		scopes = union(scopes, []string{offlineAccess})
	}
	registered, err := c.requestRegistration(ctx, metadata.RegistrationEndpoint, &oauthex.ClientRegistrationMetadata{
		RedirectURIs:            []string{a.callback.redirectURI},
		TokenEndpointAuthMethod: authMethod(metadata.TokenEndpointAuthMethodsSupported),
		GrantTypes:              []string{"authorization_code", "refresh_token"},
		ResponseTypes:           []string{"code"},
		ClientName:              ClientName(),
		Scope:                   strings.Join(scopes, " "),
		SoftwareID:              "github.com/gatehouse-mcp/gatehouse/cmd/gatehouse",
		SoftwareVersion:         c.config.Version,
		ApplicationType:         "native",
	})
	if err != nil {
		return c.explainRegistration(err, a.server)
	}
	a.saved.Client = savedsignin.Client{
		ID:          registered.clientID,
		Secret:      registered.clientSecret,
		RedirectURI: a.callback.redirectURI,
		Scope:       registered.scope,
		Registered:  true,
	}
	a.newClient = true
	c.managed = registered.management
	if a.saved.Tokens == nil {
		c.save(a.saved)
	}
	return nil
}

// authMethod returns how to authenticate at the token endpoint: not at all if the
// server allows that, because a program on a laptop cannot keep a secret (RFC 8252
// section 8.5), and otherwise the method that the go-sdk will choose.
func authMethod(supported []string) string {
	for _, method := range []string{"none", "client_secret_post", "client_secret_basic"} {
		if slices.Contains(supported, method) {
			return method
		}
	}
	return "none"
}

// ClientName is shown on consent pages and in the authorization server's list of
// clients.
func ClientName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "Gatehouse CLI"
	}
	return fmt.Sprintf("Gatehouse CLI (%.*s)", maxHostName, host)
}

// explainRegistration explains why a registration failed, and what to change.
func (c *Client) explainRegistration(err error, server *authServer) error {
	metadata, issuer := server.metadata, server.metadata.Issuer
	if f := (*failure.Error)(nil); errors.As(err, &f) {
		return f
	}
	if f := ExplainNetwork(err); f != nil {
		return f
	}
	e, lacksScopes := diagnose.ExplainScopes(server.scopes, metadata.ScopesSupported, issuer, metadata.ServiceDocumentation)
	rejection := c.config.Transport.Rejection(trace.RoleRegistration)
	switch {
	case strings.Contains(rejection, "feature_requires_dynamic_oauth_client_registration"): // an error code of Clerk
		return or(setupFailure(diagnose.Explain("registration.closed_clerk"), "%q does not register clients: %s", issuer, rejection),
			useClientID)
	case rejection != "" && lacksScopes:
		return setupFailure(e, "%q rejects the client registration: %s", issuer, rejection)
	case rejection != "":
		return failure.New(
			"check that every scope that the MCP server asks for exists there; or register a client by hand and pass "+
				"--client-id",
			"%q rejects the client registration: %s", issuer, rejection)
	}
	if unsent := (*url.Error)(nil); errors.As(err, &unsent) {
		return failure.New(
			"check that the authorization server is running, and try again",
			"registering a client at %q: %w", issuer, err)
	}
	return failure.New(
		"register a client by hand and pass --client-id",
		"%q answers the client registration in another form than RFC 7591 section 3.2.1 defines: %w", issuer, err)
}
