// Package difftest holds other verifiers against ours. It has tests only, in a
// module of its own: what they need, the gate does not inherit.
//
// golang-jwt, go-jose and jwx judge the corpus of hostile tokens and mutations of
// good ones next to internal/token: what we accept, they must accept and read the
// same. Project Wycheproof's vectors judge the signature check.
//
//	cd internal/difftest && go test ./...
package difftest
