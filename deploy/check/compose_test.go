package check

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"sigs.k8s.io/yaml"
)

// composeFiles are the compose files of the repository.
var composeFiles = []string{"deploy/compose/compose.yaml", "examples/container/compose.yaml"}

// compose loads a compose file with the parser of Docker Compose.
func compose(t testing.TB, path string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{path}, cli.WithInterpolation(true), cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// TestComposeGolden compares what Docker Compose reads, and checks that every file exists that is
// built or mounted.
func TestComposeGolden(t *testing.T) {
	for _, name := range composeFiles {
		project := compose(t, filepath.Join(repository, name))
		text, err := project.MarshalYAML()
		if err != nil {
			t.Fatal(err)
		}
		golden(t, strings.ReplaceAll(name, "/", "-"), strings.ReplaceAll(string(text), repository, "REPOSITORY"))
		var files []string
		for _, service := range project.Services {
			if service.Build != nil {
				files = append(files, filepath.Join(service.Build.Context, service.Build.Dockerfile))
			}
			for _, volume := range service.Volumes {
				if volume.Type == types.VolumeTypeBind {
					files = append(files, volume.Source)
				}
			}
		}
		for _, config := range project.Configs {
			files = append(files, config.File)
		}
		for _, file := range files {
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// composeFaults returns what is wrong with the networks and secrets of deploy/compose.
func composeFaults(project *types.Project) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for name, service := range project.Services {
		inside := name == "backend" || name == "redis"
		if inside && len(service.Ports) > 0 {
			fault("%s is published", name)
		}
		for network := range service.Networks {
			if inside && !bool(project.Networks[network].Internal) {
				fault("%s is in the network %s, which leads to the outside", name, network)
			}
		}
		if inside && len(service.Networks) == 0 {
			fault("%s has no network of its own", name)
		}
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				fault("port %d of %s can be reached from other machines", port.Target, name)
			}
		}
		for variable, value := range service.Environment {
			if value != nil && *value != "" && regexp.MustCompile(`(?i)(password|secret|_key)$`).MatchString(variable) {
				fault("%s has the secret %s in its environment", name, variable)
			}
		}
		for _, secret := range service.Secrets {
			if project.Secrets[secret.Source].File == "" {
				fault("secret %s is not a file", secret.Source)
			}
		}
		if service.Build == nil && !regexp.MustCompile(`:[0-9]+\.[0-9]`).MatchString(service.Image) {
			fault("the image %s has no version", service.Image)
		}
		if !slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
			fault("%s may gain privileges", name)
		}
	}
	return faults
}

// TestComposeNetworks checks deploy/compose, and with one change each.
func TestComposeNetworks(t *testing.T) {
	path := filepath.Join(deploy, "compose/compose.yaml")
	if faults := composeFaults(compose(t, path)); len(faults) > 0 {
		t.Errorf("got faults %q", faults)
	}
	text := read(t, "compose/compose.yaml")
	tests := []struct{ old, new, want string }{
		{"networks: [back]\n    restart", "networks: [back]\n    ports: [\"8000:8000\"]\n    restart", "backend is published"},
		{"networks: [back]\n    restart", "networks: [front, back]\n    restart", "backend is in the network front"},
		{"{internal: true}", "{}", "redis is in the network back, which leads to the outside"},
		{"    networks: [back]\n    restart", "    network_mode: host\n    restart", "backend has no network of its own"},
		{`"127.0.0.1:3000:3000"`, `"3000:3000"`, "port 3000 of gateway can be reached"},
		{"KC_BOOTSTRAP_ADMIN_USERNAME: admin", "KC_BOOTSTRAP_ADMIN_PASSWORD: admin", "has the secret KC_BOOTSTRAP_ADMIN_PASSWORD"},
		{"{file: secrets/session-key}", "{environment: SESSION_KEY}", "secret session_key is not a file"},
		{"redis:7.4-alpine", "redis:latest", "has no version"},
		{"    security_opt: [\"no-new-privileges:true\"]\n\n  # Rev", "\n  # Rev", "backend may gain privileges"},
	}
	for _, test := range tests {
		changed := strings.Replace(text, test.old, test.new, 1)
		if changed == text {
			t.Fatalf("the file has no %q", test.old)
		}
		faults := composeFaults(compose(t, writeFile(t, t.TempDir(), "compose.yaml", changed, 0o600)))
		if !slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, test.want) }) {
			t.Errorf("with %q: got faults %q, want %q", test.new, faults, test.want)
		}
	}
}

// TestComposeGracePeriod checks that the engine waits longer than the gateway needs to stop.
func TestComposeGracePeriod(t *testing.T) {
	var file struct {
		Drain    seconds `json:"drain_delay"`
		Shutdown seconds `json:"shutdown_timeout"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "compose/gateway.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	gateway := compose(t, filepath.Join(deploy, "compose/compose.yaml")).Services["gateway"]
	grace := time.Duration(*gateway.StopGracePeriod)
	if file.Shutdown == 0 || grace <= time.Duration(file.Drain+file.Shutdown)*time.Second {
		t.Errorf("stop_grace_period is %v, want more than %d s + %d s", grace, file.Drain, file.Shutdown)
	}
}
