package gatehouse_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

// TestLoopbackIssuers has issuers on plain http: New accepts only those from which the
// keys can then be fetched.
func TestLoopbackIssuers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		host       string
		wantReason string // of the *ConfigError of New; empty if the guard becomes ready
	}{
		{"127.0.0.1", ""},
		{"localhost", ""},
		{"clerk.localhost", ""},
		{"Clerk.LOCALHOST", ""},

		{"localhost.", "which is neither a DNS name nor an address"},
		{"localhost.example.com", "is not https"},
		{"127.1", "which is neither a DNS name nor an address"},
		{"0.0.0.0", "which means all addresses"},
		{"[::ffff:127.0.0.1]", "an IPv4 address in IPv6 form"},
	}
	for _, tt := range tests {
		t.Run(tt.host, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(nil)
			is := testissuer.New("http://" + strings.Replace(server.Listener.Addr().String(), "127.0.0.1", tt.host, 1))
			server.Config.Handler = is
			server.Start()
			t.Cleanup(server.Close)
			guard, err := gatehouse.New(gatehouse.Config{
				Resource: "http://localhost:3000/mcp",
				Provider: gatehouse.OIDC(is.URL()),
			})
			if tt.wantReason != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantReason) {
					t.Errorf("New with issuer %q: %v, want %q", is.URL(), err, tt.wantReason)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer guard.Close()
			if err := guard.Ready(t.Context()); err != nil {
				t.Errorf("Ready with issuer %q: %v, want nil", is.URL(), err)
			}
		})
	}
}
