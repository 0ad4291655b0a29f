package gatehouse_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/gatehouse-mcp/gatehouse"

// layers is the layer of each package of the library and of the program. A package
// may import packages of lower layers only: packages of one layer never import each
// other.
var layers = map[string]int{
	"internal/atomicfile": 0,
	"internal/challenge":  0,
	"internal/clientaddr": 0,
	"internal/env":        0,
	"internal/jose":       0,
	"internal/quote":      0,
	"internal/ratelimit":  0,
	"internal/reason":     0,
	"internal/record":     0,
	"internal/strictjson": 0,
	"internal/testcert":   0, // see testHelpers
	"internal/testissuer": 0,
	"internal/testlog":    0,
	"internal/teststream": 0,
	"internal/wellknown":  0,
	"localclerk":          0,
	"reply":               0,

	"internal/listen": 1,
	"internal/remote": 1,

	"internal/keys":  2,
	"internal/token": 2,

	".": 3,

	"provider/internal/endpoint": 2,

	"provider/internal/setting": 4,
	"provider/introspection":    4,

	"internal/operator": 4,

	"provider/auth0":      5,
	"provider/betterauth": 5,
	"provider/clerk":      5,
	"provider/cognito":    5,
	"provider/descope":    5,
	"provider/entra":      5,
	"provider/google":     5,
	"provider/keycloak":   5,
	"provider/logto":      5,
	"provider/okta":       5,
	"provider/scalekit":   5,
	"provider/stytch":     5,
	"provider/supabase":   5,
	"provider/workos":     5,
	"provider/zitadel":    5,

	"diagnose": 6,

	"serve": 7,

	"gatehousetest": 8,

	"internal/teststore": 8, // see testHelpers

	// The program. Nothing outside cmd/gatehouse imports these.
	"cmd/gatehouse/internal/mcpmessage":      7,
	"cmd/gatehouse/internal/yamlfile":        7,
	"cmd/gatehouse/internal/certfile":        8,
	"cmd/gatehouse/internal/clerkfile":       8,
	"cmd/gatehouse/internal/failure":         8,
	"cmd/gatehouse/internal/forwardauth":     8,
	"cmd/gatehouse/internal/forwarded":       8,
	"cmd/gatehouse/internal/revocationstore": 8,
	"cmd/gatehouse/internal/revocationport":  9,
	"cmd/gatehouse/internal/window":          8,
	"cmd/gatehouse/internal/gateway":         9,
	"cmd/gatehouse/internal/providername":    9,
	"cmd/gatehouse/internal/savedsignin":     9,
	"cmd/gatehouse/internal/trace":           9,
	"cmd/gatehouse/internal/gatewayfile":     10,
	"cmd/gatehouse/internal/signin":          10,
	"cmd/gatehouse":                          11,

	"conformance":        10, // tests only
	"conformance/bypass": 10, // tests only

	"e2e/gateway/backends/gosdk": 10,

	"examples/auth0":         10,
	"examples/betterauth":    10,
	"examples/cognito":       10,
	"examples/descope":       10,
	"examples/entra":         10,
	"examples/google":        10,
	"examples/keycloak":      10,
	"examples/logto":         10,
	"examples/okta":          10,
	"examples/recipes":       10,
	"examples/migrating":     10,
	"examples/scalekit":      10,
	"examples/stytch":        10,
	"examples/supabase":      10,
	"examples/workos":        10,
	"examples/zitadel":       10,
	"examples/clerk":         10,
	"examples/quickstart":    10,
	"examples/authorization": 10,
	"examples/organization":  10,
	"examples/tools":         10,
	"examples/middleware":    10,
	"examples/proxy":         10,
	"deploy/compose/backend": 10,
	"examples/replicas":      10,
}

// independent lists packages that import nothing of this repository, whatever their
// layer allows. localclerk is an independent implementation of an issuer: if it shared
// code with the guard, it would share the guard's mistakes.
var independent = map[string]bool{"localclerk": true}

// testHelpers lists packages that only tests import. They may import testing, and each other.
var testHelpers = map[string]bool{
	"internal/testcert":   true,
	"internal/testissuer": true,
	"internal/testlog":    true,
	"internal/teststore":  true,
	"internal/teststream": true,
}

func TestImportsPointDown(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Doc,GoFiles", "work").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packageName := func(importPath string) (string, bool) {
		if importPath == module {
			return ".", true
		}
		return strings.CutPrefix(importPath, module+"/")
	}
	seen := map[string]bool{}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p struct {
			ImportPath, Doc  string
			Imports, GoFiles []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) == 0 {
			continue // only tests, which no package can import
		}
		name, _ := packageName(p.ImportPath)
		layer, ok := layers[name]
		if !ok {
			t.Errorf("%s is not in the table of layers; add it to layers_test.go", name)
			continue
		}
		seen[name] = true
		if p.Doc == "" {
			t.Errorf("%s has no package documentation", name)
		}
		for _, imp := range p.Imports {
			if imp == "testing" && name != "gatehousetest" && !testHelpers[name] {
				t.Errorf("%s imports testing outside its tests", name)
			}
			target, ours := packageName(imp)
			if !ours {
				continue
			}
			if testHelpers[target] && !testHelpers[name] {
				t.Errorf("%s imports %s outside its tests; it is a helper for tests only", name, target)
			}
			if independent[name] {
				t.Errorf("%s imports %s; it must import nothing of this repository", name, target)
			}
			if layers[target] >= layer {
				t.Errorf("%s (layer %d) imports %s (layer %d); imports must point down", name, layer, target, layers[target])
			}
		}
	}
	for name := range layers {
		if !seen[name] {
			t.Errorf("%s is in the table of layers but not in the module", name)
		}
	}
}
