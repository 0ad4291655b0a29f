package wellknown_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

func TestProtectedResource(t *testing.T) {
	t.Parallel()
	tests := []struct{ resource, want string }{
		{"https://mcp.example.com", "/.well-known/oauth-protected-resource"},
		{"https://mcp.example.com/", "/.well-known/oauth-protected-resource"},
		{"https://mcp.example.com/mcp", "/.well-known/oauth-protected-resource/mcp"},
		{"https://mcp.example.com/a/b", "/.well-known/oauth-protected-resource/a/b"},
	}
	for _, tt := range tests {
		u, err := wellknown.Resource(tt.resource)
		if err != nil {
			t.Fatalf("Resource(%q): %v", tt.resource, err)
		}
		if got := wellknown.ProtectedResource(u); got != tt.want {
			t.Errorf("ProtectedResource(%q) = %q, want %q", tt.resource, got, tt.want)
		}
	}
}

func TestIssuerDocuments(t *testing.T) {
	t.Parallel()
	tests := []struct {
		issuer, oauth, oidc string
		candidates          []string
	}{
		{
			issuer: "https://as.example.com",
			oauth:  "https://as.example.com/.well-known/oauth-authorization-server",
			oidc:   "https://as.example.com/.well-known/openid-configuration",
			candidates: []string{
				"https://as.example.com/.well-known/oauth-authorization-server",
				"https://as.example.com/.well-known/openid-configuration",
			},
		},
		{
			issuer: "https://acme.us.auth0.com/",
			oauth:  "https://acme.us.auth0.com/.well-known/oauth-authorization-server",
			oidc:   "https://acme.us.auth0.com/.well-known/openid-configuration",
			candidates: []string{
				"https://acme.us.auth0.com/.well-known/oauth-authorization-server",
				"https://acme.us.auth0.com/.well-known/openid-configuration",
			},
		},
		{
			issuer: "https://app.dev/__clerk",
			oauth:  "https://app.dev/.well-known/oauth-authorization-server/__clerk",
			oidc:   "https://app.dev/__clerk/.well-known/openid-configuration",
			candidates: []string{
				"https://app.dev/.well-known/oauth-authorization-server/__clerk",
				"https://app.dev/.well-known/openid-configuration/__clerk",
				"https://app.dev/__clerk/.well-known/openid-configuration",
			},
		},
		{
			issuer: "http://localhost:8080/realms/My%20Realm/",
			oauth:  "http://localhost:8080/.well-known/oauth-authorization-server/realms/My%20Realm",
			oidc:   "http://localhost:8080/realms/My%20Realm/.well-known/openid-configuration",
			candidates: []string{
				"http://localhost:8080/.well-known/oauth-authorization-server/realms/My%20Realm",
				"http://localhost:8080/.well-known/openid-configuration/realms/My%20Realm",
				"http://localhost:8080/realms/My%20Realm/.well-known/openid-configuration",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.issuer, func(t *testing.T) {
			t.Parallel()
			if got, err := wellknown.AuthorizationServer(tt.issuer); err != nil || got != tt.oauth {
				t.Errorf("AuthorizationServer = %q, %v, want %q", got, err, tt.oauth)
			}
			if got, err := wellknown.OpenIDConfiguration(tt.issuer); err != nil || got != tt.oidc {
				t.Errorf("OpenIDConfiguration = %q, %v, want %q", got, err, tt.oidc)
			}
			if diff := cmp.Diff(tt.candidates, wellknown.Candidates(tt.issuer)); diff != "" {
				t.Errorf("Candidates (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDocumentsOfInvalidIssuer(t *testing.T) {
	t.Parallel()
	const invalid, want = "https://as.example.com?tenant=1", "has a query; remove the ? and everything after it"
	if got, err := wellknown.AuthorizationServer(invalid); got != "" || reason(err) != want {
		t.Errorf("AuthorizationServer = %q, %v, want %s", got, err, want)
	}
	if got, err := wellknown.OpenIDConfiguration(invalid); got != "" || reason(err) != want {
		t.Errorf("OpenIDConfiguration = %q, %v, want %s", got, err, want)
	}
	if got := wellknown.Candidates(invalid); got != nil {
		t.Errorf("Candidates = %q, want none", got)
	}
}

func FuzzIssuer(f *testing.F) {
	for _, seed := range []string{
		"https://as.example.com", "https://as.example.com/", "https://app.dev/__clerk", "http://localhost:80/a%20b/",
		"https://a//b", "https://a/%2e", "http://[::1]:9/x", "https://a:443", "https:///x", "https://a/b?c#d",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, issuer string) {
		candidates := wellknown.Candidates(issuer)
		if err := wellknown.Issuer(issuer); err != nil {
			checkFault(t, err)
			if candidates != nil {
				t.Errorf("Candidates = %q for an issuer rejected with %v", candidates, err)
			}
			return
		}
		oauth, err := wellknown.AuthorizationServer(issuer)
		if err != nil || oauth != candidates[0] {
			t.Errorf("AuthorizationServer = %q, %v, want the first candidate %q", oauth, err, candidates[0])
		}
		oidc, err := wellknown.OpenIDConfiguration(issuer)
		if err != nil || oidc != candidates[len(candidates)-1] {
			t.Errorf("OpenIDConfiguration = %q, %v, want the last candidate of %q", oidc, err, candidates)
		}
		for _, candidate := range candidates {
			if err := wellknown.Issuer(candidate); err != nil {
				t.Errorf("candidate %q of %q: %v", candidate, issuer, err)
			}
		}
		if base := strings.TrimSuffix(oidc, wellknown.OpenIDConfigurationPath); wellknown.Issuer(base) != nil {
			t.Errorf("Issuer(%q), the base of %q: %v", base, oidc, wellknown.Issuer(base))
		}
	})
}
