package check

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	digest "github.com/opencontainers/go-digest"
)

// containerfiles are the files of the images, from the repository.
var containerfiles = []string{"deploy/Containerfile", "deploy/Containerfile.release", "examples/container/Containerfile"}

func containerfile(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// baseImages answers for every registry, so that the linter needs no network.
type baseImages struct{}

func (baseImages) ResolveImageConfig(_ context.Context, name string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	config := []byte(`{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers"}}`)
	return name, digest.FromBytes(config), config, nil
}

// lint returns what the linter of BuildKit reports about a file.
func lint(t testing.TB, name string, text []byte) (reports []string) {
	t.Helper()
	source := llb.NewSourceMap(nil, name, "Dockerfile", text)
	source.Definition = &llb.Definition{}
	results, err := dockerfile2llb.DockerfileLint(context.Background(), text,
		dockerfile2llb.ConvertOpt{SourceMap: source, MetaResolver: baseImages{}})
	if err != nil {
		t.Fatal(err)
	}
	if results.Error != nil {
		reports = append(reports, results.Error.Message)
	}
	for _, w := range results.Warnings {
		reports = append(reports, w.RuleName+": "+w.Detail)
	}
	return reports
}

// TestContainerfileLint checks each file with the linter of BuildKit, and with one mistake.
func TestContainerfileLint(t *testing.T) {
	mistakes := map[string][2]string{
		"JSONArgsRecommended":  {"\nENTRYPOINT [\"/", "\nENTRYPOINT /usr/bin/env [\"/"},
		"UndefinedArgInFrom":   {"${GO_IMAGE} AS", "${GO_IMAG} AS"},
		"unknown instruction":  {"\nUSER ", "\nUSR "},
		"unterminated heredoc": {"\nUSER ", "\nRUN <<END\nUSER "},
	}
	for _, name := range containerfiles {
		text := containerfile(t, name)
		if reports := lint(t, name, text); len(reports) > 0 {
			t.Errorf("%s: %q", name, reports)
		}
		for mistake, change := range mistakes {
			changed := bytes.Replace(text, []byte(change[0]), []byte(change[1]), 1)
			if bytes.Equal(changed, text) {
				t.Fatalf("%s has no %q", name, change[0])
			}
			if reports := lint(t, name, changed); len(reports) == 0 {
				t.Errorf("%s with the mistake %s has no report", name, mistake)
			}
		}
	}
}

// stages returns the stages of a file.
func stages(t testing.TB, text []byte) []instructions.Stage {
	t.Helper()
	tree, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	all, _, err := instructions.Parse(tree.AST, nil)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// chain returns the commands of a stage, those of the stages that it is based on first, and the
// image that the first one is based on.
func chain(all []instructions.Stage, stage instructions.Stage) (commands []instructions.Command, base string) {
	commands, base = stage.Commands, stage.BaseName
	for {
		i := slices.IndexFunc(all, func(s instructions.Stage) bool { return s.Name == base })
		if i < 0 {
			return commands, base
		}
		commands, base = append(slices.Clone(all[i].Commands), commands...), all[i].BaseName
	}
}

// faults returns what is unsafe in the images of a file.
func faults(t testing.TB, text []byte) (faults []string) {
	t.Helper()
	all := stages(t, text)
	for _, stage := range all[1:] {
		commands, base := chain(all, stage)
		facts := map[string]bool{"FROM scratch": base == "scratch"}
		for _, c := range commands {
			switch c := c.(type) {
			case *instructions.UserCommand:
				facts["a user that is a number other than 0"] = regexp.MustCompile(`^[1-9][0-9]*:[1-9][0-9]*$`).MatchString(c.User)
			case *instructions.CopyCommand:
				facts["certificates"] = facts["certificates"] || strings.HasSuffix(c.DestPath, "/ca-certificates.crt")
			case *instructions.EnvCommand:
				facts["GOGC"] = facts["GOGC"] || c.Env[0].Key == "GOGC"
			case *instructions.EntrypointCommand:
				facts["an entry point without a shell"] = !c.PrependShell
			case *instructions.RunCommand:
				faults = append(faults, stage.Name+": RUN in an image without a shell")
			}
		}
		for _, want := range []string{
			"FROM scratch", "a user that is a number other than 0", "certificates", "GOGC", "an entry point without a shell",
		} {
			if !facts[want] {
				faults = append(faults, stage.Name+": no "+want)
			}
		}
	}
	return faults
}

// TestContainerfileSafe checks what every image must have, and that each is missed.
func TestContainerfileSafe(t *testing.T) {
	removed := map[string]string{
		"no FROM scratch":                         `(?m)^FROM scratch`,
		"no a user that is a number other than 0": `(?m)^USER .*`,
		"no certificates":                         `(?m)^COPY --from=build /etc.*`,
		"no GOGC":                                 `(?m)^ENV GOGC.*`,
		"no an entry point without a shell":       `(?m)^ENTRYPOINT.*`,
	}
	for _, name := range containerfiles {
		text := containerfile(t, name)
		if got := faults(t, text); len(got) > 0 {
			t.Errorf("%s: %q", name, got)
		}
		for want, line := range removed {
			with := ""
			if want == "no FROM scratch" {
				with = "FROM debian:12"
			}
			got := faults(t, regexp.MustCompile(line).ReplaceAll(text, []byte(with)))
			if !slices.ContainsFunc(got, func(f string) bool { return strings.HasSuffix(f, want) }) {
				t.Errorf("%s without %s: got faults %q, want %q", name, line, got, want)
			}
		}
	}
}
