package diagnose

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
)

// handMade are the providers at which MCP clients cannot register themselves, with their
// names and their pages in docs.
var handMade = map[string][2]string{
	"entra":     {"Microsoft Entra ID", "entra.md"},
	"okta":      {"Okta", "okta.md"},
	"google":    {"Google", "google.md"},
	"cognito":   {"Amazon Cognito", "cognito.md"},
	"authentik": {"authentik", "providers.md"},
}

// checkRegistration judges how a client that the issuer has never seen gets a client ID: by
// registration (RFC 7591), or with the URL of a document of its own (CIMD). It registers
// nothing.
func (d *doctor) checkRegistration(ctx context.Context) {
	is := &d.observed.Issuer
	m := is.Metadata
	evidence := fmt.Sprintf("%s: registration_endpoint %s, client_id_metadata_document_supported %t, "+
		"token_endpoint_auth_methods_supported %s", m.URL, quote.String(m.RegistrationEndpoint), m.CIMD,
		quote.List(m.AuthMethods))
	switch {
	case !is.RegistrationOpen && !is.CIMD:
		d.checkNoRegistration(evidence)
		return
	case !is.RegistrationOpen && m.AuthMethods != nil && !is.PublicClients:
		d.found("registration.cimd_only_secret", evidence)
		return
	case !is.RegistrationOpen:
		d.found("registration.cimd_only", evidence)
		return
	case is.CIMD && m.AuthMethods != nil && !is.PublicClients:
		d.found("registration.cimd_secret", evidence)
	}
	if a := d.probeRegistration(ctx); a != nil && a.status == http.StatusNotFound {
		is.RegistrationOpen = false
		d.found("registration.dead", a.String())
	}
	if strings.HasSuffix(m.RegistrationEndpoint, keycloakRegistration) {
		d.skip("registration", evidence+"; the policies of the Keycloak realm decide who may use it, and the default Trusted "+
			"Hosts rejects all hosts", "run doctor with --sign-in, which registers a client; see docs/keycloak.md")
		return
	}
	d.ok("registration", "%s", evidence)
}

// keycloakRegistration is the end of the registration endpoint of a realm of Keycloak.
const keycloakRegistration = "/clients-registrations/openid-connect"

// checkNoRegistration judges an issuer that lets no client register.
func (d *doctor) checkNoRegistration(evidence string) {
	is := &d.observed.Issuer
	if is.Kind == "clerk" {
		d.found("registration.closed_clerk", evidence)
		return
	}
	if p, ok := handMade[is.Kind]; ok {
		d.found("registration.by_hand", evidence, "provider", p[0], "page", p[1])
		return
	}
	for _, other := range is.Documents {
		if other.Usable() && other.RegistrationEndpoint != "" {
			d.found("registration.oidc_only", fmt.Sprintf("%s has it, and %s, which clients read first, does not",
				other.URL, is.Metadata.URL))
			return
		}
	}
	d.found("registration.closed", evidence)
}

// probeRegistration asks for the methods of the registration endpoint. OPTIONS changes nothing
// there. Some servers answer it with 404 although they have the endpoint; then a POST follows
// whose body is not JSON, which registers no client.
func (d *doctor) probeRegistration(ctx context.Context) *answer {
	endpoint := d.observed.Issuer.Metadata.RegistrationEndpoint
	if d.checkNamed(endpoint) != "" {
		return nil
	}
	foreign := !d.isLoopbackTarget()
	a := d.prober.send(ctx, request{
		method:  http.MethodOptions,
		url:     endpoint,
		header:  preflightHeader(d.pageOrigin(), http.MethodPost, "content-type"),
		foreign: foreign,
	})
	if a.status != http.StatusNotFound {
		return a
	}
	return d.prober.send(ctx, request{
		method:  http.MethodPost,
		url:     endpoint,
		header:  http.Header{"Content-Type": {"application/json"}},
		body:    "not JSON",
		foreign: foreign,
	})
}

// clerkDefaultScopes are the scopes of a client that registers at Clerk without naming any,
// unless the instance has other default scopes.
var clerkDefaultScopes = []string{"email", "offline_access", "profile"}

// checkScopes judges whether a client can get the scopes that the server asks for.
func (d *doctor) checkScopes() {
	document := d.document()
	if d.endpoint == nil || d.observed.Open || d.blocked("scopes") || document == nil {
		return
	}
	is, challenge := d.observed.Issuer, d.observed.Challenge
	asked := challenge.Scopes
	source := "the challenge"
	if len(asked) == 0 {
		asked, source = document.Scopes, "scopes_supported of "+document.URL
	}
	evidence := fmt.Sprintf("%s asks for %s; scopes_supported of %s: %s", source, listScopes(asked), is.Metadata.URL,
		listScopes(is.Metadata.Scopes))
	if len(asked) == 0 {
		d.checkNoScopes(evidence)
		return
	}
	if is.Kind == "entra" {
		d.ok("scopes", "%s", evidence) // Entra ID lists no scopes of applications
		return
	}
	missing := without(asked, is.Metadata.Scopes)
	switch {
	case is.Metadata.Scopes == nil || len(missing) == 0:
		if is.Kind == "clerk" {
			d.checkClerkScopes(asked, evidence)
		}
	case is.Kind == "clerk" && slices.Equal(missing, []string{clerk.OrganizationScope}):
		d.found("scopes.organization", evidence)
	default:
		d.found("scopes.unknown", evidence, "scopes", strings.Join(missing, ", "))
	}
	if contains(document.Scopes, "offline_access") || contains(challenge.Scopes, "offline_access") {
		d.found("scopes.offline", evidence)
	}
	if hidden := without(challenge.Scopes, document.Scopes); len(hidden) > 0 && document.HasScopes && len(document.Scopes) > 0 {
		d.found("scopes.hidden", fmt.Sprintf("the challenge asks for %s; scopes_supported of %s: %s",
			listScopes(challenge.Scopes),
			document.URL, listScopes(document.Scopes)), "scopes", strings.Join(hidden, ", "))
	}
	d.ok("scopes", "%s", evidence)
}

func (d *doctor) checkNoScopes(evidence string) {
	if d.observed.Issuer.Kind == "clerk" {
		d.found("scopes.none", evidence)
		return
	}
	d.ok("scopes", "%s", evidence)
}

// checkClerkScopes judges scopes that a client does not get by itself. The settings of the
// instance may add them; with a secret key, they are checked. No client that needs them
// reaches a local Clerk.
func (d *doctor) checkClerkScopes(asked []string, evidence string) {
	extra := without(asked, clerkDefaultScopes)
	if u, err := url.Parse(d.issuer); err != nil || wellknown.IsLoopback(u.Host) || len(extra) == 0 || d.cfg.ClerkSecretKey != "" {
		return
	}
	if contains(extra, "openid") {
		d.found("scopes.openid", evidence)
		return
	}
	d.found("scopes.default", evidence, "scopes", strings.Join(extra, ", "))
}

const maxScopes = 20 // that a list in a text has

// listScopes returns scopes for a text.
func listScopes(scopes []string) string {
	if len(scopes) > maxScopes {
		return fmt.Sprintf("%s and %d more", quote.Clip(strings.Join(scopes[:maxScopes], " "), maxText/4),
			len(scopes)-maxScopes)
	}
	if len(scopes) == 0 {
		return "none"
	}
	return quote.Clip(strings.Join(scopes, " "), maxText/4)
}

// without returns the items of list that are not in other.
func without(list, other []string) []string {
	var rest []string
	for _, item := range list {
		if !slices.Contains(other, item) {
			rest = append(rest, item)
		}
	}
	return rest
}
