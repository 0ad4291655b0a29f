package diagnose

import (
	"fmt"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

// checkEntra judges whether the scopes belong to an application whose ID is the URL of the
// endpoint. Clients send that URL as resource, and Entra ID compares the two.
func (d *doctor) checkEntra() {
	document := d.document()
	if d.observed.Issuer.Kind != "entra" || d.endpoint == nil || document == nil {
		return
	}
	scopes := d.observed.Challenge.Scopes
	if len(scopes) == 0 {
		scopes = document.Scopes
	}
	evidence := fmt.Sprintf("the server asks for %s, and its URL is %s", quote.List(scopes), quote.String(d.resource()))
	want := strings.TrimSuffix(d.resource(), "/")
	var applications, short []string
	for _, scope := range scopes {
		switch i := strings.LastIndex(scope, "/"); {
		case contains([]string{"openid", "profile", "email", "offline_access"}, scope):
		case i > 0 && strings.Contains(scope, "://"):
			applications = append(applications, scope[:i])
		default:
			short = append(short, scope)
		}
	}
	switch {
	case len(applications) == 0:
		d.found("entra.short_scope", evidence, "want", want+"/"+firstOr(short, "mcp.access"))
	case applications[0] != want:
		d.found("entra.app_id_uri", evidence, "want", want)
	default:
		d.ok("entra", "%s", evidence)
	}
}

func firstOr(list []string, otherwise string) string {
	if len(list) > 0 {
		return list[0]
	}
	return otherwise
}

// entraErrors explains the errors of Entra ID that MCP clients run into, by their code.
var entraErrors = []struct{ code, title, fix string }{
	{
		"AADSTS9010010", "The resource parameter and the scopes name different applications",
		"in the Entra admin center → App registrations → Expose an API, set the Application ID URI to the URL of the MCP " +
			"endpoint, and advertise scopes that begin with it",
	},
	{
		"AADSTS901002", "Entra ID does not accept the resource parameter of this request",
		"set the Application ID URI to the URL of the MCP endpoint (App registrations → Expose an API); if a provider in " +
			"front of Entra ID forwards the parameter, have it leave the parameter out; mcp-remote has " +
			"--disable-resource-parameter",
	},
	{
		"AADSTS900144", "The request lacks a parameter, which the message of Entra ID names",
		"if it is scope, advertise the full scope of the application in scopes_supported and in the challenge, like " +
			"https://mcp.example.com/mcp/mcp.access: Entra ID needs one",
	},
	{
		"AADSTS65001", "No one has consented to the application",
		"in the Entra admin center → Enterprise applications → Permissions, grant admin consent; or add the client under " +
			"Expose an API → Authorized client applications",
	},
	{
		"AADSTS650053", "The application has no such scope",
		"in the Entra admin center → App registrations → Expose an API, add the scope, and advertise its full name",
	},
	{
		"AADSTS500011", "The tenant has no application with this Application ID URI",
		"check the tenant, and the Application ID URI (App registrations → Expose an API)",
	},
	{
		"AADSTS50011", "The redirect URI is not registered",
		"in the Entra admin center → App registrations → Authentication, add the redirect URI of the client as a mobile " +
			"and desktop application",
	},
	{
		"AADSTS700016", "The tenant has no client with this ID",
		"check the client ID, and that the client is registered in this tenant",
	},
	{
		"AADSTS7000218", "The client is registered as one with a secret",
		"in the Entra admin center → App registrations → Authentication, turn on \"Allow public client flows\"",
	},
}

// ExplainEntra explains an error of Microsoft Entra ID, if text has the code of one that MCP
// clients run into, like AADSTS9010010.
func ExplainEntra(text string) (Explanation, bool) {
	for _, e := range entraErrors {
		_, after, found := strings.Cut(text, e.code)
		if found && (after == "" || after[0] < '0' || after[0] > '9') {
			return Explanation{
				ID: "entra." + strings.ToLower(e.code), Level: Fault, Title: e.title + " (" + e.code + ")",
				Consequence: "Entra ID rejects the sign-in", Fix: e.fix,
			}, true
		}
	}
	return Explanation{}, false
}
