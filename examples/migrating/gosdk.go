package migrating

import (
	"net/http"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// GoSDKBefore protects a handler with the auth package of go-sdk.
func GoSDKBefore(handler http.Handler, verify auth.TokenVerifier) *http.ServeMux {
	requireToken := auth.RequireBearerToken(verify, &auth.RequireBearerTokenOptions{
		ResourceMetadataURL: "https://mcp.example.com/.well-known/oauth-protected-resource/mcp",
		Scopes:              []string{"notes:read"},
	})
	mux := http.NewServeMux()
	mux.Handle("/mcp", requireToken(handler))
	mux.Handle("/.well-known/oauth-protected-resource/mcp",
		auth.ProtectedResourceMetadataHandler(&oauthex.ProtectedResourceMetadata{
			Resource:             "https://mcp.example.com/mcp",
			AuthorizationServers: []string{"https://issuer.example.com"},
			ScopesSupported:      []string{"notes:read"},
		}))
	return mux
}

// GoSDKAfter does the same with Gatehouse.
func GoSDKAfter(handler http.Handler) (*http.ServeMux, error) {
	guard, err := gatehouse.New(gatehouse.Config{
		Resource:       "https://mcp.example.com/mcp",
		Provider:       gatehouse.OIDC("https://issuer.example.com"),
		RequiredScopes: []string{"notes:read"},
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	guard.Mount(mux, handler)
	return mux, nil
}

// GoSDKVerifier is Gatehouse's verification alone, for go-sdk's middleware.
func GoSDKVerifier(guard *gatehouse.Guard) auth.TokenVerifier {
	return guard.Verify
}
