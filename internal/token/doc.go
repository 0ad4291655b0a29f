// Package token checks one JWT access token in JWS compact serialization against
// the rules of its issuer and the issuer's keys: RFC 9068 (the profile), RFC 7519
// and RFC 7515 (the format), RFC 8725 (what goes wrong in practice).
//
// [Rules.Verify] works from the outside in and stops at the first fault: size and
// shape, header, issuer, key and signature, then every other claim. Nothing is
// looked up and nothing is computed for a token that does not name the configured
// issuer. Each refusal is an [*Error] with one [Reason] of a closed set; any other
// error means that the keys were out of reach and says nothing about the token.
//
// [Peek] reads a token without checking it, to tell a person what they sent.
package token
