package signin

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeUI records what a sign-in prints.
type fakeUI struct {
	lines      []string
	browserErr error
}

func (ui *fakeUI) Note(format string, args ...any) {
	ui.lines = append(ui.lines, fmt.Sprintf(format, args...))
}
func (ui *fakeUI) Step(string, ...any)      {}
func (ui *fakeUI) Begin(string)             {}
func (ui *fakeUI) OpenBrowser(string) error { return ui.browserErr }

func (ui *fakeUI) Countdown(_ context.Context, what string, limit time.Duration) {
	ui.Note("waiting for %s, for at most %s", what, limit)
}

// TestSignInWithoutABrowser prints the link, and how a browser elsewhere can return.
func TestSignInWithoutABrowser(t *testing.T) {
	t.Parallel()
	ui := &fakeUI{browserErr: errors.New("no display")}
	c := &Client{ui: ui}
	c.showLink("https://issuer.example.com/authorize", newCallback("127.0.0.1:1234", ignoreSteps))
	want := []string{
		"no browser opened (no display); open this link to sign in: https://issuer.example.com/authorize",
		"the browser must reach 127.0.0.1:1234 on this machine; from another machine: ssh -L 127.0.0.1:1234:127.0.0.1:1234",
	}
	if diff := cmp.Diff(want, ui.lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// TestSignInTimesOut waits at a callback that receives no response.
func TestSignInTimesOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ui := &fakeUI{}
		c := &Client{ui: ui, config: Config{Timeout: 5 * time.Minute}}
		start := time.Now()
		const link = "https://issuer.example.com/authorize"
		_, err := c.signInWithBrowser(t.Context(), link, newCallback("127.0.0.1:1", ignoreSteps))
		wantErr(t, err, "no sign-in within 5m0s")
		if waited := time.Since(start); waited != 5*time.Minute {
			t.Errorf("waited %s, want 5m0s", waited)
		}
		want := []string{
			"opened the browser to sign in; if no window appears, open this link: " + link,
			"waiting for the sign-in in the browser, for at most 5m0s",
		}
		if diff := cmp.Diff(want, ui.lines); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
	})
}
