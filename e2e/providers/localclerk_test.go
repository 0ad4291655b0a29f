//go:build providers && unix

package providers

import (
	"testing"

	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
)

// TestLocalClerk is the control: the same steps at the local Clerk, whose pages the browser
// fills in.
func TestLocalClerk(t *testing.T) {
	clerk := gatehousetest.Clerk(t)
	e := newEndpoint(t)
	e.protect(t, clerk.Provider(), nil)
	got := whoamiOfGoSDK(t, e, newBrowser(t, nil))
	if got.Issuer != clerk.Provider().Issuer || got.Subject == "" || got.Client == "" {
		t.Errorf("got %+v, want a user of %s", got, clerk.Provider().Issuer)
	}
}
