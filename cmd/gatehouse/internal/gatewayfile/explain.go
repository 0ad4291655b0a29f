package gatewayfile

import (
	"errors"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

// renamed are the fields of the gateway whose member has another name.
var renamed = map[string]string{
	"Resource": "url", "ResourceName": "name", "ResourceDocumentation": "documentation", "Upstreams": "upstream", "KeyFile": "key_folder",
}

// explain reports the faults that the gateway found in an endpoint, each at its line and with the
// names of the file.
func (b *builder) explain(e *Endpoint, err error) {
	for _, fault := range configErrors(err) {
		if fault == nil {
			b.report(e.line, quote.Clip(err.Error(), 4*quote.MaxBytes), "change the endpoint")
			continue
		}
		line, name := b.place(e, fault.Field)
		if fault.Value == "" && fault.Problem == "is missing" {
			continue // the member is missing or has a mistake, which is reported
		}
		if fault.Field == "KeyFile" {
			fault.Value = filepath.Dir(fault.Value) // the file has the name of the endpoint's hash
			fault.Problem = strings.Replace(fault.Problem, "is in a folder that ", "", 1)
		}
		b.report(line, describeFault(name, fault), translate(fault.Fix))
	}
}

// explainProvider reports the faults in the settings of a provider.
func (b *builder) explainProvider(p *Provider, err error) {
	for _, fault := range configErrors(err) {
		if fault == nil {
			b.report(p.line, quote.Clip(err.Error(), 4*quote.MaxBytes), "change the provider")
			continue
		}
		name := fault.Field
		fix := fault.Fix
		if p.Name == "oidc" && fault.Value == "" && name == "issuer of OIDC" {
			b.report(p.line, "the provider oidc has no issuer", "write it like provider: {name: oidc, issuer: https://issuer.example.com}")
			continue
		}
		name = strings.TrimPrefix(name, "introspection.Config.")
		if !isEnvironment(name) {
			name = memberName(name)
		} else if fault.Value == "" {
			fix += "; or write the setting below the name of the provider"
		}
		b.report(p.lineOf(name), "provider "+p.Name+": "+describeFault(name, fault), translate(fix))
	}
}

// configErrors returns the faults that err joins. One is nil if it has another type.
func configErrors(err error) []*gatehouse.ConfigError {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*gatehouse.ConfigError
		for _, e := range joined.Unwrap() {
			all = append(all, configErrors(e)...)
		}
		return all
	}
	var fault *gatehouse.ConfigError
	if errors.As(err, &fault) {
		return []*gatehouse.ConfigError{fault}
	}
	return []*gatehouse.ConfigError{nil}
}

func describeFault(name string, fault *gatehouse.ConfigError) string {
	if fault.Value == "" {
		return name + " " + translate(fault.Problem)
	}
	return name + " " + strconv.Quote(quote.Clip(fault.Value, quote.MaxBytes)) + " " + translate(fault.Problem)
}

var fieldPart = regexp.MustCompile(`^([A-Za-z]+)(?:\[(\d+)\])?(?:\.(.*))?$`)

// place returns the line of a field of the gateway, and its name in the file.
func (b *builder) place(e *Endpoint, field string) (line int, name string) {
	parts := fieldPart.FindStringSubmatch(field)
	if parts == nil {
		return e.line, field
	}
	top, index, rest := parts[1], parts[2], parts[3]
	member := memberName(top)
	if other := renamed[top]; other != "" {
		member = other
	}
	if line, name, ok := b.limitsPlace(top, rest); ok {
		return line, name
	}
	switch {
	case top == "Requirements" && index != "":
		n, _ := strconv.Atoi(index)
		return b.requirementPlace(e, n, rest)
	case top == "AcceptedSessionKeys":
		if line = b.file.keysLine(); line == 0 {
			member = acceptedKeysVariable
		}
		if index != "" {
			member += "[" + index + "]"
		}
		return line, member
	case top == "SessionKey" && b.file.lines["session_key_file"] > 0:
		return b.file.lines["session_key_file"], member
	case top == "SessionKey" || top == "KeyFile" || strings.HasPrefix(top, "Audit"):
		return b.file.lineOf(member), member
	case top == "Provider" || top == "Providers":
		return b.providerLine(e), "provider"
	case top == "Headers":
		if e.Headers != nil {
			return e.Headers.lineOf(rest), "headers." + rest
		}
	case top == "Upstreams" && e.Upstream == nil:
		member = "upstreams"
	case rest != "":
		return e.lineOf(member), member + "." + memberPath(rest)
	}
	return e.lineOf(member), member
}

// requirementPlace returns the place of the requirement with the index, of those that the file's
// requirements stand for.
func (b *builder) requirementPlace(e *Endpoint, index int, rest string) (line int, name string) {
	for i := range e.Requirements {
		r := &e.Requirements[i]
		if index -= len(r.each()); index >= 0 {
			continue
		}
		name = "requirements[" + strconv.Itoa(i) + "]"
		if rest == "" {
			return r.line, name
		}
		path := memberPath(rest)
		first, _, _ := strings.Cut(path, ".")
		first, _, _ = strings.Cut(first, "[")
		return r.lineOf(first), name + "." + path
	}
	return e.line, "requirements"
}

func memberPath(path string) string {
	parts := strings.Split(path, ".")
	for i, part := range parts {
		name, index, found := strings.Cut(part, "[")
		if parts[i] = memberName(name); found {
			parts[i] += "[" + index
		}
	}
	return strings.Join(parts, ".")
}

// keysLine returns the line of accepted_session_keys, or 0.
func (f *File) keysLine() int {
	return max(f.lines["accepted_session_keys"], f.lines["accepted_session_keys_file"])
}

func (b *builder) providerLine(e *Endpoint) int {
	for _, at := range []At{e.At, b.file.At} {
		for _, name := range []string{"provider", "providers"} {
			if line := at.lines[name]; line > 0 {
				return line
			}
		}
	}
	return e.line
}

func isEnvironment(name string) bool { return strings.ToUpper(name) == name }

// goFields finds names of fields of the library in the text of a fault.
var goFields = regexp.MustCompile(`\b(?:Provider\.|TokenRules\.)?(AllowedOrigins|AllowedHosts|AllowedHeaders|RequiredScopes|ImpliedScopes|DenyUndeclared|` +
	`ShowLocked|HostDocuments|LocalPath|MaxSessionsPerUser|MaxSessions|SessionTimeout|MaxBodyBytes|AcceptedSessionKeys|SessionKey|ResourceTemplate|SignedIn|AnyOf|` +
	`Scopes|Roles|Permissions|RequireAudience|ScopesSupported|FrontendAPIURL|Audiences|RequiredClaims|Types|DangerouslyForwardAccessToken|` +
	`PublishableKey|AllowMachines|ClientIDs|ResourceServer|Tenants|JWKSURL)\b`)

// hintNames replaces what hints of the library's log say about its fields.
var hintNames = strings.NewReplacer(
	"Provider.Issuer", "issuer",
	"put Resource into aud", "put the URL of the endpoint into aud",
	"compare Resource with", "compare url with",
	"set TokenRules.Audience if the provider cannot", "set insecure_accept_missing_audience of the provider, whose risk is in its description, if it cannot",
	"set Provider.Introspect to ask the provider about opaque ones", "use the provider introspection, which asks about opaque ones",
	"set Provider.AllowMachines and Requirement.Person", "set allow_machines of the provider, and person in requirements,",
	"add it to TrustedProxies", "add it to trusted_proxies in limits",
)

// Hint writes the names of the file in place of those of the library, in a message or a hint of its log.
func Hint(text string) string { return translate(hintNames.Replace(text)) }

// translate writes the names of the file in place of those of the library.
func translate(text string) string {
	if strings.Contains(text, "Provider.Complete") {
		return "require scopes, or check it in the MCP server, which gets the claims that the token has"
	}
	text = strings.ReplaceAll(text, "remove the certificates", "remove ca_file")
	text = strings.ReplaceAll(text, ", Organization, Person, AnyOf or Check, ", ", organization, person or any_of, ")
	text = strings.ReplaceAll(text, ", and Public that none is needed", ", and public that none is needed")
	text = strings.ReplaceAll(text, "set ResourceTemplate instead of Resource", "write resource_template instead of resource")
	text = strings.ReplaceAll(text, "set Resource instead of ResourceTemplate", "write resource instead of resource_template")
	text = strings.ReplaceAll(text, "set one of Tool, Prompt, Resource and ResourceTemplate", "add one of tool, prompt, resource and resource_template")
	text = strings.ReplaceAll(text, "or set PrivateKey, or Unauthenticated for", "or set unauthenticated: true for")
	text = limitNames.Replace(text)
	return goFields.ReplaceAllStringFunc(text, func(name string) string {
		return memberName(name[strings.LastIndexByte(name, '.')+1:])
	})
}
