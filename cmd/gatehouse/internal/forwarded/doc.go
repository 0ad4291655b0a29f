// Package forwarded names the caller to a backend: in identity headers such as
// X-Forwarded-User, and in an assertion that the backend can verify, a JWT that the gateway
// signs. The gateway sets both on the requests that it forwards, and forward auth sets them on
// its answers, from which a proxy copies them.
//
// Headers that a client sends with one of these names are removed first, in every spelling
// that a backend may read as one of them; see [Headers.Strip].
package forwarded
