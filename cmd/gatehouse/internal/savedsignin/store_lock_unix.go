//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package savedsignin

import (
	"errors"
	"os"
	"syscall"
)

// tryLock locks the file at path, or reports that another program has locked it. The
// system releases the lock when this program ends, in whatever way it ends.
func tryLock(path string) (unlock func(), busy bool, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, false, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		file.Close()
		busy = errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR)
		if busy {
			err = nil
		}
		return nil, busy, err
	}
	return func() { file.Close() }, false, nil
}
