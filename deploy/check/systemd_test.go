package check

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const unitName = "gatehouse-gateway.service"

// unit writes the unit with the program of the tests to a folder, after a change, and returns its
// path.
func unit(t testing.TB, old, new string) string {
	t.Helper()
	text := strings.ReplaceAll(read(t, "systemd/"+unitName), "/usr/bin/gatehouse", gatehouse(t))
	changed := strings.Replace(text, old, new, 1)
	if old != new && changed == text {
		t.Fatalf("the unit has no %q", old)
	}
	return writeFile(t, t.TempDir(), unitName, changed, 0o644)
}

// TestSystemdUnit checks the unit with the programs of systemd, and with one change each.
func TestSystemdUnit(t *testing.T) {
	analyze := debianTool(t, "systemd-analyze", "systemd")
	if analyze == "" {
		t.Skip("systemd-analyze is not on PATH")
	}
	verify := func(path string) (string, error) { return command{argv: []string{analyze, "verify", path}}.output() }
	if out, err := verify(unit(t, "", "")); err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("got %s %v", out, err)
	}
	mistakes := map[string]string{"ProtectSystem=": "ProtectSytem=", "TimeoutStopSec=20s": "TimeoutStopSec=x", "Type=exec": "Type=exe"}
	for old, new := range mistakes {
		if out, err := verify(unit(t, old, new)); err == nil && strings.TrimSpace(out) == "" {
			t.Errorf("%s is accepted", new)
		}
	}
	// 15 of 100 is "OK". What is left is what a server on the network needs.
	exposure := func(path string) (string, error) {
		return command{argv: []string{analyze, "security", "--offline=true", "--threshold=15", "--no-pager", path}}.output()
	}
	if out, err := exposure(unit(t, "", "")); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := exposure(unit(t, "CapabilityBoundingSet=\n", "")); err == nil {
		t.Error("a unit with all capabilities is accepted")
	}
}

// TestSystemdStop checks that systemd waits longer than the gateway needs to stop.
func TestSystemdStop(t *testing.T) {
	stop := regexp.MustCompile(`(?m)^TimeoutStopSec=20s$`)
	if !stop.MatchString(read(t, "systemd/"+unitName)) {
		t.Error("TimeoutStopSec is not 20s")
	}
	var file struct {
		Drain    *seconds `json:"drain_delay"`
		Shutdown *seconds `json:"shutdown_timeout"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "systemd/gateway.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	if file.Drain != nil || file.Shutdown != nil { // the defaults are no delay and 10s
		t.Error("the file sets the times of the shutdown; compare them with TimeoutStopSec")
	}
}

// credentialLines returns the lines of credentials.conf that refer to the secrets in gateway.yaml.
func credentialLines(t testing.TB) (lines []string) {
	t.Helper()
	conf := read(t, "systemd/credentials.conf")
	var loaded []string
	for _, match := range regexp.MustCompile(`(?m)^LoadCredential=([^:]+):(.*)$`).FindAllStringSubmatch(conf, -1) {
		loaded = append(loaded, match[1])
	}
	for _, match := range regexp.MustCompile(`(?m)^#\t(\w+_file: "\$\{CREDENTIALS_DIRECTORY\}/(.*)")$`).FindAllStringSubmatch(conf, -1) {
		lines = append(lines, match[1])
		if !slices.Contains(loaded, match[2]) {
			t.Errorf("%s is not loaded", match[2])
		}
	}
	if len(lines) != 2 || len(loaded) != 2 {
		t.Fatalf("got lines %q and credentials %q, want two each", lines, loaded)
	}
	return lines
}

// TestSystemdCredentials runs the command of the unit with the secrets that credentials.conf
// loads, in the place where systemd puts them.
func TestSystemdCredentials(t *testing.T) {
	lines := credentialLines(t)
	credentials := t.TempDir()
	writeFile(t, credentials, "session-key", strings.Repeat("k", 44), 0o400)
	writeFile(t, credentials, "assertion-key.pem", newAssertionKey(t), 0o400)
	text := strings.Replace(read(t, "systemd/gateway.yaml"), "/var/lib/gatehouse", t.TempDir(), 1) + strings.Join(lines, "\n") + "\n"
	file := writeFile(t, t.TempDir(), "gateway.yaml", text, 0o644)
	argv := regexp.MustCompile(`(?m)^ExecStart=(.*)$`).FindStringSubmatch(read(t, "systemd/"+unitName))
	places := strings.NewReplacer("/usr/bin/gatehouse", gatehouse(t), "/etc/gatehouse/gateway.yaml", file)
	args := strings.Fields(places.Replace(argv[1]))
	check := command{env: []string{"CREDENTIALS_DIRECTORY=" + credentials}, argv: append(args, "--check")}
	if out := check.run(t); !strings.Contains(out, "the configuration is valid") {
		t.Errorf("got %s", out)
	}
	os.Remove(filepath.Join(credentials, "session-key"))
	if out, err := check.output(); err == nil || !strings.Contains(out, "session_key_file") {
		t.Errorf("without the key: got %v, %s", err, out)
	}
}
