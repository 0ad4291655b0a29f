// Package localclerk is a local Clerk OAuth server for development and tests.
// It runs on this machine, needs no account and works offline: users,
// organizations, sign-in and consent pages, dynamic client registration and
// tokens, with the documents, settings and errors of Clerk's Frontend API and
// the parts of Clerk's Backend API that resource servers use.
//
// [New] returns a [Server], which is an http.Handler. [Server.Serve] runs it on
// a listener. Settings, users, signing key and faults can be changed while it
// serves.
//
// Anyone who can reach the server can sign in as any user. It therefore
// accepts loopback only: [New] rejects an issuer that is not on loopback,
// [Server.Serve] rejects a listener that is not, and the handler rejects a
// connection or a Host header that is not.
//
// Where Clerk does not publish its behavior, the server follows the RFCs
// strictly; the comments name the section. Clerk publishes its API at
// https://github.com/clerk/openapi-specs, and its choices in OAuth at
// https://clerk.com/docs/guides/configure/auth-strategies/oauth/how-clerk-implements-oauth.
//
// # An independent implementation
//
// The package imports no other package of this repository. It keeps its own
// loopback rules, JSON handling, text truncation and graceful shutdown, on
// purpose: the guard is tested against this server, and if both used the same
// helper, a mistake in the helper would be made on both sides and no test
// would notice it. Do not replace these copies with shared code.
package localclerk
