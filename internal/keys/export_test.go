package keys

import "crypto"

const (
	MaxSearched = maxSearched
	MaxKeys     = maxKeys
	MaxRetired  = maxRetired
)

// LowOrderPoints are the Ed25519 keys that are rejected.
var LowOrderPoints = lowOrderPoints

// Key is one usable key of a set.
type Key struct {
	KeyID, Algorithm string
	Public           crypto.PublicKey
}

// Parse reads a key set without a [Set].
func Parse(body []byte, algorithms ...string) (usable []Key, skipped []string, err error) {
	set, err := parseSet(body, wantedAlgorithms(algorithms))
	for n, list := range set.keys {
		for _, key := range list {
			usable = append(usable, Key{n.kid, n.alg, key})
		}
	}
	return usable, set.skipped, err
}

// Remembered returns how many names s remembers in addition to those of current keys.
func (s *Set) Remembered() (searched, retired int) {
	s.searches.mu.Lock()
	defer s.searches.mu.Unlock()
	return len(s.searches.recent) + len(s.searches.older), len(s.current.Load().retired)
}
