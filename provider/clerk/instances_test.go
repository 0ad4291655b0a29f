package clerk_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestTwoInstances checks that each of two instances on one server is asked about the
// memberships of its own users with its own key, although both have a user with the same ID in
// an organization with the same ID.
func TestTwoInstances(t *testing.T) {
	first, second := start(t), start(t)
	config := func(in *instance, key string, rejectOpaque bool) clerk.Config {
		return clerk.Config{
			FrontendAPIURL: in.Issuer(), SecretKey: clerk.Secret(key), BackendAPIURL: in.Issuer(), RejectOpaque: rejectOpaque,
		}
	}
	guardOf := func(providers ...gatehouse.Provider) (*gatehouse.Guard, error) {
		return gatehouse.New(gatehouse.Config{Resource: resource, Providers: providers, Logger: slog.New(slog.DiscardHandler)})
	}
	for _, test := range []struct {
		name   string
		second clerk.Config
		want   error // of the membership of a user of second
	}{
		{"both keys", config(second, second.SecretKey(), true), nil},
		{"key of the first at the second", config(second, "sk_test_of_another_instance", true), clerk.ErrUnavailable},
		{"no key at the second", config(second, "", true), clerk.ErrNoSecretKey},
	} {
		guard, err := guardOf(clerk.New(config(first, first.SecretKey(), false)), clerk.New(test.second))
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		defer guard.Close()
		membership := func(in *instance) error {
			info, err := guard.Verify(t.Context(), memberToken(t, in, "bombe-works"), nil)
			if err != nil {
				t.Fatalf("%s: %v", test.name, err)
			}
			_, err = clerk.Membership(t.Context(), &mcp.CallToolRequest{Extra: &mcp.RequestExtra{TokenInfo: info}})
			return err
		}
		if err := membership(first); err != nil {
			t.Errorf("%s: a user of the first: %v", test.name, err)
		}
		if err := membership(second); !errors.Is(err, test.want) {
			t.Errorf("%s: a user of the second: got %v, want %v", test.name, err, test.want)
		}
	}
	_, err := guardOf(clerk.New(config(first, first.SecretKey(), false)), clerk.New(config(second, second.SecretKey(), false)))
	if err == nil || !strings.Contains(err.Error(), "RejectOpaque of clerk.Config") {
		t.Errorf("both accept opaque tokens: got %v, want the fix", err)
	}
}
