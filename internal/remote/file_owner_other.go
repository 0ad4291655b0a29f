//go:build !unix

package remote

import "io/fs"

const nonblock = 0

// ownerOf returns false: on this system, a file's owner is not a number. Where a file can
// be replaced by others depends on the access control of its folder.
func ownerOf(fs.FileInfo) (uid int, ok bool) { return 0, false }

func processUser() int { return -1 }
