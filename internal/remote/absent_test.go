package remote_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/remote"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
)

// statuses answers each URL with validDoc and its status.
func (i *issuer) statuses(status map[string]int) {
	i.Answer(func(r *http.Request) (*http.Response, error) {
		return testissuer.Response(r, status[r.URL.String()], strings.NewReader(validDoc)), nil
	})
}

// warnedAbout returns the URLs of the warnings in a log.
func warnedAbout(log string) string {
	var urls []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, "level=WARN") {
			_, url, _ := strings.Cut(line, " url=")
			url, _, _ = strings.Cut(url, " ")
			urls = append(urls, url)
		}
	}
	return strings.Join(urls, " ")
}

// TestAbsentDocument has an issuer with two documents of which it needs one. The log has a
// warning only if neither of them exists, or if one fails in another way.
func TestAbsentDocument(t *testing.T) {
	const first, second = "https://issuer.example/first", "https://issuer.example/second"
	for _, test := range []struct {
		name          string
		statusFirst   int
		statusSecond  int
		later         int    // status of both after an hour; 0 means no change
		wantWarnings  string // URLs in the order of the warnings
		wantAvailable int    // lines that say that a document is available again
	}{
		{name: "control", statusFirst: 200, statusSecond: 200},
		{name: "first is absent", statusFirst: 404, statusSecond: 200},
		{name: "second is absent", statusFirst: 200, statusSecond: 404},
		{name: "both are absent", statusFirst: 404, statusSecond: 404, wantWarnings: second},
		{name: "first fails", statusFirst: 503, statusSecond: 404, wantWarnings: first},
		{name: "second fails", statusFirst: 404, statusSecond: 503, wantWarnings: second},
		{name: "second disappears", statusFirst: 404, statusSecond: 200, later: 404, wantWarnings: second},
		{name: "first appears", statusFirst: 404, statusSecond: 200, later: 200, wantAvailable: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newIssuer(validDoc)
				i.statuses(map[string]int{first: test.statusFirst, second: test.statusSecond})
				var log testlog.Buffer
				var documents [2]*remote.Document
				for n, url := range []string{first, second} {
					documents[n] = i.open(t, func(cfg *remote.Config) {
						cfg.URL = url
						cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
						cfg.Other = func() *remote.Document { return documents[1-n] }
					})
				}
				for _, d := range documents {
					if _, err := d.Get(t.Context()); err != nil {
						t.Log(err)
					}
				}
				if test.later != 0 {
					i.statuses(map[string]int{first: test.later, second: test.later})
				}
				time.Sleep(time.Hour)
				if got := warnedAbout(log.String()); got != test.wantWarnings {
					t.Errorf("warnings about %q, want %q:\n%s", got, test.wantWarnings, log.String())
				}
				if got := strings.Count(log.String(), "available again"); got != test.wantAvailable {
					t.Errorf("%d lines say available again, want %d:\n%s", got, test.wantAvailable, log.String())
				}
			})
		})
	}
}
