//go:build unix

package main

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// inOwnGroup makes Ctrl-C reach everything that cmd starts: "go run" passes no
// signal on to the program that it runs.
func inOwnGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	}
}
