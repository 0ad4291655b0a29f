package main

import (
	"github.com/gatehouse-mcp/gatehouse"
)

// workspace is whose documents a caller sees: those of the organization that the user chose
// while signing in, or the user's own if there is none. It follows from the access token
// alone. No argument of a tool, no URI and no header can name another one.
type workspace struct {
	tenant       string // the value of the column of the same name
	user         string // ID of the caller, who is the author of new documents
	organization string // ID of the organization; empty for the workspace of one user
}

// workspaceOf returns the workspace of a caller. An ID is unique within its issuer only, and a
// user and an organization could have the same one, so a tenant has the issuer and the kind.
func workspaceOf(id gatehouse.Identity) workspace {
	if id.Organization.ID == "" {
		return workspace{tenant: "user|" + id.Principal(), user: id.Subject}
	}
	return workspace{
		tenant:       organizationTenant(id.Issuer, id.Organization.ID),
		user:         id.Subject,
		organization: id.Organization.ID,
	}
}

func organizationTenant(issuer, organization string) string {
	return "organization|" + issuer + "|" + organization
}
