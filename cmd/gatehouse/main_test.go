package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"gatehouse":    main,
		"adas-browser": adasBrowser,
	})
}

// adasBrowser is a browser in which ada signs in: it opens its last argument.
func adasBrowser() {
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

// TestScripts runs testdata/script. Each script has a server of its own at
// $MCP_URL, which has people sign in at $CLERK_URL.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			r := newRig(env.T().(testing.TB))
			env.Setenv("MCP_URL", r.mcpURL)
			env.Setenv("CLERK_URL", r.clerkURL)
			env.Setenv("HOME", env.WorkDir+"/home")
			env.Setenv("XDG_CONFIG_HOME", env.WorkDir+"/config")
			return nil
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// TestVersionIsTheChangelogs holds the version constant and the changelog
// together.
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

// TestHelpNamesEveryFlag reads the flags of a command from its own parser.
func TestHelpNamesEveryFlag(t *testing.T) {
	t.Parallel()
	flags := newFlagSet("call")
	new(callFlags).define(flags)
	flags.VisitAll(func(f *flag.Flag) {
		if !strings.Contains(callHelp, "\n  -"+f.Name+" ") && !strings.Contains(callHelp, "\n  --"+f.Name+" ") {
			t.Errorf("help of call does not explain --%s", f.Name)
		}
	})
	for _, cmd := range commands {
		if !strings.HasPrefix(cmd.help, "usage: gatehouse "+cmd.name) {
			t.Errorf("help of %s does not begin with its usage", cmd.name)
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
		{"nothing", "", "no command given", "gatehouse help"},
		{"unknown command", "cal", `unknown command "cal"`, `did you mean "gatehouse call"?`},
		{"unknown command far from any", "frobnicate", `unknown command "frobnicate"`, "lists the commands"},
		{"help of an unknown command", "help verson", `unknown command "verson"`, `did you mean "gatehouse version"?`},
		{"help of two", "help call version", "got 2 arguments", "explains one command"},
		{"unknown flag", "call --jsn http://localhost:1/mcp list", `unknown flag "--jsn"`, `did you mean "--json"?`},
		{"unknown flag far from any", "call --frobnicate", `unknown flag "--frobnicate"`, "gatehouse help call"},
		{"flag without value", "call --user", "flag needs an argument: -user", "gatehouse help call"},
		{"no URL", "call", "no URL given", "gatehouse help call"},
		{"no tool", "call http://localhost:1/mcp", "no tool given", "call http://localhost:1/mcp list"},
		{"no scheme", "call localhost:3000/mcp list", `URL "localhost:3000/mcp" has no scheme`, "http://localhost:3000/mcp"},
		{"other scheme", "call ftp://localhost/mcp list", `has scheme "ftp", want http or https`, "http://localhost:3000/mcp"},
		{"no host", "call http:///mcp list", "has no host", "http://localhost:3000/mcp"},
		{"user in the URL", "call http://me:pw@localhost/mcp list", "has a user name in it", "before the @"},
		{"fragment", "call http://localhost/mcp# list", "has a fragment", "remove the #"},
		{"long URL", "call http://localhost/" + strings.Repeat("a", maxURL) + " list", "want at most 2048", "shorter"},
		{"org without user", "call http://localhost/mcp list --org acme", "--org without --user", "--user"},
		{"secret without client", "call http://localhost/mcp list --client-secret-file f", "--client-secret-file without --client-id", "--client-id"},
		{"bad port", "call http://localhost/mcp list --callback-port 70000", "--callback-port is 70000", "any free one"},
		{"no time", "call http://localhost/mcp list --timeout 0s", "--timeout is 0s", "90s"},
		{"logout with a tool", "call --logout http://localhost/mcp list", `got "list" after the URL`, "gatehouse help call"},
		{"array", "call http://localhost/mcp t [1]", "arguments are not a JSON object: got a JSON array", "{"},
		{"null", "call http://localhost/mcp t null", "arguments are not a JSON object: got null", "{"},
		{"half an object", "call http://localhost/mcp t {", "arguments are not a JSON object: unexpected end of JSON input", "{"},
		{"word among pairs", "call http://localhost/mcp t a=b c", `argument "c" is not a key=value pair`, "pairs like"},
		{"pair twice", "call http://localhost/mcp t a=b a=c", `argument "a" is given twice`, "once"},
		{"long argument", "call http://localhost/mcp t " + strings.Repeat("x", maxArguments+1), "arguments are longer than", "less"},
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

func TestParseInAnyOrder(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args       []string
		positional []string
		json       bool
		user       string
	}{
		{args: nil},
		{args: []string{"--json", "URL", "tool"}, positional: []string{"URL", "tool"}, json: true},
		{args: []string{"URL", "tool", "--json"}, positional: []string{"URL", "tool"}, json: true},
		{args: []string{"URL", "--user", "ada", "tool", "-json"}, positional: []string{"URL", "tool"}, json: true, user: "ada"},
		{args: []string{"URL", "--user=ada", "-"}, positional: []string{"URL", "-"}, user: "ada"},
		{args: []string{"URL", "--", "--json", "--"}, positional: []string{"URL", "--json", "--"}},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			t.Parallel()
			flags := newFlagSet("test")
			json := flags.Bool("json", false, "")
			user := flags.String("user", "", "")
			positional, err := parse(flags, test.args)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.positional, positional); diff != "" {
				t.Errorf("positional (-want +got):\n%s", diff)
			}
			if *json != test.json || *user != test.user {
				t.Errorf("json = %v, user = %q, want %v, %q", *json, *user, test.json, test.user)
			}
		})
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	candidates := []string{"call", "dev", "version", "doctor"}
	for name, want := range map[string]string{
		"call":     "call",
		"cal":      "call",
		"clal":     "call",
		"verssion": "version",
		"docter":   "doctor",
		"x":        "",
		"":         "",
		"versions": "version",
		"somewhat": "",
	} {
		if got := nearest(name, candidates); got != want {
			t.Errorf("nearest(%q) = %q, want %q", name, got, want)
		}
	}
}

// TestInterruptedReading has Ctrl-C come while standard input is waited for.
func TestInterruptedReading(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	var stdout, stderr bytes.Buffer
	con := &console{stdin: readerFunc(func([]byte) (int, error) {
		interrupt()
		select {}
	}), stdout: &stdout, stderr: &stderr}
	code := run(ctx, con, []string{"call", "http://localhost:1/mcp", "tool", "-"})
	outcome{code, stdout.String(), stderr.String()}.want(t, exitInterrupted, "interrupted while reading arguments from standard input")
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
