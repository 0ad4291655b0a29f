package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/pflag"

	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"gatehouse":    main,
		"adas-browser": runAdasBrowser,
	})
}

// runAdasBrowser is a browser in which ada signs in: it opens its last argument.
func runAdasBrowser() {
	req, err := http.NewRequest(http.MethodGet, os.Args[len(os.Args)-1], nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	req.Header.Set(localclerk.SignInHeader, "ada")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	resp.Body.Close()
}

var update = flag.Bool("update", false, "rewrite the scripts' expected output")

// TestScripts runs testdata/script. Each script has its own server at $MCP_URL, whose
// users sign in at $CLERK_URL.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			f := newFixture(env.T().(testing.TB))
			env.Setenv("MCP_URL", f.mcpURL)
			env.Setenv("CLERK_URL", f.clerkURL)
			for _, name := range []string{"DEV_PORT", "CLERK_PORT"} {
				port, err := freePort()
				if err != nil {
					return err
				}
				env.Setenv(name, port)
			}
			env.Setenv("HOME", env.WorkDir+"/home")
			env.Setenv("XDG_CONFIG_HOME", env.WorkDir+"/config")
			return nil
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// freePort returns a port that nothing listens on.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return strconv.Itoa(listen.Port(l)), nil
}

// TestVersionIsTheChangelogs compares the version constant with CHANGELOG.md.
func TestVersionIsTheChangelogs(t *testing.T) {
	t.Parallel()
	changelog, err := os.ReadFile("../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	top := regexp.MustCompile(`(?m)^## \[?v?([0-9][^]\s]*)`).FindSubmatch(changelog)
	if top == nil {
		t.Fatal("CHANGELOG.md has no version")
	}
	if got := string(top[1]); got != version {
		t.Errorf("version is %q, but the top entry of CHANGELOG.md is %q", version, got)
	}
}

// TestHelpIsComplete checks that every command, except those of cobra, explains itself
// and each of its flags.
func TestHelpIsComplete(t *testing.T) {
	t.Parallel()
	for _, cmd := range newRootCommand(newConsole()).Commands() {
		if cmd.Short == "" || cmd.Long == "" {
			t.Errorf("%s has no help text", cmd.Name())
		}
		if cmd.HasAvailableSubCommands() {
			continue // completion
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("--%s of %s has no help text", f.Name, cmd.Name())
			}
		})
		for line := range strings.Lines(cmd.Long + "\n" + cmd.UsageString()) {
			if n := utf8.RuneCountInString(line); n > 100 {
				t.Errorf("help of %s has a line of %d characters, want at most 100: %s", cmd.Name(), n, line)
			}
		}
	}
}

func TestUsageErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		args     string
		wantErr  string // "" for the control
		wantHint string
	}{
		{"control", "version", "", ""},
		{"no command", "", "no command given", "gatehouse help"},
		{"unknown command", "cal", `unknown command "cal"`, `did you mean "gatehouse call"?`},
		{"unknown command, nothing similar", "frobnicate", `unknown command "frobnicate"`, "lists the commands"},
		{"help of an unknown command", "help verson", `unknown command "verson"`, `did you mean "gatehouse version"?`},
		{"help of two", "help call version", "got 2 arguments", "explains one command"},
		{"unknown flag", "call --jsn http://localhost:1/mcp list", `unknown flag "--jsn"`, `did you mean "--json"?`},
		{"unknown flag, nothing similar", "call --frobnicate", `unknown flag "--frobnicate"`, "gatehouse call --help"},
		{
			"unknown command with a flag",
			"cal --json http://localhost:1/mcp",
			`unknown command "cal"`,
			`did you mean "gatehouse call"?`,
		},
		{"unknown flag of the program", "--verson", `unknown flag "--verson"`, `did you mean "--version"?`},
		{"one dash", "call -json http://localhost:1/mcp list", `unknown flag "-json"`, `did you mean "--json"?`},
		{"unknown shell", "completion bsh", `unknown command "bsh"`, `did you mean "gatehouse completion bash"?`},
		{
			"flag with an invalid value",
			"call --timeout soon",
			`--timeout "soon" is not a duration such as "90s"`,
			"gatehouse call --help",
		},
		{"port that is not a number", "dev --port x", `--port "x" is not a number`, "gatehouse dev --help"},
		{"switch with a value", "call --json=x", `--json "x" is not true or false`, "gatehouse call --help"},
		{"dev with a command", "dev go run .", `unexpected argument "go"`, "gatehouse dev -- go run ."},
		{"dev with an argument before the dashes", "dev go -- run", `unexpected argument "go"`, `after "--"`},
		{"dev with nothing after the dashes", "dev --", `nothing follows "--"`, "gatehouse dev -- go run ./myserver"},
		{"dev with an invalid port", "dev --port 0", "--port 0 is not a port", "1 to 65535"},
		{"flag without value", "call --user", "flag needs an argument: --user", "gatehouse call --help"},
		{"no URL", "call", "no URL given", "gatehouse help call"},
		{"no tool", "call http://localhost:1/mcp", "no tool given", "call http://localhost:1/mcp list"},
		{
			"no scheme",
			"call localhost:3000/mcp list",
			`URL "localhost:3000/mcp" has no scheme`,
			"http://localhost:3000/mcp",
		},
		{
			"other scheme",
			"call ftp://localhost/mcp list",
			`has scheme "ftp", want http or https`,
			"http://localhost:3000/mcp",
		},
		{"plain http to another machine", "call http://mcp.example.com/mcp list", "is plain http to another machine", "use https"},
		{"no host", "call http:///mcp list", "has no host", "http://localhost:3000/mcp"},
		{"user in the URL", "call http://me:pw@localhost/mcp list", "contains a user name", "before the @"},
		{"fragment", "call http://localhost/mcp# list", "has a fragment", "remove the #"},
		{"long URL", "call http://localhost/" + strings.Repeat("a", maxURL) + " list", "want at most 2048", "shorter"},
		{"org without user", "call http://localhost/mcp list --org acme", "--org without --user", "--user"},
		{
			"secret without client",
			"call http://localhost/mcp list --client-secret-file f",
			"--client-secret-file without --client-id",
			"--client-id",
		},
		{
			"invalid port",
			"call http://localhost/mcp list --callback-port 70000",
			"--callback-port is 70000",
			"any free port",
		},
		{"no timeout", "call http://localhost/mcp list --timeout 0s", "--timeout is 0s", "90s"},
		{
			"logout with a tool",
			"call --logout http://localhost/mcp list",
			`got "list" after the URL`,
			"gatehouse help call",
		},
		{"array", "call http://localhost/mcp t [1]", "arguments are not a JSON object: got a JSON array", "{"},
		{"null", "call http://localhost/mcp t null", "arguments are not a JSON object: got null", "{"},
		{
			"half an object",
			"call http://localhost/mcp t {",
			"arguments are not a JSON object: unexpected end of JSON input",
			"{",
		},
		{"word among pairs", "call http://localhost/mcp t a=b c", `argument "c" is not a key=value pair`, "pairs like"},
		{"pair twice", "call http://localhost/mcp t a=b a=c", `argument "a" appears twice`, "once"},
		{
			"long argument",
			"call http://localhost/mcp t " + strings.Repeat("x", maxArguments+1),
			"arguments are longer than",
			"less",
		},
		{"argument of version", "version x", `got argument "x", want none`, "gatehouse help version"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			con := &console{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr}
			code := run(t.Context(), con, strings.Fields(test.args))
			got := outcome{code, stdout.String(), stderr.String()}
			if test.wantErr == "" {
				got.want(t, exitOK)
				return
			}
			got.want(t, exitUsage, "gatehouse: error: ", test.wantErr, "gatehouse: hint: ", test.wantHint)
			if got.stdout != "" {
				t.Errorf("stdout = %q, want none", got.stdout)
			}
		})
	}
}

// TestFlagsInAnyOrder checks that flags may come before and after the arguments, and that
// what follows "--" is not read as a flag.
func TestFlagsInAnyOrder(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		want callOptions
	}{
		{
			args: []string{"--json", "URL", "tool"},
			want: callOptions{url: "URL", tool: "tool", json: true},
		},
		{
			args: []string{"URL", "tool", `{"a":1}`, "--json"},
			want: callOptions{url: "URL", tool: "tool", arguments: []string{`{"a":1}`}, json: true},
		},
		{
			args: []string{"URL", "--user", "ada", "tool", "-v"},
			want: callOptions{url: "URL", tool: "tool", user: "ada", verbose: true},
		},
		{
			args: []string{"URL", "tool", "--user=ada", "-"},
			want: callOptions{url: "URL", tool: "tool", arguments: []string{"-"}, user: "ada"},
		},
		{
			args: []string{"URL", "tool", "days=-3", "--json"},
			want: callOptions{url: "URL", tool: "tool", arguments: []string{"days=-3"}, json: true},
		},
		{
			args: []string{"URL", "tool", "--", "--json", "--"},
			want: callOptions{url: "URL", tool: "tool", arguments: []string{"--json", "--"}},
		},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			t.Parallel()
			var got callOptions
			flags := pflag.NewFlagSet("call", pflag.ContinueOnError)
			got.addFlags(flags)
			if err := flags.Parse(test.args); err != nil {
				t.Fatal(err)
			}
			if err := got.readArgs(flags.Args()); err != nil {
				t.Fatal(err)
			}
			test.want.timeout = defaultTimeout
			if len(got.arguments) == 0 {
				got.arguments = nil
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(callOptions{})); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNearestName(t *testing.T) {
	t.Parallel()
	candidates := []string{"call", "dev", "version", "doctor"}
	for name, want := range map[string]string{
		"call":     "call",
		"cal":      "call",
		"clal":     "call",
		"verssion": "version",
		"docter":   "doctor",
		"doc":      "doctor",
		"versions": "version",
		"x":        "",
		"":         "",
		"somewhat": "",
	} {
		if got := nearestName(name, candidates); got != want {
			t.Errorf("nearestName(%q) = %q, want %q", name, got, want)
		}
	}
}

// TestInterruptedReading presses Ctrl-C while the program reads standard input.
func TestInterruptedReading(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	var stdout, stderr bytes.Buffer
	con := &console{stdin: readerFunc(func([]byte) (int, error) {
		interrupt()
		select {}
	}), stdout: &stdout, stderr: &stderr}
	code := run(ctx, con, []string{"call", "http://localhost:1/mcp", "tool", "-"})
	got := outcome{code, stdout.String(), stderr.String()}
	got.want(t, exitInterrupted, "interrupted while reading arguments from standard input")
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
