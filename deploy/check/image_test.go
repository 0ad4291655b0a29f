package check

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// image is an image that buildah has built.
type image struct {
	name   string
	Config struct {
		Env             []string
		Entrypoint, Cmd []string
		User            string
		Healthcheck     struct{ Test []string }
		Labels          map[string]string
	}
}

// buildah runs buildah without a daemon and without images of the user.
func buildah(t testing.TB, program, storage string, args ...string) string {
	t.Helper()
	c := command{dir: repository, argv: append([]string{program, "--root", storage, "--runroot", storage + "-run"}, args...)}
	c.env = []string{"STORAGE_DRIVER=vfs", "BUILDAH_ISOLATION=chroot"}
	return strings.TrimSpace(c.run(t))
}

// baseImage makes an image that stands for golang:1.26, which no registry is needed for: the Go
// of this machine, and the shell of busybox.
func baseImage(t testing.TB, run func(args ...string) string) string {
	t.Helper()
	busybox := debianTool(t, "busybox", "busybox-static")
	if busybox == "" {
		t.Fatal("busybox is not on PATH; install it (Debian: apt-get install busybox-static)")
	}
	goroot := strings.TrimSpace(command{argv: []string{"go", "env", "GOROOT"}}.run(t))
	container := run("from", "scratch")
	root := run("mount", container)
	script := `set -e; cd "$1"; mkdir -p bin usr/local etc/ssl/certs tmp root go; cp "$2" bin/busybox
for name in sh mkdir; do ln -s busybox bin/$name; done
cp -r "$3" usr/local/go; cp -L /etc/ssl/certs/ca-certificates.crt etc/ssl/certs/
echo root:x:0:0::/root:/bin/sh >etc/passwd; chmod 1777 tmp`
	command{argv: []string{"sh", "-c", script, "sh", root, busybox, goroot}}.run(t)
	run("config", "--env", "PATH=/usr/local/go/bin:/bin", "--env", "GOPATH=/go",
		"--env", "GOTOOLCHAIN=local", "--env", "HOME=/root", container)
	run("umount", container)
	run("commit", "-q", container, "localhost/golang:1.26")
	return "localhost/golang:1.26"
}

// TestImages builds the images with buildah, and runs each as its user, on a root file system that
// is read-only: the server of the template signs in at the local Clerk, and so does the gateway.
func TestImages(t *testing.T) {
	program := debianTool(t, "buildah", "buildah")
	if program == "" || os.Getuid() != 0 {
		t.Skip("needs buildah and root")
	}
	storage := filepath.Join(t.TempDir(), "storage")
	run := func(args ...string) string { return buildah(t, program, storage, args...) }
	t.Cleanup(func() { run("rm", "--all") })
	base := baseImage(t, run)
	modules := strings.TrimSpace(command{argv: []string{"go", "env", "GOMODCACHE"}}.run(t))
	cache := strings.TrimSpace(command{argv: []string{"go", "env", "GOCACHE"}}.run(t))
	build := func(name string, args ...string) image {
		run(append([]string{"bud", "-q", "--layers", "--format", "docker", "-t", name,
			"--build-arg", "GO_IMAGE=" + base, "--build-arg", "VERSION=1.2.3",
			"-v", modules + ":/go/pkg/mod", "-v", cache + ":/root/.cache/go-build"}, append(args, ".")...)...)
		var inspected struct{ Docker image }
		if err := json.Unmarshal([]byte(run("inspect", "--type", "image", name)), &inspected); err != nil {
			t.Fatal(err)
		}
		inspected.Docker.name = name
		return inspected.Docker
	}
	gateway := build("gateway", "-f", "deploy/Containerfile")
	clerk := build("clerk", "-f", "deploy/Containerfile", "--target", "clerk")
	server := build("server", "-f", "examples/container/Containerfile")
	if got := gateway.Config.Labels["org.opencontainers.image.version"]; got != "1.2.3" {
		t.Errorf("got the label version %q, want 1.2.3", got)
	}
	buildReleaseImages(t, run, base, filepath.Join(storage, "..", "context"))
	runImages(t, run, gateway, clerk, server)
}

// buildReleaseImages builds the image of a release for both architectures, of a folder like that
// which goreleaser makes.
func buildReleaseImages(t *testing.T, run func(...string) string, base, context string) {
	t.Helper()
	for _, platform := range []string{"linux/amd64", "linux/arm64"} {
		folder := filepath.Join(context, platform)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, folder, "gatehouse", "the program for "+platform, 0o755)
		name := "release-" + filepath.Base(platform)
		run("bud", "-q", "--format", "docker", "-t", name, "--platform", platform, "--build-arg", "GO_IMAGE="+base,
			"--build-arg", "BUILDPLATFORM=linux/"+runtime.GOARCH, // BuildKit and later versions of buildah set it
			"-f", "deploy/Containerfile.release", context)
		if got := run("inspect", "--type", "image", "--format", "{{.OCIv1.Architecture}}", name); got != filepath.Base(platform) {
			t.Errorf("%s: got an image for %q", platform, got)
		}
		root := run("mount", run("from", "--platform", platform, name))
		for path, want := range map[string]string{
			"gatehouse": "the program for " + platform, "etc/ssl/certs/ca-certificates.crt": "BEGIN CERTIFICATE",
		} {
			if text, err := os.ReadFile(filepath.Join(root, path)); err != nil || !strings.Contains(string(text), want) {
				t.Errorf("%s: %s is wrong: %v", platform, path, err)
			}
		}
	}
}

func runImages(t *testing.T, run func(...string) string, gateway, clerk, server image) {
	clerkPort, port, gatewayPort := freePort(t), freePort(t), freePort(t)
	ports := strings.NewReplacer("4000", clerkPort, "3000", gatewayPort)
	clerk.start(t, run, nil, "", "--port", clerkPort).await(t, "http://localhost:"+clerkPort+"/.well-known/openid-configuration")
	clerk.healthy(t, ports)

	url := "http://localhost:" + port + "/mcp"
	env := []string{"MCP_USE_OAUTH_CLERK_FRONTEND_API_URL=http://localhost:" + clerkPort, "PORT=" + port, "MCP_URL=" + url}
	server.start(t, run, env, "").await(t, "http://localhost:"+port+"/readyz")
	home := t.TempDir()
	call := []string{gatehouse(t), "call", url, "whoami", "--user", "ada"}
	out := command{env: []string{"HOME=" + home, "XDG_CONFIG_HOME=" + home}, argv: call}.run(t)
	if !strings.Contains(out, "ada@example.com") {
		t.Errorf("got %q, want the user", out)
	}

	config := t.TempDir()
	os.Chmod(config, 0o755)
	writeFile(t, config, "gateway.yaml", `listen: :`+gatewayPort+`
provider: {name: clerk, frontend_api_url: "http://localhost:`+clerkPort+`"}
endpoints: [{url: "http://localhost:`+gatewayPort+`/mcp", upstream: "http://localhost:`+port+`/mcp"}]
`, 0o644)
	p := gateway.start(t, run, nil, config)
	p.await(t, "http://localhost:"+gatewayPort+"/readyz")
	gateway.healthy(t, ports)
	if log := p.output(); strings.Contains(log, "cannot be stored") {
		t.Errorf("the image has no /tmp: %s", log)
	}
}

// healthy runs the health check of the image.
func (i image) healthy(t testing.TB, ports *strings.Replacer) {
	t.Helper()
	test := i.Config.Healthcheck.Test
	if len(test) < 2 || test[0] != "CMD" || test[1] != "/gatehouse" {
		t.Fatalf("got the health check %q", test)
	}
	argv := []string{gatehouse(t)}
	for _, arg := range test[2:] {
		argv = append(argv, ports.Replace(arg))
	}
	command{argv: argv}.run(t)
}

// start runs the image as an engine would: with its user and environment, and a root file system
// that is read-only but for /tmp. config, if not empty, is mounted at /etc/gatehouse.
func (i image) start(t testing.TB, run func(...string) string, env []string, config string, args ...string) *program {
	t.Helper()
	root := run("mount", run("from", i.name))
	script := `set -e; root=$1 config=$2; shift 2
mount --bind "$root" "$root"
if [ -n "$config" ]; then mkdir -p "$root/etc/gatehouse"; mount --bind "$config" "$root/etc/gatehouse"; fi
mkdir -p "$root/tmp"; mount -o remount,ro,bind "$root"; mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
exec env -i "$@"`
	argv := []string{"unshare", "--mount", "sh", "-c", script, "sh", root, config}
	argv = append(append(argv, i.Config.Env...), env...)
	argv = append(append(argv, "/usr/sbin/chroot", "--userspec="+i.Config.User, root), i.Config.Entrypoint...)
	return start(t, t.TempDir(), nil, append(append(argv, i.Config.Cmd...), args...)...)
}
