package check

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// machine is a systemd that runs in a container of systemd-nspawn, with the programs and the network
// of this machine, and the files of the Debian package of a release.
type machine struct {
	root string // folder of its files
	pid  string // of its systemd
}

// packaged copies the files that .goreleaser.yaml puts into the Debian package to a folder.
func packaged(t testing.TB, folder string) {
	t.Helper()
	files := map[string]string{"/usr/bin/gatehouse": gatehouse(t)}
	text, err := os.ReadFile(filepath.Join(repository, ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`{src: (deploy/systemd/[^,]+), dst: ([^,}]+)`).FindAllStringSubmatch(string(text), -1) {
		files[match[2]] = filepath.Join(repository, match[1])
	}
	if len(files) != 5 {
		t.Fatalf("got the files %v, want 5", files)
	}
	for to, from := range files {
		mode := "0644"
		if strings.HasPrefix(to, "/usr/bin/") {
			mode = "0755"
		}
		command{argv: []string{"install", "-D", "-m", mode, from, filepath.Join(folder, to)}}.run(t)
	}
}

// startMachine starts systemd with the package, the file of the gateway and its secrets.
func startMachine(t *testing.T, nspawn, file string) *machine {
	t.Helper()
	m := &machine{root: filepath.Join(t.TempDir(), "root")}
	const script = `set -e; mkdir -p "$1"; cd "$1"
mkdir -p usr etc/systemd/system/gatehouse-gateway.service.d etc/systemd/system/multi-user.target.wants \
	etc/gatehouse/secrets var/lib var/log run tmp proc sys dev root
for name in bin sbin lib lib64; do ln -s usr/$name $name; done
cp -a /etc/passwd /etc/group /etc/nsswitch.conf /etc/ssl etc/
cp /usr/lib/os-release etc/os-release
printf '127.0.0.1 localhost\n::1 localhost\n' >etc/hosts; : >etc/machine-id; echo test >etc/hostname
chmod 0700 etc/gatehouse/secrets; umask 077
openssl rand -base64 32 >etc/gatehouse/secrets/session-key
openssl ecparam -name prime256v1 -genkey -noout -out etc/gatehouse/secrets/assertion-key.pem`
	command{argv: []string{"sh", "-c", script, "sh", m.root}}.run(t)
	packaged(t, m.root+"-package")
	command{argv: []string{"cp", "-a", m.root + "-package/etc", m.root}}.run(t)
	writeFile(t, m.root, "etc/gatehouse/gateway.yaml", file, 0o644)
	command{argv: []string{"cp", m.root + "-package/usr/share/doc/gatehouse/credentials.conf",
		filepath.Join(m.root, "etc/systemd/system/gatehouse-gateway.service.d")}}.run(t)
	p := start(t, t.TempDir(), nil, nspawn, "--quiet", "--register=no", "--keep-unit", "--boot", "--console=pipe",
		"--directory="+m.root, "--overlay-ro=/usr:"+m.root+"-package/usr:/usr", "systemd.unit=multi-user.target")
	m.await(t, p)
	return m
}

// await waits until systemd has started everything, and stops it when the test ends.
func (m *machine) await(t *testing.T, p *program) {
	t.Helper()
	nspawn := strconv.Itoa(p.cmd.Process.Pid)
	for deadline := time.Now().Add(startTime); ; time.Sleep(200 * time.Millisecond) {
		children, _ := os.ReadFile("/proc/" + nspawn + "/task/" + nspawn + "/children")
		if fields := strings.Fields(string(children)); len(fields) == 1 {
			m.pid = fields[0]
			if out, _ := m.output("systemctl", "is-system-running"); strings.TrimSpace(out) == "running" {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("systemd did not start\n%s", p.output())
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := m.output("journalctl", "--no-pager", "-o", "cat", "-u", unitName)
			t.Logf("journal of the unit:\n%s", out)
		}
		pid, _ := strconv.Atoi(m.pid)
		syscall.Kill(pid, syscall.Signal(34+4)) // SIGRTMIN+4, which switches it off
	})
}

// output runs a program inside.
func (m *machine) output(argv ...string) (string, error) {
	return command{argv: append([]string{"nsenter", "-t", m.pid, "-m", "-u", "-i", "-p", "--"}, argv...)}.output()
}

// run is output, and the test fails if the program does.
func (m *machine) run(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := m.output(argv...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// property returns a property of the unit.
func (m *machine) property(t testing.TB, name string) string {
	t.Helper()
	return m.run(t, "systemctl", "show", "-P", name, unitName)
}

// TestSystemdRuns starts the unit with a real systemd: sign-in, user and capabilities, secrets as
// credentials, reload, rotation of the audit log, restart and stop.
func TestSystemdRuns(t *testing.T) {
	nspawn := debianTool(t, "systemd-nspawn", "systemd-container")
	if nspawn == "" || debianTool(t, "logrotate", "logrotate") == "" || os.Getuid() != 0 {
		t.Skip("needs systemd-nspawn, logrotate and root")
	}
	clerkPort, port, operatorPort, backendPort := freePort(t), freePort(t), freePort(t), freePort(t)
	file := strings.NewReplacer("localhost:3000", "localhost:"+port, "localhost:9090", "localhost:"+operatorPort,
		"name: oidc", "name: clerk", "issuer: https://issuer.example.com", "frontend_api_url: http://localhost:"+clerkPort,
		"https://mcp.example.com/mcp", "http://localhost:"+port+"/mcp", "localhost:8000", "localhost:"+backendPort,
	).Replace(read(t, "systemd/gateway.yaml"))
	file += strings.Join(credentialLines(t), "\n") + "\naudit: {file: /var/log/gatehouse/audit.jsonl}\n"

	clerk := start(t, t.TempDir(), nil, gatehouse(t), "clerk", "--port", clerkPort)
	clerk.await(t, "http://localhost:"+clerkPort+"/.well-known/openid-configuration")
	backendProgram := filepath.Join(t.TempDir(), "backend")
	buildBackend(t, backendProgram)
	start(t, t.TempDir(), []string{"PORT=" + backendPort}, backendProgram).await(t, "http://localhost:"+backendPort+"/healthz")

	m := startMachine(t, nspawn, file)
	m.checkAsRoot(t)
	m.checkStart(t, file)
	ready := func() int { return get(t, "http://localhost:"+operatorPort+"/readyz", "") }
	until(t, "ready", func() bool { return ready() == 200 })
	home := t.TempDir()
	out := command{env: []string{"HOME=" + home, "XDG_CONFIG_HOME=" + home},
		argv: []string{gatehouse(t), "call", "http://localhost:" + port + "/mcp", "whoami", "--user", "ada"}}.run(t)
	if !strings.Contains(out, "user_") {
		t.Errorf("got %q, want the ID of the user", out)
	}
	m.checkProcess(t)
	m.checkReload(t, file)
	m.checkRotation(t, func() { get(t, "http://localhost:"+port+"/mcp", "") })

	clerk.terminate(t) // from now on, the keys are those in key_folder
	m.run(t, "systemctl", "kill", "-s", "KILL", unitName)
	until(t, "restarted", func() bool { return m.property(t, "NRestarts") == "1" && ready() == 200 })
	m.checkPackageScripts(t)
	if result, status := m.property(t, "Result"), m.property(t, "ExecMainStatus"); result != "success" || status != "0" {
		t.Errorf("after the stop: result %q, exit status %q; want success and 0", result, status)
	}
}

// checkPackageScripts runs the scripts of the Debian package as dpkg does: an upgrade restarts the
// gateway, a removal stops it, and nothing else does either.
func (m *machine) checkPackageScripts(t testing.TB) {
	t.Helper()
	for _, name := range []string{"postinst.sh", "prerm.sh"} {
		writeFile(t, m.root, "root/"+name, read(t, "systemd/"+name), 0o755)
	}
	for _, test := range []struct {
		argv           []string
		restart, state string
	}{
		{[]string{"/root/postinst.sh", "configure"}, "same", "active"},
		{[]string{"/root/prerm.sh", "upgrade", "2.0.0"}, "same", "active"},
		{[]string{"/root/postinst.sh", "configure", "1.0.0"}, "new", "active"},
		{[]string{"/root/prerm.sh", "remove"}, "none", "inactive"},
	} {
		before := m.property(t, "MainPID")
		m.run(t, test.argv...)
		restart := "new"
		switch m.property(t, "MainPID") {
		case before:
			restart = "same"
		case "0":
			restart = "none"
		}
		if state := m.property(t, "ActiveState"); restart != test.restart || state != test.state {
			t.Errorf("%q: got %s process and %q, want %s and %q", test.argv, restart, state, test.restart, test.state)
		}
	}
	if out, _ := m.output("systemctl", "is-enabled", unitName); strings.TrimSpace(out) != "disabled" {
		t.Errorf("after the removal the unit is %q, want disabled", out)
	}
}

// until waits for a condition.
func until(t testing.TB, name string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(startTime); !condition(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", name, startTime)
		}
	}
}

// checkAsRoot checks the file with folders that root has made, before the first start. It must leave
// nothing behind that the service cannot write.
func (m *machine) checkAsRoot(t testing.TB) {
	t.Helper()
	m.run(t, "mkdir", "-p", "/var/log/gatehouse", "/var/lib/gatehouse")
	out := m.run(t, "env", "CREDENTIALS_DIRECTORY=/etc/gatehouse/secrets",
		"gatehouse", "gateway", "--config", "/etc/gatehouse/gateway.yaml", "--check")
	if !strings.Contains(out, "the configuration is valid") {
		t.Errorf("got %s", out)
	}
	if files := m.run(t, "ls", "-A", "/var/log/gatehouse"); files != "" {
		t.Errorf("the check made %s", files)
	}
}

// checkStart starts the unit, and before that with a mistake in the file.
func (m *machine) checkStart(t testing.TB, file string) {
	t.Helper()
	writeFile(t, m.root, "etc/gatehouse/gateway.yaml", strings.Replace(file, "listen:", "lisen:", 1), 0o644)
	if out, err := m.output("systemctl", "start", unitName); err == nil {
		t.Errorf("the unit starts with a mistake in the file: %s", out)
	}
	m.run(t, "systemctl", "stop", unitName)
	writeFile(t, m.root, "etc/gatehouse/gateway.yaml", file, 0o644)
	m.run(t, "systemctl", "enable", "--now", unitName)
}

// checkProcess checks that the process runs as another user, without capabilities and with a filter
// of system calls, and that it has written to its folders.
func (m *machine) checkProcess(t testing.TB) {
	t.Helper()
	status := m.run(t, "cat", "/proc/"+m.property(t, "MainPID")+"/status")
	for _, line := range []string{`Uid:\t[1-9]\d*`, `CapEff:\t0+`, `CapBnd:\t0+`, `NoNewPrivs:\t1`, `Seccomp:\t2`} {
		if !regexp.MustCompile(`(?m)^` + line + `\b`).MatchString(status) {
			t.Errorf("got the process status\n%s\nwant %s", status, line)
		}
	}
	m.run(t, "sh", "-c", "ls /var/lib/gatehouse/keys-*.json && test -s /var/log/gatehouse/audit.jsonl")
}

// checkReload reloads the unit, and with a mistake in the file, which is logged and does not end it.
func (m *machine) checkReload(t testing.TB, file string) {
	t.Helper()
	m.run(t, "systemctl", "reload", unitName)
	for _, change := range []struct{ text, log string }{
		{strings.Replace(file, "upstream:", "upstraem:", 1), `config file not applied.*upstraem`},
		{file + "log_requests: true\n", "config file applied"},
	} {
		writeFile(t, m.root, "etc/gatehouse/gateway.yaml", change.text, 0o644)
		m.run(t, "systemctl", "reload", unitName)
		until(t, change.log, func() bool {
			return regexp.MustCompile(change.log).MatchString(m.run(t, "journalctl", "--no-pager", "-o", "cat", "-u", unitName))
		})
		if state := m.property(t, "ActiveState"); state != "active" {
			t.Errorf("after a reload: %q, want active", state)
		}
	}
}

// checkRotation rotates the audit log. The next event, of request, must be in a new file.
func (m *machine) checkRotation(t testing.TB, request func()) {
	t.Helper()
	const events = "grep -c . /var/log/gatehouse/audit.jsonl"
	before := m.run(t, "sh", "-c", events)
	m.run(t, "logrotate", "--force", "--state", "/run/logrotate", "/etc/logrotate.d/gatehouse")
	until(t, "new audit log", func() bool {
		_, err := m.output("test", "-e", "/var/log/gatehouse/audit.jsonl")
		return err == nil
	})
	request()
	until(t, "event", func() bool { out, _ := m.output("sh", "-c", events); return strings.TrimSpace(out) == "1" })
	if old := m.run(t, "sh", "-c", "grep -c . /var/log/gatehouse/audit.jsonl.1"); old != before {
		t.Errorf("the rotated file has %s events, want %s", old, before)
	}
	if n := m.property(t, "NRestarts"); n != "0" {
		t.Errorf("got %s restarts, want 0", n)
	}
}
