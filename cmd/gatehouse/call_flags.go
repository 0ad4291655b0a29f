package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/savedsignin"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

const (
	defaultTimeout = 5 * time.Minute
	maxSecretFile  = 4 << 10 // bytes
	maxURL         = 2048    // bytes
	listTools      = "list"  // lists the tools, instead of the name of a tool
	callHelpHint   = `"gatehouse help call" explains the command`
)

// callOptions is the command line of "gatehouse call".
type callOptions struct {
	url       string
	tool      string
	arguments []string // as typed

	json, verbose, noBrowser, logout bool
	user, org                        string
	clientID, clientSecretFile       string
	scope                            string
	callbackPort                     int
	timeout                          time.Duration
}

// addFlags declares the flags of the command.
func (o *callOptions) addFlags(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.BoolVar(&o.json, "json", false, "print the whole result as JSON")
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "print each step of the flow")
	flags.BoolVar(&o.noBrowser, "no-browser", false, "print the sign-in link instead of opening a browser")
	flags.DurationVar(&o.timeout, "timeout", defaultTimeout,
		"wait at most `DURATION`, such as 90s, for the sign-in\nand for each answer of the server")
	flags.StringVar(&o.scope, "scope", "", "request these `SCOPES` too, separated by spaces")
	flags.StringVar(&o.user, "user", "", "sign in as user `NAME` of a local Clerk, without a browser")
	flags.StringVar(&o.org, "org", "", "with --user: the organization to choose, by `ID` or slug")
	flags.StringVar(&o.clientID, "client-id", "", "use the client `ID` instead of registering a client")
	flags.StringVar(&o.clientSecretFile, "client-secret-file", "", "read the secret of that client from `FILE`")
	flags.IntVar(&o.callbackPort, "callback-port", 0,
		"use the redirect URI http://127.0.0.1:`PORT`/callback\n(default any free port, or 8976 with --client-id)")
	flags.BoolVar(&o.logout, "logout", false, "revoke and delete the saved sign-ins to URL")
}

// readArgs reads the positional arguments.
func (o *callOptions) readArgs(args []string) error {
	if len(args) > 0 {
		o.url, args = args[0], args[1:]
	}
	if len(args) > 0 {
		o.tool, o.arguments = args[0], args[1:]
	}
	return o.check()
}

// check reports what is missing, out of range or contradictory.
func (o *callOptions) check() error {
	switch {
	case o.url == "":
		return newUsageError(callHelpHint, "no URL given")
	case o.logout && o.tool != "":
		return newUsageError(callHelpHint, "got %q after the URL, want nothing with --logout", o.tool)
	case o.tool == "" && !o.logout:
		return newUsageError(fmt.Sprintf(`"gatehouse call %s list" prints the tools`, o.url), "no tool given")
	case o.org != "" && o.user == "":
		return newUsageError("--org needs --user; in the browser, the consent page asks for the organization", "--org without --user")
	case o.clientSecretFile != "" && o.clientID == "":
		return newUsageError("pass the ID of the client with --client-id", "--client-secret-file without --client-id")
	case o.callbackPort < 0 || o.callbackPort > 65535:
		return newUsageError("leave it out to use any free port", "--callback-port is %d, want 1 to 65535", o.callbackPort)
	case o.timeout <= 0:
		return newUsageError("write it like 90s or 5m", "--timeout is %s, want more than 0", o.timeout)
	}
	return nil
}

// listsTools reports whether to list the tools. A tool named list is called if it has
// arguments.
func (o *callOptions) listsTools() bool {
	return o.tool == listTools && len(o.arguments) == 0
}

// account returns who signs in to which resource.
func (o *callOptions) account() (savedsignin.Account, error) {
	resource, err := parseURL(o.url)
	if err != nil {
		return savedsignin.Account{}, err
	}
	return savedsignin.Account{Resource: resource, User: o.user, Organization: o.org, ClientID: o.clientID}, nil
}

// parseURL checks the URL of an MCP endpoint, and returns it with scheme and host in
// lower case. The rest stays as typed, because it must equal the resource in the
// server's metadata.
func parseURL(raw string) (string, error) {
	const example = "write it like http://localhost:3000/mcp"
	u, err := url.Parse(raw)
	switch {
	case len(raw) > maxURL:
		return "", newUsageError("use a shorter URL", "URL is %d bytes long, want at most %d", len(raw), maxURL)
	case !strings.Contains(raw, "://"):
		return "", newUsageError(example, "URL %q has no scheme, want http:// or https://", raw)
	case err != nil:
		return "", newUsageError(example, "URL %q is malformed", raw)
	case u.Scheme != "http" && u.Scheme != "https":
		return "", newUsageError(example, "URL %q has scheme %q, want http or https", raw, u.Scheme)
	case u.Host == "":
		return "", newUsageError(example, "URL %q has no host", raw)
	case u.Scheme == "http" && !wellknown.IsLoopback(u.Hostname()):
		return "", newUsageError(
			"use https: plain http would send the access token over the network unencrypted",
			"URL %q is plain http to another machine, want https", raw)
	case u.User != nil:
		return "", newUsageError("remove the part before the @", "URL of host %q contains a user name", u.Host)
	case strings.Contains(raw, "#"):
		return "", newUsageError("remove the # and what follows it", "URL %q has a fragment", raw)
	}
	u.Host = strings.ToLower(u.Host)
	return u.String(), nil
}

// clientSecret reads the secret of --client-id. It returns "" if there is no file.
func (o *callOptions) clientSecret() (savedsignin.Secret, error) {
	if o.clientSecretFile == "" {
		return "", nil
	}
	secret, err := readSecretFile(o.clientSecretFile, "the client secret")
	return savedsignin.Secret(secret), err
}

// readSecretFile reads a file that contains one secret in one line. what names the secret.
func readSecretFile(name, what string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", what, err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSecretFile+1))
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", what, err)
	}
	text := strings.TrimSpace(string(data))
	if text == "" || len(data) > maxSecretFile || strings.ContainsAny(text, "\r\n") {
		return "", failure.New(
			"write only the secret into it",
			"%s file %q does not have one line of at most %d bytes", strings.TrimPrefix(what, "the "), name, maxSecretFile)
	}
	return text, nil
}
