// Package trace follows the HTTP exchanges of a call and of its sign-in.
//
// [Transport] reports each exchange as one plain line for "gatehouse call -v", and
// keeps what explains a failure: the libraries above it keep neither the status nor
// the body of a response. It never shows tokens, authorization codes, code verifiers
// or client secrets: it prints named members only.
package trace
