// Package check has the tests of the files in the folder deploy. They run the files, or check them
// with the parsers of the programs that read them:
//
//	make deploy
//
// The tests install what they need: helm, goreleaser and syft with "go install", into the folder
// gatehouse-e2e of the user's cache folder, where later runs find them; buildah and busybox with
// apt-get if the tests run as root. go test -update rewrites the golden files.
package check
