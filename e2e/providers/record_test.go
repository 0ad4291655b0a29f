//go:build providers && unix

package providers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// recording is the content of a file with recorded documents and tokens of a server.
type recording struct {
	Server    string                    `json:"server"` // name and version
	Documents map[string]map[string]any `json:"documents"`
	Tokens    map[string]jwt            `json:"tokens"`
}

// text returns a claim of a recorded token.
func (r recording) text(token, claim string) string {
	text, _ := r.Tokens[token].Claims[claim].(string)
	return text
}

// compare compares what a server sent with the recording in a file of the repository, or
// rewrites the file with -update. replacements are pairs of a text of this run and the text
// that the file has in its place: the address of the server and the URL of the MCP endpoint.
// Compared are the names of the members and the types of their values, except for iss, aud
// and typ, whose values matter.
func (r recording) compare(t *testing.T, file string, replacements ...string) {
	t.Helper()
	file = filepath.Join(repository, file)
	for _, document := range r.Documents {
		shortenKeys(document)
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	data = []byte(strings.NewReplacer(replacements...).Replace(string(data)) + "\n")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	recorded, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%v; record it with -update", err)
	} else if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(shapeOf(t, recorded), shapeOf(t, data)); diff != "" {
		t.Errorf("the server's documents or tokens have changed; record them with -update (-recorded +now):\n%s", diff)
	}
}

// shortenKeys shortens the parameters of the keys in a JWK Set, which no one needs.
func shortenKeys(document map[string]any) {
	const kept = 8 // characters
	keys, _ := document["keys"].([]any)
	for _, key := range keys {
		key, _ := key.(map[string]any)
		for _, parameter := range []string{"n", "x", "y", "x5t", "x5t#S256"} {
			if text, ok := key[parameter].(string); ok {
				key[parameter] = text[:min(len(text), kept)] + "…"
			}
		}
		if _, ok := key["x5c"]; ok {
			key["x5c"] = []string{"…"}
		}
	}
}

// shapeOf returns one line for each member of a JSON document: its path, and its type or value.
func shapeOf(t *testing.T, document []byte) []string {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(document))
	var v any
	if err := decoder.Decode(&v); err != nil {
		t.Fatal(err)
	}
	lines := map[string]bool{}
	addShape(lines, "", v)
	return slices.Sorted(maps.Keys(lines))
}

// comparedValues are the members whose values are compared.
var comparedValues = []string{"iss", "aud", "typ", "issuer"}

func addShape(lines map[string]bool, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if slices.Contains(comparedValues, name) {
				lines[fmt.Sprintf("%s.%s = %v", path, name, member)] = true
				continue
			}
			addShape(lines, path+"."+name, member)
		}
	case []any:
		lines[path+" array"] = true
		for _, element := range v {
			if object, ok := element.(map[string]any); ok {
				addShape(lines, path+"[]", object)
			}
		}
	default:
		lines[fmt.Sprintf("%s %T", path, v)] = true
	}
}
