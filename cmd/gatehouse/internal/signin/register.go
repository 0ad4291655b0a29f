package signin

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
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
	issuer := server.metadata.Issuer
	if f := (*failure.Error)(nil); errors.As(err, &f) {
		return f
	}
	if f := ExplainNetwork(err); f != nil {
		return f
	}
	if rejection := c.config.Transport.Rejection(trace.RoleRegistration); rejection != "" {
		return explainRejectedRegistration(rejection, server)
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

// aboutScopes matches a rejected registration that names the scopes as its cause: by the error code
// of RFC 6749, or by that of RFC 7591 section 3.2.2 for any member and the word in the description.
var aboutScopes = regexp.MustCompile(`(?i)\binvalid_scope\b|\binvalid_client_metadata\b.*\bscopes?\b`)

// explainRejectedRegistration explains the answer of a registration endpoint that is an error:
// its status, its code and its description.
func explainRejectedRegistration(rejection string, server *authServer) error {
	metadata, issuer := server.metadata, server.metadata.Issuer
	if strings.Contains(rejection, "feature_requires_dynamic_oauth_client_registration") { // an error code of Clerk
		return or(setupFailure(diagnose.Explain("registration.closed_clerk"), "%q does not register clients: %s", issuer, rejection),
			useClientID)
	}
	if aboutScopes.MatchString(rejection) {
		e, ok := diagnose.ExplainScopes(server.scopes, metadata.ScopesSupported, issuer, metadata.ServiceDocumentation)
		if ok {
			return setupFailure(e, "%q rejects the client registration: %s", issuer, rejection)
		}
	}
	return failure.New(registrationHint(rejection)+"; or "+useClientID, "%q rejects the client registration: %s", issuer, rejection)
}

// registrationHint returns what to do about a rejected registration, by its status and its code.
func registrationHint(rejection string) string {
	status, _, _ := strings.Cut(rejection, ":")
	switch {
	case aboutScopes.MatchString(rejection):
		return "check that every scope that the MCP server asks for exists at the authorization server"
	case strings.Contains(rejection, "invalid_redirect_uri"):
		return "allow redirect URIs on loopback, with any port, at the authorization server (RFC 8252 section 7.3)"
	case status == "401", status == "403":
		return "the authorization server does not let everyone register: allow registration without a token, or from this host, there"
	case status == "404", status == "405":
		return "correct registration_endpoint in the metadata of the authorization server"
	case status == "429", strings.HasPrefix(status, "5"):
		return "try again in a moment; the log of the authorization server has the cause"
	}
	return "the log of the authorization server has the cause"
}
