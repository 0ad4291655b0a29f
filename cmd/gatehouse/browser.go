package main

import (
	"errors"
	"os/exec"
	"runtime"
	"strings"
)

// openBrowser shows url in the person's browser: the first of $BROWSER that can
// be started, or the system's own. The error says why none could be.
func openBrowser(getenv func(string) string, url string) error {
	tried := errors.New("no display and no $BROWSER")
	for _, argv := range browsers(runtime.GOOS, getenv, url) {
		cmd := exec.Command(argv[0], argv[1:]...)
		if tried = cmd.Start(); tried == nil {
			go cmd.Wait()
			return nil
		}
	}
	return tried
}

// browsers returns the commands that may open url, the best first. $BROWSER is a
// list of commands, with %s for the URL or without. A system without a display
// opens none: a text browser would take the terminal.
func browsers(goos string, getenv func(string) string, url string) [][]string {
	if chosen := getenv("BROWSER"); chosen != "" {
		return chosenBrowsers(goos, chosen, url)
	}
	switch goos {
	case "darwin":
		return [][]string{{"open", url}}
	case "windows":
		return [][]string{{"rundll32", "url.dll,FileProtocolHandler", url}}
	}
	if getenv("DISPLAY") == "" && getenv("WAYLAND_DISPLAY") == "" {
		return nil
	}
	return [][]string{{"xdg-open", url}, {"x-www-browser", url}}
}

func chosenBrowsers(goos, list, url string) [][]string {
	separator := ":"
	if goos == "windows" {
		separator = ";"
	}
	var commands [][]string
	for one := range strings.SplitSeq(list, separator) {
		argv := strings.Fields(one)
		if len(argv) == 0 {
			continue
		}
		if !strings.Contains(one, "%s") {
			argv = append(argv, url)
		}
		for i := range argv {
			argv[i] = strings.ReplaceAll(argv[i], "%s", url)
		}
		commands = append(commands, argv)
	}
	return commands
}
