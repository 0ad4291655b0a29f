// Package keys holds one issuer's signing keys. However many callers wait, it fetches
// the keys once. It refreshes them in the background, keeps using them while the issuer
// is unavailable, and never fetches more often than an interval allows, whatever tokens
// arrive.
//
// It reads key sets of RFC 7517 with the RSA, EC and Ed25519 keys of RFC 7518 and
// RFC 8037. It does not depend on tokens or HTTP servers.
package keys
