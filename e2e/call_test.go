//go:build e2e && unix

package e2e

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const callName = "gatehouse call"

var linkToOpen = regexp.MustCompile(`open this link to sign in: (\S+)`)

// shell is where somebody types "gatehouse call", with settings that stay.
type shell struct {
	settings string
}

// outcome is what a command left behind.
type outcome struct {
	status         int
	stdout, stderr string
}

func (s shell) start(t *testing.T, stdout *transcript, args ...string) *program {
	t.Helper()
	return launch(t, callName, nil, stdout, []string{"XDG_CONFIG_HOME=" + s.settings}, append([]string{gatehouse, "call"}, args...)...)
}

func (s shell) run(t *testing.T, args ...string) outcome {
	t.Helper()
	stdout := &transcript{}
	p := s.start(t, stdout, args...)
	status, err := p.status(within(t, stepTime))
	if err != nil {
		t.Fatalf("gatehouse call %s: %v", strings.Join(args, " "), err)
	}
	return outcome{status, stdout.String(), p.stderr.String()}
}

// succeed runs a command that must succeed.
func (s shell) succeed(t *testing.T, args ...string) outcome {
	t.Helper()
	o := s.run(t, args...)
	if o.status != 0 {
		t.Fatalf("gatehouse call %s: got status %d, want 0", strings.Join(args, " "), o.status)
	}
	return o
}

func read[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("reading %q: %v", text, err)
	}
	return v
}

func TestCall(t *testing.T) {
	t.Parallel()
	h := openHouse(t)
	s := shell{t.TempDir()}
	url := h.url()
	j := journey{t, callName}
	j.step("sign-in", func(t *testing.T) {
		o := s.succeed(t, url, "whoami", "--user", "ada", "-v")
		steps := regexp.MustCompile(`(?m)^\d+\. (\w+)`).FindAllStringSubmatch(o.stderr, -1)
		var got []string
		for _, step := range steps {
			got = append(got, step[1])
		}
		want := []string{"asked", "read", "read", "registered", "signed", "got", "exchanged", "asked", "called"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("first words of the steps (-want +got):\n%s", diff)
		}
		checkNamed(t, read[whoami](t, o.stdout), ada)
	})
	j.step("wire", func(t *testing.T) { checkWire(t, h, straightWay) })
	j.step("list", func(t *testing.T) {
		o := s.succeed(t, url, "list", "--user", "ada", "--json")
		var names []string
		for _, tool := range read[struct{ Tools []mcp.Tool }](t, o.stdout).Tools {
			names = append(names, tool.Name)
		}
		if diff := cmp.Diff(whoamiTools, names); diff != "" {
			t.Errorf("tools (-want +got):\n%s", diff)
		}
	})
	j.step("whoami", func(t *testing.T) {
		before := len(h.requests())
		o := s.succeed(t, url, "whoami", "--user", "ada", "--json")
		result := read[struct{ StructuredContent whoami }](t, o.stdout)
		checkNamed(t, result.StructuredContent, ada)
		for _, e := range h.requests()[before:] {
			if e.clerk && e.String() != userAsked || e.status == "401" {
				t.Errorf("got %q in a later call, want no sign-in", e)
			}
		}
	})
	j.step("apart", func(t *testing.T) {
		s.succeed(t, url, "note", "text=mine", "--user", "ada")
		o := s.succeed(t, url, "note", "{}", "--user", "grace")
		if got := read[notes](t, o.stdout); len(got.Notes) != 0 {
			t.Errorf("grace sees %q, want nothing", got.Notes)
		}
		o = s.succeed(t, url, "note", "{}", "--user", "ada")
		if got := read[notes](t, o.stdout); len(got.Notes) != 1 {
			t.Errorf("ada sees %q, want her one note", got.Notes)
		}
	})
	j.step("deny", func(t *testing.T) {
		o := s.followLink(t, ada.denying(), url, "whoami")
		if o.status != 1 || !strings.Contains(o.stderr, "gatehouse: error: ") || !strings.Contains(o.stderr, "denied") {
			t.Errorf("got status %d and %q, want 1 and an error that says denied", o.status, o.stderr)
		}
	})
	j.step("link", func(t *testing.T) {
		o := s.followLink(t, grace, url, "whoami")
		if o.status != 0 {
			t.Fatalf("got status %d, want 0", o.status)
		}
		checkNamed(t, read[whoami](t, o.stdout), grace)
	})
	j.step("restart", func(t *testing.T) {
		h.restart()
		o := s.again(t, url, "whoami", "--user", "ada")
		checkNamed(t, read[whoami](t, o.stdout), ada)
	})
	j.step("logout", func(t *testing.T) {
		s.succeed(t, "--logout", url, "--user", "ada")
		if n := count(h.requests(), tokenRevoked); n != 1 {
			t.Errorf("got %d revocations, want 1", n)
		}
		before := count(h.requests(), signInAsked)
		s.succeed(t, url, "whoami", "--user", "ada")
		if n := count(h.requests(), signInAsked) - before; n != 1 {
			t.Errorf("got %d sign-ins after --logout, want 1", n)
		}
	})
}

// followLink runs a command that prints a link, and has p follow it.
func (s shell) followLink(t *testing.T, p person, args ...string) outcome {
	t.Helper()
	stdout := &transcript{}
	command := s.start(t, stdout, append(args, "--no-browser")...)
	ctx := within(t, stepTime)
	link, err := command.await(ctx, linkToOpen)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.signIn(ctx, link); err != nil {
		t.Fatal(err)
	}
	status, err := command.status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return outcome{status, stdout.String(), command.stderr.String()}
}

// again runs a command until the server may look at its keys again, see
// reconnect.
func (s shell) again(t *testing.T, args ...string) outcome {
	t.Helper()
	for ctx := within(t, stepTime); ; pause(ctx) {
		o := s.run(t, args...)
		switch {
		case o.status == 0:
			return o
		case ctx.Err() != nil || !unavailable.MatchString(o.stderr):
			t.Fatalf("gatehouse call %s: got status %d, want 0", strings.Join(args, " "), o.status)
		}
	}
}

// pause waits as a person does before trying again.
func pause(ctx context.Context) {
	waiting, cancel := context.WithTimeout(ctx, retryPause)
	defer cancel()
	<-waiting.Done()
}
