package gatehouse_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// requestWith returns a tool call whose caller has the token.
func requestWith(t *testing.T, guard *gatehouse.Guard, token string) mcp.Request {
	t.Helper()
	info, err := guard.Verify(t.Context(), token, nil)
	if err != nil {
		t.Fatalf("Verify: %v", errors.Unwrap(err))
	}
	return &mcp.CallToolRequest{Extra: &mcp.RequestExtra{TokenInfo: info}}
}

// offMachine is a transport that fails the test if it looks for a proxy or connects by
// itself, which stand for HTTP_PROXY and DNS.
func offMachine(t *testing.T) *http.Transport {
	return &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) {
			t.Errorf("looked for a proxy for %s", r.URL)
			return nil, nil
		},
		DialContext: func(_ context.Context, _, address string) (net.Conn, error) {
			t.Errorf("connected to %s with the given transport", address)
			return nil, errors.New("not allowed")
		},
	}
}

// An issuer at http://clerk.localhost is on this machine, and so the caller's token stays
// there, whatever HTTP_PROXY and DNS say.
func TestIssuerClientOnLoopbackStaysOnThisMachine(t *testing.T) {
	is := newIssuer(t)
	token := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/jwks":
			resp, err := http.Get(is.JWKSURL())
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			io.Copy(w, resp.Body)
		case r.Header.Get("Authorization") == "Bearer "+token:
			io.WriteString(w, "the user")
		default:
			http.Error(w, "no token", http.StatusUnauthorized)
		}
	}))
	t.Cleanup(server.Close)
	issuer := strings.Replace(server.URL, "127.0.0.1", "clerk.localhost", 1)
	p := gatehouse.OIDC(issuer)
	p.JWKSURL = issuer + "/jwks"
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: resource, Provider: p, Logger: quiet(), HTTPClient: &http.Client{Transport: offMachine(t)},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(guard.Close)
	token = is.token(resource, testissuer.Claim("iss", issuer))
	req := requestWith(t, guard, token)
	for range 2 { // two clients share one transport
		client, ok := gatehouse.IssuerClient(req)
		if !ok {
			t.Fatal("no client")
		}
		resp, err := client.Get(issuer + "/userinfo")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(body) != "the user" {
			t.Errorf("answer %q, want that to the caller's token", body)
		}
		if resp, err := client.Get(server.URL + "/userinfo"); err == nil {
			resp.Body.Close()
			t.Error("the token was sent to another origin than the issuer's")
		}
	}
}
