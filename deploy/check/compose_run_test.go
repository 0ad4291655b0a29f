package check

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const keycloakVersion = "26.7.3" // as in compose.yaml

// keycloakFolder returns a copy of Keycloak's distribution, which is downloaded once from Maven's
// central repository. The files are links, so that the copy costs nothing; Keycloak writes new ones.
func keycloakFolder(t testing.TB) string {
	t.Helper()
	for program, pkg := range map[string]string{"java": "openjdk-17-jre-headless", "mvn": "maven"} {
		if debianTool(t, program, pkg) == "" {
			t.Fatalf("%s is not on PATH; install it (Debian: apt-get install %s)", program, pkg)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(cache, "gatehouse-e2e", "keycloak-deploy")
	original := filepath.Join(folder, "keycloak-"+keycloakVersion)
	if _, err := os.Stat(filepath.Join(original, "bin/kc.sh")); err != nil {
		command{argv: []string{"mvn", "--batch-mode", "--quiet", "--strict-checksums",
			"org.apache.maven.plugins:maven-dependency-plugin:3.8.1:unpack",
			"-Dartifact=org.keycloak:keycloak-quarkus-dist:" + keycloakVersion + ":zip", "-DoutputDirectory=" + folder}}.run(t)
	}
	copied := filepath.Join(t.TempDir(), "keycloak")
	command{argv: []string{"cp", "-a", original, copied}}.run(t)
	return copied
}

// browser is a script that signs in as ada at the page of a link.
const browser = `#!/bin/sh
set -e
cd "$(mktemp -d)"
form() { sed -n 's/.*action="\([^"]*\)".*/\1/p' page | head -1 | sed 's/&amp;/\&/g'; }
curl -s -c jar -b jar -L -o page "$1"
curl -s -c jar -b jar -L -o page -d username=ada -d password=ada -d credentialId= "$(form)"
if grep -q 'name="accept"' page; then
	code=$(sed -n 's/.*name="code" value="\([^"]*\)".*/\1/p' page | head -1)
	action=$(form)
	case $action in /*) action=ORIGIN$action ;; esac
	curl -s -c jar -b jar -L -o page -d "code=$code" -d accept=Yes "$action"
fi
`

// TestComposeRuns runs the programs of deploy/compose with its files, and without containers: only
// addresses and paths are replaced. A user signs in at Keycloak and calls the tool.
func TestComposeRuns(t *testing.T) {
	if debianTool(t, "redis-server", "redis-server") == "" {
		t.Fatal("redis-server is not on PATH; install it (Debian: apt-get install redis-server)")
	}
	folder := t.TempDir()
	command{argv: []string{"cp", "-r", filepath.Join(deploy, "compose"), folder}}.run(t)
	folder = filepath.Join(folder, "compose")
	os.RemoveAll(filepath.Join(folder, "secrets"))
	command{argv: []string{filepath.Join(folder, "secrets.sh")}}.run(t)
	if out, err := (command{argv: []string{filepath.Join(folder, "secrets.sh")}}).output(); err == nil {
		t.Errorf("secrets.sh replaces secrets: %s", out)
	}
	port, operatorPort, keycloakPort, redisPort, backendPort := freePort(t), freePort(t), freePort(t), freePort(t), freePort(t)
	replaced := []string{
		":3000", ":" + port, ":9090", ":" + operatorPort, ":8080", ":" + keycloakPort,
		"redis:6379", "localhost:" + redisPort, "backend:8000", "localhost:" + backendPort, "dir /data", "dir " + folder,
	}
	for name, secret := range compose(t, filepath.Join(folder, "compose.yaml")).Secrets {
		replaced = append(replaced, "/run/secrets/"+name, secret.File)
	}
	for _, name := range []string{"gateway.yaml", "realm.json", "secrets/redis-url", "secrets/redis.conf"} {
		path := filepath.Join(folder, name)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		os.Remove(path)
		writeFile(t, folder, name, strings.NewReplacer(replaced...).Replace(string(text)), 0o400)
	}

	start(t, folder, nil, "redis-server", filepath.Join(folder, "secrets/redis.conf"), "--port", redisPort)
	backendProgram := filepath.Join(t.TempDir(), "backend")
	buildBackend(t, backendProgram)
	backend := start(t, folder, []string{"PORT=" + backendPort}, backendProgram)
	backend.await(t, "http://localhost:"+backendPort+"/healthz")
	gateway := start(t, folder, nil, gatehouse(t), "gateway", "--config", filepath.Join(folder, "gateway.yaml"))
	startKeycloak(t, filepath.Join(folder, "realm.json"), keycloakPort)
	gateway.await(t, "http://localhost:"+operatorPort+"/readyz")

	script := writeFile(t, folder, "browser", strings.Replace(browser, "ORIGIN", "http://localhost:"+keycloakPort, 1), 0o700)
	out := command{dir: folder, env: []string{"BROWSER=" + script, "HOME=" + folder, "XDG_CONFIG_HOME=" + folder},
		argv: []string{gatehouse(t), "call", "--timeout", "60s", "http://localhost:" + port + "/mcp", "whoami"}}.run(t)
	if !regexp.MustCompile(`(?m)^[0-9a-f]{8}-[0-9a-f-]{27}$`).MatchString(out) {
		t.Errorf("got %q, want the ID of a user of Keycloak", out)
	}
}

// buildBackend builds the MCP server of compose.yaml.
func buildBackend(t testing.TB, path string) {
	t.Helper()
	command{dir: repository, env: []string{"GOWORK="}, argv: []string{"go", "build", "-o", path, "./deploy/compose/backend"}}.run(t)
}

// startKeycloak starts Keycloak as compose.yaml does, and waits until the realm is imported.
func startKeycloak(t testing.TB, realm, port string) {
	t.Helper()
	folder := keycloakFolder(t)
	command{argv: []string{"mkdir", "-p", filepath.Join(folder, "data/import")}}.run(t)
	command{argv: []string{"cp", realm, filepath.Join(folder, "data/import/realm.json")}}.run(t)
	keycloak := start(t, folder, []string{"JAVA_OPTS_KC_HEAP=-Xms64m -Xmx768m"}, "bash", "bin/kc.sh", "start-dev", "--db=dev-mem",
		"--import-realm", "--http-host=127.0.0.1", "--http-port="+port)
	keycloak.await(t, "http://localhost:"+port+"/realms/demo/.well-known/openid-configuration")
}
