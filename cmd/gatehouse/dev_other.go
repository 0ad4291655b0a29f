//go:build !unix

package main

import "os/exec"

// inOwnGroup leaves cmd to the console, which sends Ctrl-C to all its programs.
func inOwnGroup(cmd *exec.Cmd) {}
