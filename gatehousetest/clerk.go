package gatehousetest

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
)

// ClerkServer is a local Clerk that runs until its test ends. Make one with [Clerk]. It
// is safe for concurrent use.
type ClerkServer struct {
	*localclerk.Server
}

// Clerk starts a local Clerk on a free loopback port, with the users of
// [localclerk.SeedUsers] and default settings. It stops when t ends. If it cannot start,
// Clerk fails t.
func Clerk(t testing.TB) *ClerkServer {
	t.Helper()
	front := httptest.NewUnstartedServer(nil)
	server, err := localclerk.New(localclerk.Config{
		Issuer:     "http://" + front.Listener.Addr().String(),
		SigningKey: signingKey(),
	})
	if err != nil {
		front.Close()
		t.Fatalf("gatehousetest: starting a local Clerk: %v", err)
	}
	front.Config.Handler = server
	front.Start()
	t.Cleanup(front.Close)
	return &ClerkServer{server}
}

// signingKey is the first key of every ClerkServer, because making a key takes longer
// than most tests. The tokens of two of them differ in their issuer.
var signingKey = sync.OnceValue(newKey)

// unknownKey is in no key set.
var unknownKey = sync.OnceValue(newKey)

const keyBits = 2048

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		panic("gatehousetest: making a key: " + err.Error())
	}
	return key
}

// Provider returns the provider for guards whose users sign in with c. It is made by
// clerk.New with a secret key, so that opaque tokens are accepted too.
// Environment variables that name another instance have no effect.
func (c *ClerkServer) Provider() gatehouse.Provider {
	return clerk.New(clerk.Config{
		FrontendAPIURL: c.Issuer(),
		SecretKey:      clerk.Secret(c.SecretKey()),
		BackendAPIURL:  c.Issuer(),
	})
}

// Settings returns a copy of the current settings. It replaces the method of
// [localclerk.Server]: DefaultScopes is never nil, so that a test can append a scope to
// those that clients have by default.
func (c *ClerkServer) Settings() localclerk.Settings {
	settings := c.Server.Settings()
	if settings.DefaultScopes == nil {
		settings.DefaultScopes = []string{localclerk.ScopeEmail, localclerk.ScopeOfflineAccess, localclerk.ScopeProfile}
	}
	return settings
}
