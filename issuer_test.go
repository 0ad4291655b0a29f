package gatehouse_test

import (
	"log/slog"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

// issuer is an authorization server for tests. Its tokens are those of user_1.
type issuer struct{ *testissuer.Issuer }

// keyID names the key that an issuer publishes and signs with.
const keyID = "key-1"

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	return &issuer{testissuer.Start(t)}
}

// provider returns the provider for the tokens of is.
func (is *issuer) provider() gatehouse.Provider {
	p := gatehouse.OIDC(is.URL(), "profile", "email")
	p.JWKSURL = is.JWKSURL()
	return p
}

// token returns a valid access token for the resource, with changes.
func (is *issuer) token(resource string, changes ...testissuer.Change) string {
	return is.Token(resource, append([]testissuer.Change{testissuer.Claim("sub", "user_1")}, changes...)...)
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

const resource = "http://localhost:3000/mcp"

// newGuard returns a guard for resource with the changes of configure.
func newGuard(t testing.TB, is *issuer, configure ...func(*gatehouse.Config)) *gatehouse.Guard {
	t.Helper()
	cfg := gatehouse.Config{Resource: resource, Provider: is.provider(), Logger: quiet()}
	for _, c := range configure {
		c(&cfg)
	}
	guard, err := gatehouse.New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(guard.Close)
	return guard
}
