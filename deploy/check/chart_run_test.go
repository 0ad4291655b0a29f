package check

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
)

// seconds is a duration in whole seconds, written like 5s.
type seconds int64

// UnmarshalJSON reads a duration.
func (s *seconds) UnmarshalJSON(text []byte) error {
	for _, c := range strings.Trim(string(text), `"s`) {
		*s = *s*10 + seconds(c-'0')
	}
	return nil
}

// newAssertionKey makes a key as docs/deploy.md says.
func newAssertionKey(t testing.TB) string {
	t.Helper()
	return command{argv: []string{"openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"}}.run(t)
}

// container is the gateway of a rendered chart, with the files that Kubernetes would mount.
type container struct {
	folder string
	argv   []string
	env    []string
}

// newContainer writes the files of the chart to a folder. change replaces texts in the file of the
// gateway.
func newContainer(t testing.TB, all map[string]any, change ...string) container {
	t.Helper()
	c := container{folder: t.TempDir()}
	deployment := all["Deployment mcp-gatehouse-gateway"].(*apps.Deployment)
	file := all["ConfigMap mcp-gatehouse-gateway"].(*core.ConfigMap).Data["gateway.yaml"]
	writeFile(t, c.folder, "assertion-key.pem", newAssertionKey(t), 0o600)
	writeFile(t, c.folder, "session-key", strings.Repeat("k", 44), 0o600)
	mounts := strings.NewReplacer(append(slices.Clone(change),
		"/etc/gatehouse-keys", c.folder, "/etc/gatehouse", c.folder, "/var/lib/gatehouse", c.folder)...)
	writeFile(t, c.folder, "gateway.yaml", mounts.Replace(file), 0o600)
	spec := deployment.Spec.Template.Spec.Containers[0]
	for _, variable := range spec.Env {
		value := variable.Value
		if variable.ValueFrom != nil {
			value = "secret-of-the-test"
		}
		if variable.Name == "REDIS_URL" {
			value = "rediss://gateway:secret-of-the-test@redis:6379/0"
		}
		c.env = append(c.env, variable.Name+"="+value)
	}
	c.argv = []string{gatehouse(t)}
	for _, arg := range spec.Args {
		c.argv = append(c.argv, mounts.Replace(arg))
	}
	return c
}

// TestChartFile checks the file of the ConfigMap as the gateway does, and with a mistake.
func TestChartFile(t *testing.T) {
	for _, name := range chartValues(t) {
		all := rendered(t, name)
		c := newContainer(t, all)
		out := command{dir: c.folder, env: c.env, argv: append(c.argv, "--check")}.run(t)
		if !strings.Contains(out, "the configuration is valid") {
			t.Errorf("%s: got %s", name, out)
		}
		c = newContainer(t, all, "upstream", "upstraem")
		if out, err := (command{dir: c.folder, env: c.env, argv: append(c.argv, "--check")}).output(); err == nil {
			t.Errorf("%s with a mistake: got %s", name, out)
		}
	}
}

// TestChartRuns runs the gateway as the Deployment does, and requests its probes.
func TestChartRuns(t *testing.T) {
	clerkPort, port, operatorPort := freePort(t), freePort(t), freePort(t)
	clerk := start(t, t.TempDir(), nil, gatehouse(t), "clerk", "--port", clerkPort)
	all := rendered(t, "one-replica", "--set", "drainSeconds=3,operator.port="+operatorPort, "--set-json",
		`config.provider={"name":"clerk","frontend_api_url":"http://localhost:`+clerkPort+`"}`)
	clerk.await(t, "http://localhost:"+clerkPort+"/.well-known/openid-configuration")
	c := newContainer(t, all, ":3000", ":"+port)
	gateway := start(t, c.folder, c.env, c.argv...)
	ports := map[string]string{"http": port, "operator": operatorPort}
	spec := all["Deployment mcp-gatehouse-gateway"].(*apps.Deployment).Spec.Template.Spec.Containers[0]
	for _, probe := range []*core.Probe{spec.LivenessProbe, spec.ReadinessProbe} {
		gateway.await(t, "http://localhost:"+ports[probe.HTTPGet.Port.StrVal]+probe.HTTPGet.Path)
	}
	if status := get(t, "http://localhost:"+port+"/mcp", "mcp.example.com"); status != http.StatusUnauthorized {
		t.Errorf("got status %d of the endpoint without a token, want 401", status)
	}
	test := all["Pod mcp-gatehouse-gateway-test"].(*core.Pod).Spec.Containers[0].Args
	for i := range test {
		test[i] = strings.Replace(test[i], "mcp-gatehouse-gateway:80", "localhost:"+port, 1)
	}
	command{argv: append([]string{gatehouse(t)}, test...)}.run(t)
	if files, _ := filepath.Glob(filepath.Join(c.folder, "keys-*.json")); len(files) != 1 {
		t.Errorf("got %d files with keys of the provider in key_folder, want 1", len(files))
	}
	checkDrain(t, gateway, "http://localhost:"+operatorPort+spec.ReadinessProbe.HTTPGet.Path, "http://localhost:"+port+"/mcp")
}

// checkDrain stops the gateway. It must say first that it is not ready, and still accept requests.
func checkDrain(t *testing.T, gateway *program, readiness, endpoint string) {
	syscall.Kill(gateway.cmd.Process.Pid, syscall.SIGTERM)
	for range 100 {
		if get(t, readiness, "") == http.StatusServiceUnavailable {
			if status := get(t, endpoint, "mcp.example.com"); status != http.StatusUnauthorized {
				t.Errorf("while it is not ready, the endpoint has status %d, want 401", status)
			}
			return
		}
	}
	t.Error("the gateway stopped without saying that it is not ready")
}
