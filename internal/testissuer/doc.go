// Package testissuer is a fake authorization server for tests. Only tests import it.
//
// An [Issuer] publishes metadata and keys and signs whatever token a test asks for. It is
// an [http.Handler]: [Start] serves it on a free port. A [Transport] answers requests
// without a socket, which a test with the clock of testing/synctest needs, and can delay
// or fail them. The two combine:
//
//	is := testissuer.New("https://issuer.example")
//	transport := testissuer.NewTransport()
//	transport.Serve(is)                                 // as the issuer answers
//	transport.Fail(errors.New("connection refused"))    // until the next Serve
package testissuer
