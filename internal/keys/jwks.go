package keys

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

const maxKeys = 100 // of one set

// keySet is the usable keys of one RFC 7517 section 5 document. Different keys
// may share a kid.
type keySet struct {
	keys    map[name][]crypto.PublicKey
	skipped []string // one line for each key that is not used
}

// parseSet reads a key set. A key that cannot be used, for whatever reason, is
// skipped without harm to the others (RFC 7517 section 5); a set without a
// single usable key is an error.
func parseSet(body []byte, algorithms []string) (keySet, error) {
	// A map, not a struct: its member names are exact (encoding/json would take
	// "KEYS" for "keys"), and of duplicates the last counts (RFC 7517 section 4).
	var document map[string]json.RawMessage
	if err := json.Unmarshal(body, &document); err != nil {
		return keySet{}, fmt.Errorf("key set is not a JSON object: %w", err)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(document["keys"], &list); err != nil {
		return keySet{}, errors.New(`key set has no array "keys"`)
	}
	if len(list) > maxKeys {
		return keySet{}, fmt.Errorf("key set holds %d keys, want at most %d", len(list), maxKeys)
	}
	set := keySet{keys: map[name][]crypto.PublicKey{}}
	for i, raw := range list {
		n, key, err := parseKey(raw, algorithms)
		if err != nil {
			set.skipped = append(set.skipped, fmt.Sprintf("key %d: %v", i+1, err))
			continue
		}
		if !slices.ContainsFunc(set.keys[n], func(k crypto.PublicKey) bool { return sameKey(k, key) }) {
			set.keys[n] = append(set.keys[n], key)
		}
	}
	if len(set.keys) == 0 {
		return keySet{}, fmt.Errorf("key set holds no usable key%s", firstOf(set.skipped))
	}
	return set, nil
}

func firstOf(skipped []string) string {
	if len(skipped) == 0 {
		return ""
	}
	return fmt.Sprintf(" of %d; %s", len(skipped), skipped[0])
}
