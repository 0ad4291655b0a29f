package recipes

import (
	"net/http"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/introspection"
)

// PropelAuth returns a project of PropelAuth with MCP Authentication. authURL is its Auth URL, like
// "https://auth.example.com". id and secret are credentials of MCP → Request Validation. client
// sends the requests; nil means a default client.
func PropelAuth(authURL, id string, secret gatehouse.Secret, client *http.Client, scopes ...string) gatehouse.Provider {
	issuer := authURL + "/oauth/2.1"
	provider := introspection.New(introspection.Config{
		Issuer:       issuer,
		Endpoint:     issuer + "/introspect",
		ClientID:     id,
		ClientSecret: secret,
		HTTPClient:   client,
	}, scopes...)
	provider.Name = "PropelAuth"
	provider.Claims.Organization = gatehouse.ClaimPath{"org_id"}
	return provider
}
