package signin

import (
	"net/http"
	"strings"
	"testing"
)

// wantErr fails the test unless err contains text, or is nil if text is "".
func wantErr(t *testing.T, err error, text string) {
	t.Helper()
	switch {
	case text == "" && err != nil:
		t.Errorf("error = %v, want none", err)
	case text != "" && err == nil:
		t.Errorf("no error, want %q", text)
	case err != nil && !strings.Contains(err.Error(), text):
		t.Errorf("error = %v, want %q", err, text)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func ignoreSteps(string, ...any) {}
