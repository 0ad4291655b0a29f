package gatehouse

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/yosida95/uritemplate/v3"
)

// Require is what a caller must have to do something: everything that is set. The zero value
// requires a valid token and nothing else. Declare it where a tool, prompt, resource or
// template is registered, with [Guard.ProtectTool] and its relatives, or by name in a
// [Requirement].
type Require struct {
	Scopes       []string // scopes of the token
	Roles        []string // roles of the user, or of the user in the organization
	Permissions  []string // permissions of the user, or of the user in the organization
	Organization bool     // whether the token must be for an organization
	Person       bool     // whether the caller must be a user and not a machine; see [Provider.AllowMachines]

	// SignedIn says that a valid token is enough. It declares an operation that needs no more,
	// where [Config.Default] or [Config.DenyUndeclared] would apply otherwise. All other
	// fields must then be empty.
	SignedIn bool

	// Public says that callers without a token may do it too. It is for operations next to
	// protected ones on one URL: a client connects without a sign-in, lists what there is, and
	// signs in when it calls what needs a token, which is everything that is not Public. A token
	// that is sent must be valid and have [Config.RequiredScopes]. All other fields must then be
	// empty. A caller without a token has no identity: [IdentityOf] reports false. Anyone on the
	// network can call the operation as often as they like, so limit what it costs. Without a
	// token, a body may have 256 KiB and 32 operations. A session of the older revisions that was
	// opened without a token belongs to the first user who signs in in it.
	Public bool

	// AnyOf are alternatives, of which the caller must meet at least one, in addition to the
	// fields above. Nil means that there are none; a list without alternatives is an error. An alternative has no alternatives of its own. If each one lacks something
	// and one of them lacks only scopes, clients are asked for those.
	AnyOf []Require

	// Check, if not nil, decides what the fields cannot express. It is called when all of them
	// are met, at most twice for each operation: on the HTTP request, and again in
	// [Guard.Middleware]. It does not see the arguments of a tool. An error rejects the
	// operation with the reason insufficient_permission, and its text is for the log only. If
	// the error has a method RetryAfter() time.Duration, Check could not decide, and the answer
	// is 503. A panic rejects the operation. Check must respect ctx, return quickly and be safe
	// for concurrent use. It is not called for lists.
	Check func(ctx context.Context, id Identity) error
}

// clone returns a copy of r that shares no list with it, so that changes to a list that the
// caller still has change no requirement.
func (r Require) clone() Require {
	r.Scopes, r.Roles, r.Permissions = slices.Clone(r.Scopes), slices.Clone(r.Roles), slices.Clone(r.Permissions)
	r.AnyOf = slices.Clone(r.AnyOf)
	for i := range r.AnyOf {
		r.AnyOf[i] = r.AnyOf[i].clone()
	}
	return r
}

// isZero reports whether r says nothing.
func (r *Require) isZero() bool { return !r.SignedIn && !r.Public && r.isMet() }

// isMet reports whether every caller with a valid token meets r.
func (r *Require) isMet() bool {
	return r.AnyOf == nil && len(r.Scopes)+len(r.Roles)+len(r.Permissions) == 0 && !r.Organization && !r.Person && r.Check == nil
}

// Requirement is what a caller must have to use one tool, prompt, resource or resource
// template, by its name. Set exactly one of Tool, Prompt, Resource and
// ResourceTemplate. If several requirements name the same operation, all of them apply.
//
// A name that is misspelt protects nothing, and is reported once the server has listed its
// names; see [Guard.UnlistedRequirements]. [Guard.ProtectTool] and its relatives need no
// second copy of the name.
//
// A request is rejected with the reason "resource_spelling" if its URI is not written as the
// resource was declared (but with percent-encoding, dot segments, or another case of scheme
// or host, for example), and the server behind the guard may read it as a resource that has
// other requirements. This includes a query that the requirement does not have; to accept
// one, use a ResourceTemplate such as "notes://list{?page}".
type Requirement struct {
	Tool     string // name of a tool, for tools/call
	Prompt   string // name of a prompt, for prompts/get and completions of its arguments
	Resource string // URI of a resource, for resources/read, subscriptions and completions

	// ResourceTemplate is a URI template (RFC 6570), such as "notes://{name}". The
	// requirement applies to every URI that it matches, as go-sdk matches templates, and to
	// completions of its arguments.
	ResourceTemplate string

	Require
}

// maxResourceTemplate bounds [Requirement.ResourceTemplate], in bytes. A template of any
// length could have more variables than a regular expression can repeat.
const maxResourceTemplate = 1024

// names returns the operations that r names: `tool "a"`. There is one in a valid
// requirement.
func (r Requirement) names() []string {
	var names []string
	for _, named := range []struct{ kind, name string }{
		{"tool", r.Tool}, {"prompt", r.Prompt}, {"resource", r.Resource}, {"resource template", r.ResourceTemplate},
	} {
		if named.name != "" {
			names = append(names, named.kind+" "+quote.String(named.name))
		}
	}
	return names
}

func (r Requirement) validate(field string, providers []Provider, f *faults) {
	names := r.names()
	switch {
	case len(names) == 0:
		f.add(field, "", "names no operation", "set one of Tool, Prompt, Resource and ResourceTemplate")
	case len(names) > 1:
		f.add(field, "", "names "+strings.Join(names, " and "), "write one requirement for each of them")
	}
	subject := "requires nothing"
	if len(names) == 1 {
		subject = "requires nothing for " + names[0]
	}
	if r.Require.isZero() {
		f.add(field, "", subject, "set Scopes, Roles, Permissions, Organization, Person, AnyOf or Check, or remove the requirement; "+
			"SignedIn says that a valid token is enough, and Public that none is needed")
	}
	if strings.ContainsAny(r.Resource, "{}") {
		f.add(field+".Resource", r.Resource, "is a URI template", "set ResourceTemplate instead of Resource")
	} else if _, ok := uriForms(r.Resource, false); !ok {
		f.add(field+".Resource", quote.Clip(r.Resource, quote.MaxBytes), "is too long or has too many layers of percent-encoding",
			"write the URI as the server registers it; the limit is "+strconv.Itoa(maxResourceURI)+" bytes")
	}
	r.validateTemplate(field+".ResourceTemplate", f)
	r.Require.validate(field, providers, f)
}

// validate reports the faults of r, which is the field of that name or a part of it.
func (r *Require) validate(field string, providers []Provider, f *faults) {
	if r.SignedIn && !r.isMet() {
		f.add(field+".SignedIn", "", "is set in addition to other fields, which require more", "remove it")
	}
	if r.Public && (r.SignedIn || !r.isMet()) {
		f.add(field+".Public", "", "is set in addition to other fields, which require a token", "remove it, or the other fields")
	}
	for _, scope := range r.Scopes {
		f.addScope(field+".Scopes", scope)
	}
	for _, list := range []struct {
		name  string
		items []string
	}{{"Roles", r.Roles}, {"Permissions", r.Permissions}} {
		if slices.Contains(list.items, "") {
			f.addEmpty(field+"."+list.name, "name")
		}
	}
	r.validateSupply(field, providers, f)
	if r.AnyOf != nil && len(r.AnyOf) == 0 {
		f.add(field+".AnyOf", "", "has no alternatives, so that no one meets it", "write an alternative, or leave AnyOf nil")
	}
	for i := range r.AnyOf {
		alternative, name := &r.AnyOf[i], fmt.Sprintf("%s.AnyOf[%d]", field, i)
		if alternative.isMet() {
			f.add(name, "", "requires nothing, so that everyone meets it", "remove AnyOf, or write what the alternative requires")
		}
		if len(alternative.AnyOf) > 0 {
			f.add(name+".AnyOf", "", "is in an alternative", "write all alternatives in one list")
		}
		if alternative.Check != nil {
			f.add(name+".Check", "", "is in an alternative", "write Check next to AnyOf; it can decide about several alternatives")
		}
		alternative.validate(name, providers, f)
	}
}

func (r Requirement) validateTemplate(field string, f *faults) {
	if r.ResourceTemplate == "" {
		return
	}
	if len(r.ResourceTemplate) > maxResourceTemplate {
		f.add(field, "", fmt.Sprintf("is %d bytes long, want at most %d", len(r.ResourceTemplate), maxResourceTemplate),
			"use a shorter template")
		return
	}
	template, err := uritemplate.New(r.ResourceTemplate)
	switch {
	case err != nil:
		f.add(field, r.ResourceTemplate, "is not a URI template", `write it like "notes://{name}" (RFC 6570)`)
	case len(template.Varnames()) == 0:
		f.add(field, r.ResourceTemplate, "has no variables", "set Resource instead of ResourceTemplate")
	}
}

// validateSupply reports what r requires although no token of any provider can ever have
// it. Such a requirement would reject every caller.
func (r *Require) validateSupply(field string, providers []Provider, f *faults) {
	var labels []string
	for i := range providers {
		if p := &providers[i]; p.Err != nil || p.Issuer == "" {
			return // the provider itself is a fault
		}
		labels = append(labels, providers[i].label())
	}
	check := func(required bool, field, what, flag string, can, never func(*Provider) bool) {
		if !required || slices.ContainsFunc(providers, func(p Provider) bool { return can(&p) }) {
			return
		}
		fix := "require Scopes, check them in the tool, name their claim in Provider.Claims, or set Provider.Complete to a function " +
			"that adds them to the identity"
		if slices.ContainsFunc(providers, func(p Provider) bool { return never(&p) }) {
			fix += ", and Provider." + flag + " to false"
		}
		f.add(field, "", "requires "+what+", which the access tokens of "+strings.Join(labels, " and ")+" never contain", fix)
	}
	check(len(r.Roles) > 0, field+".Roles", "roles", "NoRoles",
		(*Provider).canHaveRoles, func(p *Provider) bool { return p.NoRoles })
	check(len(r.Permissions) > 0, field+".Permissions", "permissions", "NoPermissions",
		(*Provider).canHavePermissions, func(p *Provider) bool { return p.NoPermissions })
	check(r.Organization, field+".Organization", "an organization", "NoOrganizations",
		(*Provider).canHaveOrganizations, func(p *Provider) bool { return p.NoOrganizations })
}
