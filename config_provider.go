package gatehouse

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/token"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

const (
	// maxProviders bounds [Config.Providers].
	maxProviders = 32
	// maxTenants bounds [Provider.Tenants].
	maxTenants = 1000
)

// field returns the name of a provider's field, as the user wrote it.
func (s *settings) field(index int, name string) string {
	if len(s.Providers) == 0 {
		return "Provider." + name
	}
	return fmt.Sprintf("Providers[%d].%s", index, name)
}

// validateProviders checks the providers, and sets s.providers.
func (s *settings) validateProviders(f *faults) {
	configured := s.Providers
	switch {
	case len(configured) == 0:
		configured = []Provider{s.Provider}
	case s.Provider.Name != "" || s.Provider.Issuer != "" || s.Provider.Err != nil:
		f.add("Provider", "", "is set in addition to Providers", "write it as one of Providers")
	case len(configured) > maxProviders:
		f.add("Providers", strconv.Itoa(len(configured)), "is too many", fmt.Sprintf("use at most %d", maxProviders))
	}
	for i, p := range configured {
		before := len(*f)
		s.validateProvider(i, &p, f)
		if len(*f) == before {
			p = p.withDefaults()
			s.validateIssuers(i, &p, f)
		}
		s.providers = append(s.providers, p)
	}
	if len(*f) == 0 {
		s.validateRoutes(f)
	}
}

// validateProvider checks one provider as it was configured.
func (s *settings) validateProvider(i int, p *Provider, f *faults) {
	field := func(name string) string { return s.field(i, name) }
	if p.Err != nil {
		*f = append(*f, p.Err)
		return
	}
	if p.Issuer == "" && p.Name != "" {
		f.add(field("Issuer"), "", "is missing", `set it to the URL of the issuer, like "https://issuer.example.com"`)
		return
	}
	if p.Issuer == "" {
		f.add(strings.TrimSuffix(field(""), "."), "", "is missing",
			`set it to the identity provider, like clerk.FromEnv() or gatehouse.OIDC("https://issuer.example.com")`)
		return
	}
	if issuer, ok := wellknown.IssuerOf(p.Issuer); ok {
		f.add(field("Issuer"), p.Issuer, "is the URL of a metadata document", fmt.Sprintf("write %q", issuer))
	}
	if p.JWKSURL != "" {
		f.addURL(field("JWKSURL"), p.JWKSURL, wellknown.Issuer(p.JWKSURL))
	}
	p.validateTenants(field, f)
	p.validateKeys(field, f)
	p.validateOpaque(field, f)
	p.validateClaims(field, f)
	if p.ScopePrefix != "" && !validScope(p.ScopePrefix) {
		f.add(field("ScopePrefix"), p.ScopePrefix, "is not the beginning of a scope", fixScope)
	}
	if p.DangerouslySkipVerification && s.resourceURL != nil && !s.loopback {
		f.add(field("DangerouslySkipVerification"), "", "is set for "+s.resourceURL.String(),
			"unset it, or use a resource on localhost; without verification, anyone can forge a token")
	}
	if p.DangerouslySkipVerification && len(s.Providers) > 1 {
		f.add(field("DangerouslySkipVerification"), "", "is set for one of several providers", "unset it, or use one provider")
	}
	if n := p.Tokens.MaxBytes; n < 0 || n > token.LargestMaxSize {
		f.add(field("Tokens.MaxBytes"), strconv.Itoa(n), "is out of range",
			fmt.Sprintf("use 0 for the default of %d bytes, or at most %d", token.DefaultMaxSize, token.LargestMaxSize))
	}
}

func (p *Provider) validateTenants(field func(string) string, f *faults) {
	uses := slices.ContainsFunc(slices.Concat([]string{p.Issuer}, p.TokenIssuers, p.AuthorizationServers),
		func(issuer string) bool { return strings.Contains(issuer, tenantVariable) })
	switch {
	case uses && len(p.Tenants) == 0:
		f.add(field("Tenants"), "", "is empty, although an issuer has "+tenantVariable, "list the IDs of the tenants whose users may sign in")
	case !uses && len(p.Tenants) > 0:
		f.add(field("Tenants"), "", "has no effect, because no issuer has "+tenantVariable,
			"write "+tenantVariable+" in Issuer or TokenIssuers where the ID of the tenant is, or remove Tenants")
	case len(p.Tenants) > maxTenants:
		f.add(field("Tenants"), strconv.Itoa(len(p.Tenants)), "is too many", fmt.Sprintf("use at most %d", maxTenants))
	}
	for _, tenant := range p.Tenants {
		if strings.Trim(tenant, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != "" || strings.Trim(tenant, ".") == "" {
			f.add(field("Tenants"), tenant, "is not the ID of a tenant", "write the ID as it is in the claim iss")
		}
	}
}

// validateKeys checks where the keys come from: at most one source may be set.
func (p *Provider) validateKeys(field func(string) string, f *faults) {
	var sources []string
	for _, source := range []struct {
		name  string
		isSet bool
	}{
		{"JWKSURL", p.JWKSURL != ""},
		{"PublicKeys", len(p.PublicKeys) > 0},
		{"SharedSecret", p.SharedSecret != ""},
		{"OpaqueOnly", p.OpaqueOnly},
	} {
		if source.isSet {
			sources = append(sources, source.name)
		}
	}
	if len(sources) > 1 {
		f.add(field(sources[0]), "", "is set in addition to "+strings.Join(sources[1:], " and "), "set one of them; each says how tokens are verified")
	}
	if p.SharedSecret == "" {
		return
	}
	if n := len(p.SharedSecret); n < token.MinSecret {
		f.add(field("SharedSecret"), "", fmt.Sprintf("has %d bytes, want at least %d", n, token.MinSecret),
			"use the secret of the provider as it is shown there; a shorter one can be guessed")
	}
	switch secret := string(p.SharedSecret); {
	case strings.Contains(secret, "-----BEGIN ") || strings.HasPrefix(strings.TrimSpace(secret), "{"):
		f.add(field("SharedSecret"), "", "is a key in PEM or JSON, and anyone who has a public key could make tokens with it",
			"set PublicKeys to the public key, or SharedSecret to the secret of HS256")
	case strings.TrimRight(secret, "\r\n") != secret:
		f.add(field("SharedSecret"), "", "ends with a line break, which is hardly part of it", "remove it, with strings.TrimSpace for example")
	}
	if len(p.Tokens.Algorithms) > 0 {
		f.add(field("Tokens.Algorithms"), strings.Join(p.Tokens.Algorithms, " "), "has no effect with SharedSecret", "remove it; the algorithm is HS256")
	}
}

// jwtPrefix is how JWTs begin: {" in base64url.
const jwtPrefix = "ey"

func (p *Provider) validateOpaque(field func(string) string, f *faults) {
	if p.OpaqueOnly && p.Introspect == nil {
		f.add(field("OpaqueOnly"), "", "is set without Introspect", "set Introspect, or use keys")
	}
	if len(p.OpaquePrefixes) > 0 && p.Introspect == nil {
		f.add(field("OpaquePrefixes"), "", "is set without Introspect", "set Introspect, or remove the prefixes")
	}
	for _, prefix := range p.OpaquePrefixes {
		switch {
		case prefix == "":
			f.addEmpty(field("OpaquePrefixes"), "prefix")
		case strings.HasPrefix(prefix, jwtPrefix) || strings.HasPrefix(jwtPrefix, prefix):
			f.add(field("OpaquePrefixes"), prefix, "is how JWTs begin, so that those of every provider would be sent to this one",
				"use a prefix of opaque tokens alone; set OpaqueOnly, and no prefix, if the provider must be asked about JWTs")
		}
	}
}

func (p *Provider) validateClaims(field func(string) string, f *faults) {
	paths := p.Claims.paths()
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		for _, path := range paths[name] {
			if slices.Contains(path, "") {
				f.addEmpty(field("Claims."+name), "name")
			}
		}
	}
	if slices.Contains(p.Tokens.Audiences, p.Issuer) {
		f.add(field("Tokens.Audiences"), p.Issuer, "is the issuer, which is not a server", "write the name that the provider has for this server, such as an API identifier")
	}
}

// validateIssuers checks the issuers of a provider, once the tenants are in them.
func (s *settings) validateIssuers(i int, p *Provider, f *faults) {
	f.addURL(s.field(i, "Issuer"), p.Issuer, wellknown.Issuer(p.Issuer))
	for _, list := range []struct {
		name    string
		issuers []string
	}{
		{"TokenIssuers", p.TokenIssuers},
		{"AuthorizationServers", p.AuthorizationServers},
	} {
		for _, issuer := range list.issuers {
			if issuer != p.Issuer {
				f.addURL(s.field(i, list.name), issuer, wellknown.Issuer(issuer))
			}
		}
	}
}

// validateRoutes checks that for every token at most one provider is responsible.
func (s *settings) validateRoutes(f *faults) {
	owner := make(map[string]int)
	withoutPrefix := -1
	for i, p := range s.providers {
		for _, issuer := range p.TokenIssuers {
			if first, ok := owner[issuer]; ok && first != i {
				f.add(s.field(i, "TokenIssuers"), issuer, fmt.Sprintf("is an issuer of Providers[%d] too", first), "remove one of the two")
			}
			owner[issuer] = i
		}
		for j, other := range s.providers[:i] {
			for _, prefix := range p.OpaquePrefixes {
				if slices.ContainsFunc(other.OpaquePrefixes, func(o string) bool { return strings.HasPrefix(o, prefix) || strings.HasPrefix(prefix, o) }) {
					f.add(s.field(i, "OpaquePrefixes"), prefix, fmt.Sprintf("is also for tokens of Providers[%d]", j),
						"use prefixes that differ; if both have the same, set Introspect and OpaquePrefixes of one of them to nil "+
							"(RejectOpaque of clerk.Config)")
				}
			}
		}
		if p.Introspect == nil || len(p.OpaquePrefixes) > 0 {
			continue
		}
		if withoutPrefix >= 0 {
			f.add(s.field(i, "OpaquePrefixes"), "", fmt.Sprintf("is empty, as it is for Providers[%d]", withoutPrefix),
				"set it for one of them; otherwise it is not known which of the two an opaque token is from")
		}
		withoutPrefix = i
	}
}
