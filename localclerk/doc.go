// Package localclerk is a Clerk OAuth server that runs on the laptop: users,
// organizations, consent, dynamic client registration and tokens with the
// documents, shapes, settings and errors of Clerk's Frontend API, and no
// account anywhere.
//
// It is for development and tests. Everybody who can reach it can sign in as
// anybody, so it answers loopback only: a listener, a connection or a Host
// header that is not loopback is refused.
//
// Where Clerk's behaviour is not published, the RFCs decide, read strictly;
// the doc comments say where that is so.
package localclerk
