// Package providername has the identity providers by the names that users of the program write:
// on the command line and in the file of the gateway.
package providername

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
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

// Provider is an identity provider by its name.
type Provider struct {
	// Name is how users write it: "clerk".
	Name string
	// NewConfig returns a pointer to an empty configuration of the provider's package.
	NewConfig func() any
	// New returns the provider for what NewConfig returned, after its fields were set. Settings
	// that are not set are read from the environment.
	New func(config any) gatehouse.Provider

	setIssuer func(config any, issuer string) // nil if the issuer says nothing
}

// all are the providers in the order of their names, except for the generic ones, which are
// last.
var all = []Provider{
	named("auth0", auth0.New, func(c *auth0.Config, issuer string) { c.Domain = hostOf(issuer) }),
	named("betterauth", betterauth.New, func(c *betterauth.Config, issuer string) { c.URL = issuer }),
	named("clerk", clerk.New, func(c *clerk.Config, issuer string) { c.FrontendAPIURL = issuer }),
	named("cognito", cognito.New, func(c *cognito.Config, issuer string) { c.UserPoolID = lastPart(issuer) }),
	named("descope", descope.New, func(c *descope.Config, issuer string) { c.DiscoveryURL = issuer }),
	named("entra", entra.New, func(c *entra.Config, issuer string) {
		c.TenantID = strings.TrimSuffix(strings.TrimPrefix(issuer, "https://login.microsoftonline.com/"), "/v2.0")
	}),
	named("google", google.New, nil),
	named("keycloak", keycloak.New, func(c *keycloak.Config, issuer string) {
		c.ServerURL, c.Realm, _ = strings.Cut(issuer, "/realms/")
	}),
	named("logto", logto.New, func(c *logto.Config, issuer string) { c.Endpoint = issuer }),
	named("okta", okta.New, func(c *okta.Config, issuer string) { c.Issuer = issuer }),
	named("scalekit", scalekit.New, func(c *scalekit.Config, issuer string) {
		c.EnvironmentURL, c.ResourceID, _ = strings.Cut(issuer, "/resources/")
	}),
	named("stytch", stytch.New, func(c *stytch.Config, issuer string) { c.Domain = issuer }),
	named("supabase", supabase.New, func(c *supabase.Config, issuer string) { c.URL = strings.TrimSuffix(issuer, "/auth/v1") }),
	named("workos", workos.New, func(c *workos.Config, issuer string) { c.Domain = hostOf(issuer) }),
	named("zitadel", zitadel.New, func(c *zitadel.Config, issuer string) { c.Domain = issuer }),
	named("oidc", newOIDC, func(c *OIDC, issuer string) { c.Issuer = issuer }),
	named("introspection", newIntrospection, func(c *Introspection, issuer string) { c.Issuer = issuer }),
}

func named[C any](name string, make func(C) gatehouse.Provider, setIssuer func(*C, string)) Provider {
	p := Provider{
		Name:      name,
		NewConfig: func() any { return new(C) },
		New:       func(config any) gatehouse.Provider { return make(*config.(*C)) },
	}
	if setIssuer != nil {
		p.setIssuer = func(config any, issuer string) { setIssuer(config.(*C), issuer) }
	}
	return p
}

// All returns all providers.
func All() []Provider { return slices.Clone(all) }

// Names returns the names of all providers.
func Names() []string {
	var names []string
	for _, p := range all {
		names = append(names, p.Name)
	}
	return names
}

// Nearest returns the name that was most likely meant by another one, or "".
func Nearest(name string) string { return quote.Nearest(name, Names()) }

// Find returns the provider with the name.
func Find(name string) (p Provider, ok bool) {
	i := slices.IndexFunc(all, func(p Provider) bool { return p.Name == name })
	if i < 0 {
		return Provider{}, false
	}
	return all[i], true
}

// New returns the provider with the name, for an issuer, or for the settings of the environment
// if issuer is empty. The file has more settings, which introspection needs. Faults in the settings are in Err of the provider.
func New(name, issuer string) (gatehouse.Provider, error) {
	p, ok := Find(name)
	if !ok {
		hint := "use one of " + strings.Join(Names(), ", ")
		if near := Nearest(name); near != "" {
			hint = fmt.Sprintf("did you mean --provider %s?", near)
		}
		return gatehouse.Provider{}, failure.New(hint, "--provider %q is not known", name)
	}
	config := p.NewConfig()
	switch {
	case issuer == "" && name == "oidc":
		return gatehouse.Provider{}, failure.New("add --issuer with the URL of the issuer, like --issuer https://issuer.example.com",
			"--provider oidc needs an issuer")
	case name == "introspection":
		return gatehouse.Provider{}, failure.New("write it in a file for --config, like "+
			"provider: {name: introspection, issuer: https://issuer.example.com, client_id: gateway, client_secret_file: secret}",
			"--provider introspection needs a client and its secret")
	case issuer != "" && p.setIssuer == nil:
		return gatehouse.Provider{}, failure.New("remove --issuer", "--provider %s has one issuer only", name)
	case issuer != "":
		if err := checkIssuer(name, issuer); err != nil {
			return gatehouse.Provider{}, err
		}
		p.setIssuer(config, issuer)
	}
	return p.New(config), nil
}

// checkIssuer returns an error for an issuer from which the settings of the provider do not follow.
// The provider itself could name only the part of the issuer that is its setting.
func checkIssuer(name, issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" {
		return nil // the provider says what is wrong
	}
	fromPath := []string{"cognito", "keycloak", "scalekit", "supabase"}
	if slices.Contains(fromPath, name) && u.Path != "/" && strings.HasSuffix(u.Path, "/") {
		return failure.New("write --issuer "+strings.TrimRight(issuer, "/"), "--issuer %q has a trailing slash", wellknown.Redacted(issuer))
	}
	if _, realm, _ := strings.Cut(u.Path, "/realms/"); name == "keycloak" && realm == "" {
		return failure.New("add the name of the realm, like --issuer "+u.Scheme+"://"+u.Host+"/realms/demo",
			"--issuer %q does not name a realm", wellknown.Redacted(issuer))
	}
	tenant, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if name == "entra" && slices.Contains([]string{"common", "organizations", "consumers"}, tenant) {
		return failure.New("write the ID of your tenant in place of "+tenant+"; for several, list them as tenants in a file for --config",
			"--issuer %q accepts everyone with a Microsoft account", wellknown.Redacted(issuer))
	}
	return nil
}

// hostOf returns the host of a URL, or the text itself if it is not one.
func hostOf(issuer string) string {
	return strings.TrimSuffix(strings.TrimPrefix(issuer, "https://"), "/")
}

// lastPart returns what follows the last slash.
func lastPart(issuer string) string { return issuer[strings.LastIndex(issuer, "/")+1:] }
