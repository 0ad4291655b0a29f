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
	"internal/env":        0,
	"internal/jose":       0,
	"internal/quote":      0,
	"internal/reason":     0,
	"internal/record":     0,
	"internal/strictjson": 0,
	"internal/testissuer": 0, // see testHelpers
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

	// The program. Nothing outside cmd/gatehouse imports these.
	"cmd/gatehouse/internal/clerkfile":   9,
	"cmd/gatehouse/internal/failure":     9,
	"cmd/gatehouse/internal/window":      9,
	"cmd/gatehouse/internal/savedsignin": 10,
	"cmd/gatehouse/internal/trace":       10,
	"cmd/gatehouse/internal/signin":      11,
	"cmd/gatehouse":                      12,

	"conformance":        10, // tests only
	"conformance/bypass": 11, // tests only

	"examples/auth0":         11,
	"examples/betterauth":    11,
	"examples/cognito":       11,
	"examples/descope":       11,
	"examples/entra":         11,
	"examples/google":        11,
	"examples/keycloak":      11,
	"examples/logto":         11,
	"examples/okta":          11,
	"examples/recipes":       11,
	"examples/migrating":     11,
	"examples/scalekit":      11,
	"examples/stytch":        11,
	"examples/supabase":      11,
	"examples/workos":        11,
	"examples/zitadel":       11,
	"examples/clerk":         11,
	"examples/quickstart":    11,
	"examples/authorization": 11,
	"examples/organization":  11,
	"examples/middleware":    11,
}

// independent lists packages that import nothing of this repository, whatever their
// layer allows. localclerk is an independent implementation of an issuer: if it shared
// code with the guard, it would share the guard's mistakes.
var independent = map[string]bool{"localclerk": true}

// testHelpers lists packages that only tests import. They may import testing.
var testHelpers = map[string]bool{
	"internal/testissuer": true,
	"internal/testlog":    true,
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
			if testHelpers[target] {
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
