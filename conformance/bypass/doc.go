// Package bypass tries to use tools, prompts and resources without what they require. It has
// tests only: each attempt is sent to servers of the go-sdk behind a guard, and has a control
// that succeeds.
//
//	go test ./conformance/bypass           # run all attempts
//	go test ./conformance/bypass -update   # also write the table in docs/authorization.md
package bypass
