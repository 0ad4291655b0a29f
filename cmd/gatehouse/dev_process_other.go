//go:build !unix

package main

import "os/exec"

// useProcessGroup does nothing: the Windows console sends Ctrl-C to all its programs.
func useProcessGroup(*exec.Cmd) {}
