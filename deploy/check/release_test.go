package check

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// commitTime is the time of the commit that is released, as tar and dpkg-deb print it.
const commitTime = "2026-01-02 03:04"

// clone copies the files of the repository that Git knows, as they are now, to a folder that
// goreleaser may write to.
func clone(t testing.TB) string {
	t.Helper()
	folder := t.TempDir()
	script := `set -e; git ls-files -z --cached --others --exclude-standard | xargs -0 tar -c --ignore-failed-read | tar -x -C "$1"
cd "$1"; git init -q; git add -A
git remote add origin https://github.com/gatehouse-mcp/gatehouse # else goreleaser does not read the commit
git -c user.name=test -c user.email=test@example.com -c commit.gpgsign=false commit -q -m test`
	command{dir: repository, env: []string{"GIT_COMMITTER_DATE=" + commitTime + ":05 +0000"},
		argv: []string{"bash", "-c", script, "bash", folder}}.run(t)
	return folder
}

// TestRelease makes a snapshot of a release, without what needs an account or Docker.
func TestRelease(t *testing.T) {
	goreleaser := goTool(t, goreleaserModule)
	folder := clone(t)
	command{dir: folder, argv: []string{goreleaser, "check"}}.run(t)
	command{dir: folder, env: []string{"GOFLAGS="},
		argv: []string{goreleaser, "release", "--snapshot", "--clean", "--skip=publish,sign,sbom,docker"}}.run(t)
	dist := filepath.Join(folder, "dist")
	sums, err := os.ReadFile(filepath.Join(dist, "checksums.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"linux_amd64.tar.gz", "linux_arm64.tar.gz", "darwin_amd64.tar.gz", "darwin_arm64.tar.gz",
		"windows_amd64.zip", "windows_arm64.zip", "linux_amd64.deb", "linux_arm64.deb"} {
		if !regexp.MustCompile(`(?m)^[0-9a-f]{64}  gatehouse_\S+_` + regexp.QuoteMeta(name) + `$`).Match(sums) {
			t.Errorf("%s has no checksum:\n%s", name, sums)
		}
	}
	command{dir: dist, argv: []string{"sha256sum", "--check", "--quiet", "checksums.txt"}}.run(t)
	if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
		commit := command{dir: folder, argv: []string{"git", "rev-parse", "HEAD"}}.run(t)
		checkArchive(t, dist, strings.TrimSpace(commit))
		checkTimes(t, dist)
	}
}

// checkArchive runs the program of the archive and of the Debian package. It must print the commit
// that it was built from.
func checkArchive(t *testing.T, dist, commit string) {
	folder := t.TempDir()
	const unpack = `tar -xzf "$1"/*_linux_amd64.tar.gz -C "$2"; dpkg-deb -R "$1"/*_linux_amd64.deb "$2/deb"`
	command{argv: []string{"bash", "-c", unpack, "bash", dist, folder}}.run(t)
	for _, path := range []string{"gatehouse", "deb/usr/bin/gatehouse"} {
		out := command{argv: []string{filepath.Join(folder, path), "version"}}.run(t)
		if !strings.Contains(out, "\ncommit    "+commit+" of ") || strings.Contains(out, "not committed") {
			t.Errorf("%s prints %q, want the commit %s", path, out, commit)
		}
	}
	for _, path := range []string{
		"LICENSE", "README.md", "CHANGELOG.md", "deb/usr/lib/systemd/system/gatehouse-gateway.service", "deb/etc/gatehouse/gateway.yaml",
		"deb/etc/logrotate.d/gatehouse", "deb/usr/share/doc/gatehouse/credentials.conf",
		"deb/DEBIAN/postinst", "deb/DEBIAN/prerm",
	} {
		if _, err := os.Stat(filepath.Join(folder, path)); err != nil {
			t.Error(err)
		}
	}
}

// checkTimes checks that the archive and the Debian package have no time other than that of the commit:
// else each build would give another checksum.
func checkTimes(t *testing.T, dist string) {
	const list = `cd "$1"; export TZ=UTC; tar -tvzf *_linux_amd64.tar.gz; dpkg-deb -c *_linux_amd64.deb`
	out := command{argv: []string{"bash", "-c", list, "bash", dist}}.run(t)
	for line := range strings.Lines(out) {
		if !strings.Contains(line, " "+commitTime+" ") {
			t.Errorf("got %q, want the time %s", line, commitTime)
		}
	}
}

// TestReleaseCheck checks a copy of the repository that is ready for a release, and with one
// change each.
func TestReleaseCheck(t *testing.T) {
	const ready = "1.2.3"
	tests := []struct{ name, file, old, new, want string }{
		{"ready", "", "", "", ""},
		{"version in the code", "cmd/gatehouse/version.go", `"1.2.3"`, `"1.2.4"`, `version.go is "1.2.4", want "1.2.3"`},
		{"version of the chart", "deploy/helm/gatehouse-gateway/Chart.yaml", `"1.2.3"`, `"1.2.2"`, `Chart.yaml is "1.2.2", want "1.2.3"`},
		{"module that is not published", "cmd/gatehouse/go.mod", "gatehouse v1.2.3", "gatehouse v0.0.0", "gatehouse v0.0.0, want v1.2.3"},
		{"replace", "cmd/gatehouse/go.mod", "\nrequire (", "\nreplace example.com/x => ../x\n\nrequire (", "has a replace directive"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			folder := t.TempDir()
			change := func(name string, replace func(string) string) {
				text, err := os.ReadFile(filepath.Join(repository, name))
				if changed := filepath.Join(folder, name); err != nil {
					t.Fatal(err)
				} else if before, err := os.ReadFile(changed); err == nil {
					text = before
				} else if err := os.MkdirAll(filepath.Dir(changed), 0o755); err != nil {
					t.Fatal(err)
				}
				writeFile(t, folder, name, replace(string(text)), 0o755)
			}
			version := regexp.MustCompile(`"\d+\.\d+\.\d+"|v0\.0\.0\n`)
			for _, name := range []string{
				"deploy/release-check", "cmd/gatehouse/version.go", "cmd/gatehouse/go.mod", "deploy/helm/gatehouse-gateway/Chart.yaml",
			} {
				change(name, func(text string) string {
					return version.ReplaceAllStringFunc(text, func(v string) string {
						if v[0] == 'v' {
							return "v" + ready + "\n"
						}
						return `"` + ready + `"`
					})
				})
			}
			if test.file != "" {
				change(test.file, func(text string) string { return strings.Replace(text, test.old, test.new, 1) })
			}
			out, err := command{argv: []string{filepath.Join(folder, "deploy/release-check"), ready}}.output()
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(out, test.want)) {
				t.Errorf("got %v %s, want %q", err, out, test.want)
			}
		})
	}
}
