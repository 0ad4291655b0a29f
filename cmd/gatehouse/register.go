package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

const (
	maxHostName   = 64 // letters of the host in the client's name
	offlineAccess = "offline_access"
)

// errUnknownClient says that the authorization server does not know the client,
// or that the client may not ask for enough.
var errUnknownClient = errors.New("authorization server does not know the client")

// client is this program as an authorization server knows it.
type client struct {
	ID          string `json:"client_id"`
	Secret      secret `json:"client_secret,omitempty"`
	RedirectURI string `json:"redirect_uri,omitempty"`
	Scope       string `json:"scope,omitempty"`      // what it may ask for, "" if not told
	Registered  bool   `json:"registered,omitempty"` // by this program (RFC 7591), rather than by a person
}

// mayAsk reports whether the client can ask for the scopes, as far as is known.
// A client of Clerk holds the scopes it registered, and no other.
func (c client) mayAsk(scopes []string) bool {
	return c.ID != "" && (c.Scope == "" || len(minus(scopes, strings.Fields(c.Scope))) == 0)
}

// register registers a new client for the scopes (RFC 7591) and puts it into k.
// It is saved at once, so that a sign-in that fails does not leave a client behind
// each time, unless that would cost an older sign-in that still works.
func (s *signIn) register(ctx context.Context, server *authServer, k *kept, scopes []string, door *door) error {
	if server.meta.RegistrationEndpoint == "" {
		return fail("enable Dynamic Client Registration ("+clerkSettings+"), or register a client by hand and pass --client-id",
			"authorization server %q takes no registrations: its metadata has no registration_endpoint", server.meta.Issuer)
	}
	s.con.begin("registering a client")
	if len(scopes) > 0 && slices.Contains(server.meta.ScopesSupported, offlineAccess) {
		scopes = union(scopes, []string{offlineAccess})
	}
	answer, err := oauthex.RegisterClient(ctx, server.meta.RegistrationEndpoint, &oauthex.ClientRegistrationMetadata{
		RedirectURIs:            []string{door.redirectURI},
		TokenEndpointAuthMethod: authMethod(server.meta.TokenEndpointAuthMethodsSupported),
		GrantTypes:              []string{"authorization_code", "refresh_token"},
		ResponseTypes:           []string{"code"},
		ClientName:              clientName(),
		Scope:                   strings.Join(scopes, " "),
		SoftwareID:              "github.com/gatehouse-mcp/gatehouse/cmd/gatehouse",
		SoftwareVersion:         version,
		ApplicationType:         "native",
	}, s.http)
	if err != nil {
		return s.explainRegistration(err, server.meta.Issuer)
	}
	k.Client = client{
		ID:          answer.ClientID,
		Secret:      secret(answer.ClientSecret),
		RedirectURI: door.redirectURI,
		Scope:       answer.Scope,
		Registered:  true,
	}
	if k.Tokens == nil {
		s.keep(k)
	}
	door.fresh = true
	return nil
}

// authMethod returns how to authenticate at the token endpoint: not at all if
// that is allowed, since a program on a laptop keeps no secret (RFC 8252, section
// 8.5), else as the go-sdk will.
func authMethod(supported []string) string {
	for _, method := range []string{"none", "client_secret_post", "client_secret_basic"} {
		if slices.Contains(supported, method) {
			return method
		}
	}
	return "none"
}

// clientName is what consent pages and the list of clients show.
func clientName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "Gatehouse CLI"
	}
	return fmt.Sprintf("Gatehouse CLI (%.*s)", maxHostName, host)
}

// explainRegistration says why a registration failed, and what to change.
func (s *signIn) explainRegistration(err error, issuer string) error {
	if f := (*failure)(nil); errors.As(err, &f) {
		return f
	}
	if f := explainNetwork(err); f != nil {
		return f
	}
	refusal := s.traffic.refusalOf(roleRegistration)
	switch {
	case strings.Contains(refusal, "feature_requires_dynamic_oauth_client_registration"):
		return fail("enable Dynamic Client Registration ("+clerkSettings+"), or register a client by hand and pass --client-id",
			"%q takes no registrations: %s", issuer, refusal)
	case refusal != "":
		return fail("check that every scope the MCP server asks for exists there; or register a client by hand and pass --client-id",
			"%q refuses to register a client: %s", issuer, refusal)
	}
	return fail("register a client by hand and pass --client-id", "%q does not answer a registration as RFC 7591, section 3.2.1 has it", issuer)
}
