//go:build unix

package main

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// useProcessGroup puts cmd in a process group of its own, and interrupts the whole group
// when its context ends: "go run" does not pass signals to the program that it runs.
func useProcessGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	}
}
