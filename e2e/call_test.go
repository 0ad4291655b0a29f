//go:build e2e && unix

package e2e

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const callName = "gatehouse call"

var linkToOpen = regexp.MustCompile(`open this link to sign in: (\S+)`)

// callRunner runs "gatehouse call" with a configuration folder of its own, in which sign-ins
// are saved.
type callRunner struct {
	configHome string
}

// outcome is the result of a command.
type outcome struct {
	status         int
	stdout, stderr string
}

func (r callRunner) start(t *testing.T, stdout *testlog.Buffer, args ...string) *program {
	t.Helper()
	argv := append([]string{gatehouseProgram, "call"}, args...)
	return launch(t, callName, nil, stdout, []string{"XDG_CONFIG_HOME=" + r.configHome}, argv...)
}

func (r callRunner) run(t *testing.T, args ...string) outcome {
	t.Helper()
	stdout := &testlog.Buffer{}
	p := r.start(t, stdout, args...)
	status, err := p.status(within(t, stepTime))
	if err != nil {
		t.Fatalf("gatehouse call %s: %v", strings.Join(args, " "), err)
	}
	return outcome{status, stdout.String(), p.stderr.String()}
}

// wantSuccess runs a command, which must exit with 0.
func (r callRunner) wantSuccess(t *testing.T, args ...string) outcome {
	t.Helper()
	o := r.run(t, args...)
	if o.status != 0 {
		t.Fatalf("gatehouse call %s: got status %d, want 0", strings.Join(args, " "), o.status)
	}
	return o
}

// decode decodes JSON.
func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("reading %q: %v", text, err)
	}
	return v
}

func TestCall(t *testing.T) {
	t.Parallel()
	dev := startDev(t)
	r := callRunner{t.TempDir()}
	sc := scenario{t, callName}
	callSignedIn(sc, r, dev)
	callFollowingLinks(sc, r, dev)
	callSigningInAgain(sc, r, dev)
}

// callSignedIn signs in, and then uses the saved sign-in.
func callSignedIn(sc scenario, r callRunner, dev *devServer) {
	url := dev.url()
	sc.step("sign-in", func(t *testing.T) {
		o := r.wantSuccess(t, url, "whoami", "--user", "ada", "-v")
		steps := regexp.MustCompile(`(?m)^\d+\. (\w+)`).FindAllStringSubmatch(o.stderr, -1)
		var got []string
		for _, step := range steps {
			got = append(got, step[1])
		}
		want := []string{"asked", "read", "read", "registered", "signed", "got", "exchanged", "asked", "called"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("first words of the steps (-want +got):\n%s", diff)
		}
		checkNamed(t, decode[whoami](t, o.stdout), ada)
	})
	sc.step("requests", func(t *testing.T) { checkRequests(t, dev, directRequests) })
	sc.step("list", func(t *testing.T) {
		o := r.wantSuccess(t, url, "list", "--user", "ada", "--json")
		var names []string
		for _, tool := range decode[struct{ Tools []mcp.Tool }](t, o.stdout).Tools {
			names = append(names, tool.Name)
		}
		if diff := cmp.Diff(whoamiTools, names); diff != "" {
			t.Errorf("tools (-want +got):\n%s", diff)
		}
	})
	sc.step("whoami", func(t *testing.T) {
		before := len(dev.requests())
		o := r.wantSuccess(t, url, "whoami", "--user", "ada", "--json")
		result := decode[struct{ StructuredContent whoami }](t, o.stdout)
		checkNamed(t, result.StructuredContent, ada)
		for _, e := range dev.requests()[before:] {
			if e.clerk && e.String() != userInfoFetched || e.status == "401" {
				t.Errorf("got %q in a later call, want no sign-in", e)
			}
		}
	})
	sc.step("separate", func(t *testing.T) {
		r.wantSuccess(t, url, "note", "text=mine", "--user", "ada")
		o := r.wantSuccess(t, url, "note", "{}", "--user", "grace")
		if got := decode[notes](t, o.stdout); len(got.Notes) != 0 {
			t.Errorf("the notes of grace are %q, want none", got.Notes)
		}
		o = r.wantSuccess(t, url, "note", "{}", "--user", "ada")
		if got := decode[notes](t, o.stdout); len(got.Notes) != 1 {
			t.Errorf("the notes of ada are %q, want one", got.Notes)
		}
	})
}

// callFollowingLinks opens the printed links: one user denies consent, and another allows it.
func callFollowingLinks(sc scenario, r callRunner, dev *devServer) {
	url := dev.url()
	sc.step("deny", func(t *testing.T) {
		o := r.followLink(t, ada.denying(), url, "whoami")
		if o.status != 1 || !strings.Contains(o.stderr, "gatehouse: error: ") || !strings.Contains(o.stderr, "denied") {
			t.Errorf("got status %d and %q, want 1 and an error that contains denied", o.status, o.stderr)
		}
	})
	sc.step("link", func(t *testing.T) {
		o := r.followLink(t, grace, url, "whoami")
		if o.status != 0 {
			t.Fatalf("got status %d, want 0", o.status)
		}
		checkNamed(t, decode[whoami](t, o.stdout), grace)
	})
}

// callSigningInAgain signs in again, after a restart of the server and after --logout.
func callSigningInAgain(sc scenario, r callRunner, dev *devServer) {
	url := dev.url()
	sc.step("restart", func(t *testing.T) {
		dev.restart()
		o := r.untilAvailable(t, url, "whoami", "--user", "ada")
		checkNamed(t, decode[whoami](t, o.stdout), ada)
	})
	sc.step("logout", func(t *testing.T) {
		r.wantSuccess(t, "--logout", url, "--user", "ada")
		if n := count(dev.requests(), tokenRevoked); n != 1 {
			t.Errorf("got %d revocations, want 1", n)
		}
		before := count(dev.requests(), signInRequested)
		r.wantSuccess(t, url, "whoami", "--user", "ada")
		if n := count(dev.requests(), signInRequested) - before; n != 1 {
			t.Errorf("got %d sign-ins after --logout, want 1", n)
		}
	})
}

// followLink runs a command with --no-browser, and signs u in at the link that it prints.
func (r callRunner) followLink(t *testing.T, u user, args ...string) outcome {
	t.Helper()
	stdout := &testlog.Buffer{}
	command := r.start(t, stdout, append(args, "--no-browser")...)
	ctx := within(t, stepTime)
	link, err := command.await(ctx, linkToOpen)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.signIn(ctx, link); err != nil {
		t.Fatal(err)
	}
	status, err := command.status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return outcome{status, stdout.String(), command.stderr.String()}
}

// untilAvailable runs a command until the server may fetch the keys again; see reconnect.
func (r callRunner) untilAvailable(t *testing.T, args ...string) outcome {
	t.Helper()
	for ctx := within(t, stepTime); ; pause(ctx) {
		o := r.run(t, args...)
		switch {
		case o.status == 0:
			return o
		case ctx.Err() != nil || !unavailable.MatchString(o.stderr):
			t.Fatalf("gatehouse call %s: got status %d, want 0", strings.Join(args, " "), o.status)
		}
	}
}

// pause waits as a user would before trying again.
func pause(ctx context.Context) {
	waiting, cancel := context.WithTimeout(ctx, retryPause)
	defer cancel()
	<-waiting.Done()
}
