// Package token verifies JWT access tokens in JWS compact serialization, by the rules
// and the keys of their issuer: RFC 9068 (the profile), RFC 7519 and RFC 7515 (the
// format), RFC 8725 (known attacks).
//
// [Verifier.Verify] checks in this order and stops at the first fault: size and form,
// header, issuer, key and signature, then all other claims. A token that does not name
// the configured issuer causes no key look-up and no signature check. Each rejection is
// an [*Error] with one reason of package reason. A [*KeyError] means that the keys are
// not available, and says nothing about the token.
//
// [Peek] reads a token without verifying it, to explain it to a person.
package token
