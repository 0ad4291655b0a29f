// Package difftest compares internal/token with independent implementations. It has
// tests only, in a module of its own, so that the library does not depend on them.
//
// golang-jwt, go-jose and jwx check the corpus of hostile tokens of internal/token and
// mutations of valid ones: what internal/token accepts, they must accept and read as the
// same claims. Project Wycheproof's vectors test the signature check.
//
//	cd internal/difftest && GOWORK=off go test ./...
package difftest
