package keys

import "crypto"

const (
	MaxAsked   = maxAsked
	MaxKeyID   = maxKeyID
	MaxKeys    = maxKeys
	MaxRetired = maxRetired
)

// LowOrderPoints are the Ed25519 keys that are refused.
var LowOrderPoints = lowOrderPoints

// Key is one usable key of a set.
type Key struct {
	KeyID, Algorithm string
	Public           crypto.PublicKey
}

// Parse reads a key set without a [Set].
func Parse(body []byte, algorithms ...string) (usable []Key, skipped []string, err error) {
	set, err := parseSet(body, canonical(algorithms))
	for n, list := range set.keys {
		for _, key := range list {
			usable = append(usable, Key{n.kid, n.alg, key})
		}
	}
	return usable, set.skipped, err
}

// Remembered returns how many names s keeps in mind besides those in force.
func (s *Set) Remembered() (asked, retired int) {
	s.asked.mu.Lock()
	defer s.asked.mu.Unlock()
	return len(s.asked.young) + len(s.asked.old), len(s.current.Load().retired)
}
