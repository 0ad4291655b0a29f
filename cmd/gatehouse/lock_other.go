//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package main

// tryLock does nothing on systems without file locks in the standard library:
// there, of two programs that refresh one sign-in at once, one may have to sign
// in again.
func tryLock(string) (unlock func(), busy bool, err error) {
	return func() {}, false, nil
}
