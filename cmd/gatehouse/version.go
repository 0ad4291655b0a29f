package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// version is the version of Gatehouse, the same as the top entry of CHANGELOG.md.
const version = "0.1.0"

// specRevisions are the revisions of the MCP specification whose authorization chapter
// Gatehouse implements, newest first.
var specRevisions = []string{"2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"}

const sdkModule = "github.com/modelcontextprotocol/go-sdk"

// versions is the output of "gatehouse version --json".
type versions struct {
	Gatehouse string   `json:"gatehouse"`
	Commit    string   `json:"commit,omitempty"`     // empty if the build does not know it
	CommitAt  string   `json:"commitTime,omitempty"` // RFC 3339
	Modified  bool     `json:"modified,omitempty"`   // whether the build had changes that are not committed
	Go        string   `json:"go"`
	SDK       string   `json:"goSdk"`
	Spec      []string `json:"spec"`
}

func newVersionCommand(con *console) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of this program and its parts",
		Long: `Print the version of Gatehouse, the commit that it was built from if the build knows it,
the versions of Go and of the go-sdk that it was built with, and the revisions of the MCP
specification that it implements.`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := noArguments(cmd, args); err != nil {
				return err
			}
			if asJSON {
				return con.printJSON(readVersions())
			}
			return con.print(readVersions().String())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// noArguments returns a usageError if there are positional arguments.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return newUsageError(
		fmt.Sprintf(`"gatehouse help %s" explains the command`, cmd.Name()),
		"got argument %q, want none", args[0])
}

func readVersions() versions {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return versionsOf(info)
}

// versionsOf returns the versions of a build. Go records the commit when it builds from a checkout
// with Git, as releases are built, but not for "go install …@version".
func versionsOf(info *debug.BuildInfo) versions {
	v := versions{Gatehouse: version, Go: runtime.Version(), SDK: "unknown", Spec: specRevisions}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			v.Commit = setting.Value
		case "vcs.time":
			v.CommitAt = setting.Value
		case "vcs.modified":
			v.Modified = setting.Value == "true"
		}
	}
	for _, dep := range info.Deps {
		if dep.Path == sdkModule {
			v.SDK = dep.Version
		}
	}
	return v
}

// String formats the versions for people.
func (v versions) String() string {
	commit := ""
	if v.Commit != "" {
		commit = fmt.Sprintf("commit    %s of %s", v.Commit, v.CommitAt)
		if v.Modified {
			commit += ", with changes that are not committed"
		}
		commit += "\n"
	}
	return fmt.Sprintf("gatehouse %s\n%sgo        %s\ngo-sdk    %s\nMCP spec  %s\n",
		v.Gatehouse, commit, v.Go, v.SDK, strings.Join(v.Spec, ", "))
}
