// Package keys keeps one issuer's signing keys: fetched once however many
// callers wait, refreshed before they age, served on while the issuer is away,
// and never fetched more often than an interval allows, whatever tokens arrive.
//
// It reads RFC 7517 key sets with the RSA, EC and Ed25519 keys of RFC 7518 and
// RFC 8037. It knows nothing of tokens and HTTP servers.
package keys
