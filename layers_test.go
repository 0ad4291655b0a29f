package gatehouse_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"strings"
	"testing"
)

const module = "github.com/gatehouse-mcp/gatehouse"

// floors says on which floor each package lives. An import must point to a
// lower floor: packages on one floor never import each other.
var floors = map[string]int{
	"internal/challenge": 0,
	"internal/env":       0,
	"internal/listen":    0,
	"internal/wellknown": 0,
	"internal/remote":    0,
	"internal/cache":     0,
	"internal/token":     0,
	"localclerk":         0,
	"reply":              0,

	"internal/keys":      1,
	"internal/clerkfile": 1,
	"internal/window":    1,

	".": 2,

	"provider/clerk": 3,

	"serve": 4,

	"cmd/gatehouse": 5,
	"gatehousetest": 5,

	"conformance": 9, // tests only

	"examples/clerk":        9,
	"examples/organization": 9,
	"examples/middleware":   9,
}

// alone lists packages that import nothing of this module, whatever their floor
// allows. localclerk is the second witness: an issuer that shares code with the
// gate would share its mistakes.
var alone = map[string]bool{"localclerk": true}

func TestImportsPointDown(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Doc,GoFiles", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	room := func(importPath string) (string, bool) {
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
			continue // tests alone: nobody can import them
		}
		name, _ := room(p.ImportPath)
		floor, ok := floors[name]
		if !ok {
			t.Errorf("%s is not in the table of floors; add it to layers_test.go", name)
			continue
		}
		seen[name] = true
		if p.Doc == "" {
			t.Errorf("%s has no package documentation", name)
		}
		for _, imp := range p.Imports {
			if imp == "testing" && path.Base(name) != "gatehousetest" {
				t.Errorf("%s imports testing outside its tests", name)
			}
			target, ours := room(imp)
			if !ours {
				continue
			}
			if alone[name] {
				t.Errorf("%s imports %s; it must import nothing of this module", name, target)
			}
			if floors[target] >= floor {
				t.Errorf("%s (floor %d) imports %s (floor %d); imports must point down", name, floor, target, floors[target])
			}
		}
	}
	for name := range floors {
		if !seen[name] {
			t.Errorf("%s is in the table of floors but not in the module", name)
		}
	}
}
