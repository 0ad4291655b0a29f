package keys

import (
	"slices"
)

const (
	es256 = "ES256"
	es384 = "ES384"
	es512 = "ES512"
	eddsa = "EdDSA"
)

var rsaAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}

// Algorithms returns the signature algorithms this package knows keys for: RFC
// 7518 section 3.1 without HMAC, and EdDSA (RFC 8037), which stands for its
// other name Ed25519 (RFC 9864) too.
func Algorithms() []string {
	return append(slices.Clone(rsaAlgorithms), es256, es384, es512, eddsa)
}

// canonicalAlgorithm gives the two names of one algorithm one name.
func canonicalAlgorithm(alg string) string {
	if alg == "Ed25519" {
		return eddsa
	}
	return alg
}

// canonical returns the algorithms to keep keys for, in the given order.
func canonical(algorithms []string) []string {
	if len(algorithms) == 0 {
		return Algorithms()
	}
	known := Algorithms()
	var list []string
	for _, alg := range algorithms {
		alg = canonicalAlgorithm(alg)
		if slices.Contains(known, alg) && !slices.Contains(list, alg) {
			list = append(list, alg)
		}
	}
	return list
}
