//go:build proxies && unix

package proxies

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// writeConfig writes a configuration file in which the tool purge needs a scope.
func writeConfig(t testing.TB, s *setup) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	text := fmt.Sprintf(`
provider: {name: oidc, issuer: %q}
endpoints:
  - url: %s
    requirements:
      - {tool: purge, scopes: [%q]}
`, s.issuer.URL(), resource, s.scope)
	if s.limits {
		text += "limits: {failed_sign_ins_per_minute: 1, failed_sign_ins_burst: 3, client_address_header: " + s.addressHeader + "}\n"
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
