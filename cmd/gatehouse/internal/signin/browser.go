package signin

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

// browserStartTime is how long a browser command that fails may take. One that runs longer
// has opened a browser.
const browserStartTime = 500 * time.Millisecond

// OpenBrowser shows url in the user's browser: the first command of $BROWSER that
// starts, or the system's default browser. The error says why none started. It opens
// only https, and http on loopback: the system's default program for other schemes is
// not a browser.
func OpenBrowser(getenv func(string) string, url string) error {
	if _, err := checkURL(url); err != nil {
		problem, _ := parts(err)
		return fmt.Errorf("not opening %s: it %s", quote.String(url), problem)
	}
	err := errors.New("no display and no $BROWSER")
	if getenv("SSH_CONNECTION") != "" {
		err = errors.New("this is an SSH session without a display, and there is no $BROWSER")
	}
	for _, argv := range browserCommands(runtime.GOOS, getenv, url) {
		cmd := exec.Command(argv[0], argv[1:]...)
		if isBatchFile(runtime.GOOS, cmd.Path) {
			err = fmt.Errorf("%q is a batch file, whose shell would read the & of the link as the end of a command", argv[0])
			continue
		}
		if err = start(cmd); err == nil {
			return nil
		}
	}
	return err
}

// start starts a command. It returns an error if the command fails within
// browserStartTime, as xdg-open does if there is no browser.
func start(cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("%s: %w", cmd.Path, err)
		}
	case <-time.After(browserStartTime):
	}
	return nil
}

// browserCommands returns the commands that may open url, the best first. $BROWSER is a
// list of commands, with or without %s for the URL. A system without a display gets no
// default: a text browser would take over the terminal. In an SSH session, the default
// browser of macOS and Windows would open where the user does not see it.
func browserCommands(goos string, getenv func(string) string, url string) [][]string {
	if chosen := getenv("BROWSER"); chosen != "" {
		return chosenBrowsers(goos, chosen, url)
	}
	ssh := getenv("SSH_CONNECTION") != ""
	switch {
	case ssh && (goos == "darwin" || goos == "windows"):
		return nil
	case goos == "darwin":
		return [][]string{{"open", url}}
	case goos == "windows":
		return [][]string{{"rundll32", "url.dll,FileProtocolHandler", url}}
	}
	if getenv("DISPLAY") == "" && getenv("WAYLAND_DISPLAY") == "" {
		return nil
	}
	return [][]string{{"xdg-open", url}, {"x-www-browser", url}}
}

// isBatchFile reports whether path is a script of cmd.exe, which Windows starts with a
// shell although the caller asks for none.
func isBatchFile(goos, path string) bool {
	extension := strings.ToLower(filepath.Ext(path))
	return goos == "windows" && (extension == ".bat" || extension == ".cmd")
}

func chosenBrowsers(goos, list, url string) [][]string {
	separator := ":"
	if goos == "windows" {
		separator = ";"
	}
	var commands [][]string
	for command := range strings.SplitSeq(list, separator) {
		argv := strings.Fields(command)
		if len(argv) == 0 {
			continue
		}
		if !strings.Contains(command, "%s") {
			argv = append(argv, url)
		}
		for i := range argv {
			argv[i] = strings.ReplaceAll(argv[i], "%s", url)
		}
		commands = append(commands, argv)
	}
	return commands
}
