package diagnose

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
	"github.com/gatehouse-mcp/gatehouse/provider/auth0"
	"github.com/gatehouse-mcp/gatehouse/provider/betterauth"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/provider/cognito"
	"github.com/gatehouse-mcp/gatehouse/provider/descope"
	"github.com/gatehouse-mcp/gatehouse/provider/entra"
	"github.com/gatehouse-mcp/gatehouse/provider/keycloak"
	"github.com/gatehouse-mcp/gatehouse/provider/logto"
	"github.com/gatehouse-mcp/gatehouse/provider/okta"
	"github.com/gatehouse-mcp/gatehouse/provider/supabase"
	"github.com/gatehouse-mcp/gatehouse/provider/workos"
)

// The names that stand for what is not known. No DNS name ends in .invalid (RFC 6761, section 6.4).
const (
	unknownResource = "https://resource.invalid/mcp"
	unknownIssuer   = "https://issuer.invalid"
)

// completeServer sets server: cfg.Server, and what the token itself names where that says
// nothing.
func (e *explainer) completeServer() {
	p := e.server.Provider
	if p.Issuer == "" && p.Name == "" && p.Err == nil && len(e.server.Providers) == 0 {
		e.unknownIssuer, e.assumed = true, true
		e.server.Provider = e.guessProvider(e.seen.Issuer)
		if e.server.Provider.Err != nil || wellknown.Issuer(e.seen.Issuer) != nil {
			e.server.Provider = gatehouse.OIDC(unknownIssuer)
		}
	}
	guess := slices.ContainsFunc(e.providersOf(e.server), func(p gatehouse.Provider) bool { return isGuess(&p) })
	if e.server.Resource == "" || guess {
		e.unknownResource = true
		e.server.Resource = cmp.Or(e.server.Resource, unknownResource)
		e.server.Providers, e.server.Provider = e.anyAudience(), gatehouse.Provider{}
	}
}

// guessProvider returns the provider that has the issuer.
func (e *explainer) guessProvider(issuer string) gatehouse.Provider {
	if issuer == e.seen.Issuer && e.looksLikeClerk() {
		return clerk.Provider(issuer)
	}
	return ProviderOf(issuer)
}

// looksLikeClerk reports whether the token is one of a Clerk instance with a domain of its own:
// its key is named for the instance.
func (e *explainer) looksLikeClerk() bool {
	return strings.HasPrefix(e.seen.KeyID, "ins_") && wellknown.Issuer(e.seen.Issuer) == nil && !isSuffixed(e.seen.Issuer)
}

// isSuffixed reports whether the issuer has a path.
func isSuffixed(issuer string) bool {
	u, err := url.Parse(issuer)
	return err != nil || u.Path != ""
}

// anyAudience returns the providers of the server, with rules that accept the audience of the
// token, so that the other rules can be checked.
func (e *explainer) anyAudience() []gatehouse.Provider {
	providers := e.providersOf(e.server)
	for i := range providers {
		p := &providers[i]
		p.Tokens.Audiences = slices.Clone(p.Tokens.Audiences)
		for _, audience := range e.seen.Audience {
			if audience != p.Issuer && audience != "" {
				p.Tokens.Audiences = append(p.Tokens.Audiences, audience)
			}
		}
		p.Tokens.Audience, p.Tokens.BoundClients, p.Tokens.BoundScopePrefix = gatehouse.AudienceIfPresent, nil, ""
	}
	return providers
}

// vendorIssuer recognizes the issuers of one provider.
type vendorIssuer struct {
	issuer *regexp.Regexp
	// provider returns the provider for the parts of the issuer that the expression matched.
	provider func(issuer string, parts []string) gatehouse.Provider
}

// vendorIssuers are the providers whose issuers have a form of their own. Where a setting cannot be
// read from the issuer, the rule about it is left out; see [ProviderOf].
var vendorIssuers = []vendorIssuer{
	{regexp.MustCompile(`^https://([a-z]+-[a-z]+-\d+\.clerk\.accounts\.dev|clerk\.[a-z0-9.-]+)$`),
		func(issuer string, _ []string) gatehouse.Provider { return clerk.Provider(issuer) }},
	{regexp.MustCompile(`^https://([a-z0-9.-]+\.auth0\.com)/$`),
		func(_ string, parts []string) gatehouse.Provider { return auth0.New(auth0.Config{Domain: parts[1]}) }},
	{regexp.MustCompile(`^https://[a-z0-9.-]+\.(?:okta|oktapreview|okta-emea)\.com/oauth2/[A-Za-z0-9]+$`),
		func(issuer string, _ []string) gatehouse.Provider { return okta.New(okta.Config{Issuer: issuer}) }},
	{regexp.MustCompile(`^(https?://.+)/realms/([^/]+)$`), func(_ string, parts []string) gatehouse.Provider {
		return keycloak.New(keycloak.Config{ServerURL: parts[1], Realm: parts[2]})
	}},
	{regexp.MustCompile(`^https://([a-z0-9-]+\.authkit\.app)$`),
		func(_ string, parts []string) gatehouse.Provider { return workos.New(workos.Config{Domain: parts[1]}) }},
	{regexp.MustCompile(`^https://([a-z]{20})\.supabase\.co/auth/v1$`),
		func(_ string, parts []string) gatehouse.Provider {
			return supabase.New(supabase.Config{ProjectID: parts[1]})
		}},
	{regexp.MustCompile(`^(https://[a-z0-9-]+\.logto\.app)/oidc$`),
		func(_ string, parts []string) gatehouse.Provider { return logto.New(logto.Config{Endpoint: parts[1]}) }},
	{regexp.MustCompile(`/api/auth$`),
		func(issuer string, _ []string) gatehouse.Provider {
			return betterauth.New(betterauth.Config{URL: issuer})
		}},
	{regexp.MustCompile(`^https://cognito-idp\.[a-z0-9-]+\.amazonaws\.com/([a-z0-9-]+_[A-Za-z0-9]+)$`),
		func(_ string, parts []string) gatehouse.Provider {
			return cognito.New(cognito.Config{UserPoolID: parts[1], ClientIDs: []string{unknownSetting}})
		}},
	{regexp.MustCompile(`^https://login\.microsoftonline\.com/([0-9a-f-]{36})/v2\.0$`),
		func(_ string, parts []string) gatehouse.Provider {
			return entra.New(entra.Config{TenantID: parts[1], ClientID: unknownGUID, ScopesSupported: []string{unknownSetting}})
		}},
	{regexp.MustCompile(`^https://sts\.windows\.net/([0-9a-f-]{36})/$`),
		func(_ string, parts []string) gatehouse.Provider {
			return entra.New(entra.Config{TenantID: parts[1], ClientID: unknownGUID, ScopesSupported: []string{unknownSetting}, AcceptV1: true})
		}},
	{regexp.MustCompile(`^https://api\.descope\.com/v1/apps/agentic/(P[A-Za-z0-9]+)/(MS[A-Za-z0-9]+)$`),
		func(_ string, parts []string) gatehouse.Provider {
			return descope.New(descope.Config{ProjectID: parts[1], MCPServerID: parts[2]})
		}},
}

// The settings that an issuer does not show. No token has them, and the rules that compare them are
// those about the audience.
const (
	unknownSetting = "unknown"
	unknownGUID    = "00000000-0000-0000-0000-000000000000"
)

// ProviderOf returns the provider that has the issuer: one of the packages below provider if the
// form of the issuer is that of a known service, and otherwise that of [gatehouse.OIDC]. Settings
// that the issuer does not show, such as client IDs, are missing: use it to explain, never to
// protect a server.
func ProviderOf(issuer string) gatehouse.Provider {
	for _, v := range vendorIssuers {
		parts := v.issuer.FindStringSubmatch(issuer)
		if parts == nil {
			continue
		}
		// The issuer of Entra ID has a variable for the tenant.
		if p := v.provider(issuer, parts); p.Err == nil && (p.Issuer == issuer || len(p.Tenants) > 0) {
			return p
		}
	}
	return gatehouse.OIDC(issuer)
}
