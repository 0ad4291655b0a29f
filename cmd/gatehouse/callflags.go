package main

import (
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"
)

const (
	defaultTimeout  = 5 * time.Minute
	maxSecretFile   = 4 << 10 // bytes
	maxURL          = 2048    // bytes
	listWord        = "list"
	callHelpPointer = `"gatehouse help call" explains the command`
)

// callFlags is the command line of "gatehouse call".
type callFlags struct {
	url   string
	tool  string
	words []string // the arguments, as typed

	json, verbose, noBrowser, logout bool
	user, org                        string
	clientID, clientSecretFile       string
	scope                            string
	callbackPort                     int
	timeout                          time.Duration
}

func readCallFlags(args []string) (callFlags, error) {
	var f callFlags
	flags := newFlagSet("call")
	f.define(flags)
	words, err := parse(flags, args)
	if err != nil {
		return f, err
	}
	if len(words) > 0 {
		f.url, words = words[0], words[1:]
	}
	if len(words) > 0 {
		f.tool, f.words = words[0], words[1:]
	}
	return f, f.check()
}

// define puts the flags into a flag set.
func (f *callFlags) define(flags *flag.FlagSet) {
	flags.BoolVar(&f.json, "json", false, "")
	flags.BoolVar(&f.verbose, "v", false, "")
	flags.BoolVar(&f.noBrowser, "no-browser", false, "")
	flags.BoolVar(&f.logout, "logout", false, "")
	flags.StringVar(&f.user, "user", "", "")
	flags.StringVar(&f.org, "org", "", "")
	flags.StringVar(&f.clientID, "client-id", "", "")
	flags.StringVar(&f.clientSecretFile, "client-secret-file", "", "")
	flags.StringVar(&f.scope, "scope", "", "")
	flags.IntVar(&f.callbackPort, "callback-port", 0, "")
	flags.DurationVar(&f.timeout, "timeout", defaultTimeout, "")
}

// check finds what does not go together.
func (f callFlags) check() error {
	switch {
	case f.url == "":
		return misuse(callHelpPointer, "no URL given")
	case f.logout && f.tool != "":
		return misuse(callHelpPointer, "got %q after the URL, want nothing with --logout", f.tool)
	case f.tool == "" && !f.logout:
		return misuse(fmt.Sprintf(`"gatehouse call %s list" shows the tools`, f.url), "no tool given")
	case f.org != "" && f.user == "":
		return misuse("--org goes with --user; in the browser the consent page asks for the organization", "--org without --user")
	case f.clientSecretFile != "" && f.clientID == "":
		return misuse("give the client's id with --client-id", "--client-secret-file without --client-id")
	case f.callbackPort < 0 || f.callbackPort > 65535:
		return misuse("leave it out to have any free one", "--callback-port is %d, want 1 to 65535", f.callbackPort)
	case f.timeout <= 0:
		return misuse("write it like 90s or 5m", "--timeout is %s, want more than nothing", f.timeout)
	}
	return nil
}

// list reports whether the tools are to be listed. A tool named list is called
// by giving it arguments.
func (f callFlags) list() bool {
	return f.tool == listWord && len(f.words) == 0
}

// account returns who signs in where.
func (f callFlags) account() (account, error) {
	resource, err := readURL(f.url)
	if err != nil {
		return account{}, err
	}
	return account{Resource: resource, User: f.user, Organization: f.org, ClientID: f.clientID}, nil
}

// readURL checks the URL of an MCP endpoint, and returns it with scheme and host
// in lower case. The rest stays as typed: it must be the string by which the
// server knows itself.
func readURL(raw string) (string, error) {
	const example = "write it like http://localhost:3000/mcp"
	u, err := url.Parse(raw)
	switch {
	case len(raw) > maxURL:
		return "", misuse("use a shorter one", "URL is %d bytes long, want at most %d", len(raw), maxURL)
	case !strings.Contains(raw, "://"):
		return "", misuse(example, "URL %q has no scheme, want http:// or https://", raw)
	case err != nil:
		return "", misuse(example, "URL %q is malformed", raw)
	case u.Scheme != "http" && u.Scheme != "https":
		return "", misuse(example, "URL %q has scheme %q, want http or https", raw, u.Scheme)
	case u.Host == "":
		return "", misuse(example, "URL %q has no host", raw)
	case u.User != nil:
		return "", misuse("remove what stands before the @", "URL of host %q has a user name in it", u.Host)
	case strings.Contains(raw, "#"):
		return "", misuse("remove the # and what follows", "URL %q has a fragment", raw)
	}
	u.Host = strings.ToLower(u.Host)
	return u.String(), nil
}

// clientSecret reads the secret of --client-id, "" without a file.
func (f callFlags) clientSecret() (secret, error) {
	if f.clientSecretFile == "" {
		return "", nil
	}
	file, err := os.Open(f.clientSecretFile)
	if err != nil {
		return "", fmt.Errorf("reading the client secret: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSecretFile+1))
	if err != nil {
		return "", fmt.Errorf("reading the client secret: %w", err)
	}
	text := strings.TrimSpace(string(data))
	if text == "" || len(data) > maxSecretFile || strings.ContainsAny(text, "\r\n") {
		return "", fail("put the secret into it, and nothing else", "client secret file %q does not hold one line of at most %d bytes", f.clientSecretFile, maxSecretFile)
	}
	return secret(text), nil
}
