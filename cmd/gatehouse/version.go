package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// version is the version of Gatehouse, the same as the top entry of CHANGELOG.md.
const version = "0.1.0"

// specRevisions are the revisions of the MCP specification whose authorization
// chapter Gatehouse speaks, newest first.
var specRevisions = []string{"2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"}

const sdkModule = "github.com/modelcontextprotocol/go-sdk"

const versionHelp = `usage: gatehouse version [--json]

Says which Gatehouse this is, which Go and which go-sdk it was built with, and
which revisions of the MCP specification it speaks.

flags:
  --json    print one JSON object
`

var versionCommand = command{
	name:    "version",
	summary: "say what this program is made of",
	help:    versionHelp,
	run:     runVersion,
}

// versions is what "gatehouse version --json" prints.
type versions struct {
	Gatehouse string   `json:"gatehouse"`
	Go        string   `json:"go"`
	SDK       string   `json:"goSdk"`
	Spec      []string `json:"spec"`
}

func runVersion(_ context.Context, con *console, args []string) error {
	flags := newFlagSet("version")
	asJSON := flags.Bool("json", false, "")
	rest, err := parse(flags, args)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return misuse(`"gatehouse help version" explains the command`, "got argument %q, want none", rest[0])
	}
	v := versions{Gatehouse: version, Go: runtime.Version(), SDK: sdkVersion(), Spec: specRevisions}
	if *asJSON {
		return con.printJSON(v)
	}
	return con.print(fmt.Sprintf("gatehouse %s\ngo        %s\ngo-sdk    %s\nMCP spec  %s\n",
		v.Gatehouse, v.Go, v.SDK, strings.Join(v.Spec, ", ")))
}

// sdkVersion is the version of the go-sdk in this build, "unknown" in a build
// without module information.
func sdkVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dep := range info.Deps {
		if dep.Path == sdkModule {
			return dep.Version
		}
	}
	return "unknown"
}
