package keys

import (
	"crypto"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

const maxKeys = 100 // of one set

// keySet is the usable keys of one JSON Web Key Set (RFC 7517 section 5). Different keys
// may have the same name.
type keySet struct {
	keys    map[name][]crypto.PublicKey
	skipped []string // one line for each key that is not used
	faulty  bool     // whether one of them is not merely a key for encryption
}

// errForEncryption is why a key is not used that an issuer publishes for encryption, as many
// do (RFC 7517 section 4.2).
var errForEncryption = errors.New(`use is "enc", want "sig"`)

// parseSet reads a key set. A key that cannot be used is skipped and does not affect the
// others (RFC 7517 section 5); a set without a usable key is an error.
//
// The JSON is read by the rules of package strictjson. If a member name appears twice,
// anywhere in the document, the whole document is rejected, as RFC 7517 section 4 allows:
// two readers could see two different keys.
func parseSet(body []byte, algorithms []string) (keySet, error) {
	var document struct {
		Keys jsontext.Value `json:"keys"`
	}
	if err := strictjson.Unmarshal(body, &document); err != nil {
		return keySet{}, fmt.Errorf("key set is not a JSON object: %w", err)
	}
	var list []jsontext.Value
	if document.Keys.Kind() != '[' {
		return keySet{}, errors.New(`key set has no array "keys"`)
	}
	if err := strictjson.Unmarshal(document.Keys, &list); err != nil {
		return keySet{}, err
	}
	if len(list) > maxKeys {
		return keySet{}, fmt.Errorf("key set has %d keys, want at most %d", len(list), maxKeys)
	}
	set := keySet{keys: map[name][]crypto.PublicKey{}}
	for i, raw := range list {
		n, key, err := parseKey(raw, algorithms)
		if err != nil {
			set.faulty = set.faulty || !errors.Is(err, errForEncryption)
			set.skipped = append(set.skipped, fmt.Sprintf("key %d: %v", i+1, err))
			continue
		}
		if !slices.ContainsFunc(set.keys[n], func(k crypto.PublicKey) bool { return sameKey(k, key) }) {
			set.keys[n] = append(set.keys[n], key)
		}
	}
	if len(set.keys) == 0 {
		return keySet{}, fmt.Errorf("key set has no usable key%s", firstOf(set.skipped))
	}
	return set, nil
}

func firstOf(skipped []string) string {
	if len(skipped) == 0 {
		return ""
	}
	return fmt.Sprintf(" of %d; %s", len(skipped), skipped[0])
}

// wantedAlgorithms returns the canonical names of the algorithms to keep keys for, in
// the given order: all of package jose if algorithms is empty.
func wantedAlgorithms(algorithms []string) []string {
	if len(algorithms) == 0 {
		return jose.CanonicalNames()
	}
	var wanted []string
	for _, name := range algorithms {
		if alg, ok := jose.Lookup(name); ok && !slices.Contains(wanted, alg.Name) {
			wanted = append(wanted, alg.Name)
		}
	}
	return wanted
}
