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
	// keys has each key under each algorithm that it may be used with. The kid of a key
	// without one is "".
	keys map[name][]crypto.PublicKey

	// byAlgorithm has the keys under each algorithm, whatever their kid.
	byAlgorithm map[string][]crypto.PublicKey

	kids    map[string]bool // of all keys, those that are not used included
	count   int             // of the usable keys
	skipped []string        // one line for each key that is not used because of a fault
	others  []string        // one line for each key that is for another use
}

// find returns the keys that may have made the signature of a token with the name n.
//
// A token without a kid may be by any key for its algorithm; if there are more than
// [jose.MaxCandidates], that does not identify one, and the caller decides. If a token has a
// kid that the set has too, only the keys of that kid count. If the set has no such kid,
// the keys without a kid count: kid is a hint which key was used (RFC 7515 section 4.1.4),
// and the set does not say that it is another one.
func (s *keySet) find(n name) []crypto.PublicKey {
	if n.kid == "" {
		return s.byAlgorithm[n.alg]
	}
	if s.kids[n.kid] {
		return s.keys[n]
	}
	if unnamed := s.keys[name{alg: n.alg}]; len(unnamed) <= jose.MaxCandidates {
		return unnamed
	}
	return nil
}

// has reports whether the set has a key that n names.
func (s *keySet) has(n name) bool {
	if n.kid == "" {
		return len(s.byAlgorithm[n.alg]) > 0
	}
	return len(s.keys[n]) > 0
}

// add adds a usable key.
func (s *keySet) add(kid string, key publicKey) {
	isNew := false
	for _, alg := range key.algorithms {
		n := name{kid, alg}
		before := len(s.keys[n])
		s.keys[n] = appendKey(s.keys[n], key.PublicKey)
		isNew = isNew || len(s.keys[n]) > before
		s.byAlgorithm[alg] = appendKey(s.byAlgorithm[alg], key.PublicKey)
	}
	if isNew {
		s.count++
	}
}

// appendKey appends key to list, unless list has it.
func appendKey(list []crypto.PublicKey, key crypto.PublicKey) []crypto.PublicKey {
	if slices.ContainsFunc(list, func(k crypto.PublicKey) bool { return sameKey(k, key) }) {
		return list
	}
	return append(list, key)
}

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
	set := keySet{
		keys:        map[name][]crypto.PublicKey{},
		byAlgorithm: map[string][]crypto.PublicKey{},
		kids:        map[string]bool{},
	}
	for i, raw := range list {
		kid, key, err := parseKey(raw, algorithms)
		if kid != "" {
			set.kids[kid] = true
		}
		if err == nil {
			set.add(kid, key)
			continue
		}
		line := fmt.Sprintf("key %d: %v", i+1, err)
		if errors.As(err, new(otherUseError)) {
			set.others = append(set.others, line)
		} else {
			set.skipped = append(set.skipped, line)
		}
	}
	if set.count == 0 {
		return keySet{}, fmt.Errorf("key set has no usable key%s", firstOf(slices.Concat(set.skipped, set.others)))
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
