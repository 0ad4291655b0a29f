//go:build proxies && unix

package proxies

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// writeConfig writes a configuration file in which the tool purge needs a scope.
func writeConfig(t testing.TB, issuer, scope string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	text := fmt.Sprintf(`
provider: {name: oidc, issuer: %q}
endpoints:
  - url: %s
    requirements:
      - {tool: purge, scopes: [%q]}
`, issuer, resource, scope)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
