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

// ClerkServer is a local Clerk that listens for the length of a test. Make one
// with [Clerk]. It is safe for concurrent use.
type ClerkServer struct {
	*localclerk.Server
}

// Clerk starts a local Clerk on a free loopback port, with the seeded people and
// default settings, and stops it when t ends. It fails t if it cannot.
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

// signingKey is the first key of every ClerkServer: making one takes longer than
// most tests. Tokens of one are refused at another for their issuer.
var signingKey = sync.OnceValue(newKey)

// strangersKey belongs to nobody.
var strangersKey = sync.OnceValue(newKey)

const keyBits = 2048

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		panic("gatehousetest: making a key: " + err.Error())
	}
	return key
}

// Provider is c as the provider of a guard, as clerk.New makes it of a Clerk
// instance. Opaque tokens are taken as well, as with CLERK_SECRET_KEY. Variables
// of the environment that name another instance do not count.
func (c *ClerkServer) Provider() gatehouse.Provider {
	return clerk.New(clerk.Config{
		FrontendAPIURL: c.Issuer(),
		SecretKey:      clerk.Secret(c.SecretKey()),
		BackendAPIURL:  c.Issuer(),
	})
}
