//go:build unix

package remote

import (
	"io/fs"
	"os"
	"syscall"
)

// nonblock keeps opening a named pipe from waiting for its other end.
const nonblock = syscall.O_NONBLOCK

// ownerOf returns the user ID of a file's owner.
func ownerOf(info fs.FileInfo) (uid int, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), true
}

// processUser returns the user ID with which the process opens files.
func processUser() int { return os.Geteuid() }
