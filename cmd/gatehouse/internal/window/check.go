package window

import (
	"context"
	"crypto/rand"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/diagnose"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

const (
	// checkTimeout bounds one check of the set-up. Everything is on this machine.
	checkTimeout = 30 * time.Second
	// checkTokenLifetime is how long the token of a check is valid.
	checkTokenLifetime = 2 * time.Minute
)

// Check is the answer to POST check: the report of package diagnose on the endpoint.
type Check struct {
	Target   string            `json:"target"`
	Time     time.Time         `json:"time"`  // of its end
	First    int               `json:"first"` // index of the finding to look at first, or -1
	Findings []CheckFinding    `json:"findings"`
	Clients  []diagnose.Client `json:"clients"`
	Command  string            `json:"command"` // makes the checks in a terminal
}

// CheckFinding is a finding, and where its fix is on the page.
type CheckFinding struct {
	diagnose.Finding
	Here string `json:"here,omitempty"`
}

// check makes the checks of "gatehouse doctor", once at a time: a page that asks for them meanwhile
// gets 409. They end with the request and with the window.
func (w *Window) check(ctx context.Context, _ struct{}) (any, error) {
	if !w.checking.TryLock() {
		return nil, &statusError{http.StatusConflict, "a check is running; wait for its end"}
	}
	defer w.checking.Unlock()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	go func() {
		select {
		case <-w.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	token, err := w.checkToken()
	if err != nil {
		return nil, err
	}
	w.checkTime.begin()
	defer w.checkTime.end()
	report, err := diagnose.Run(ctx, diagnose.Config{
		HTTPClient:     &http.Client{Transport: w.newProbeTransport()},
		Timeout:        checkTimeout,
		Token:          gatehouse.Secret(token),
		ClerkSecretKey: gatehouse.Secret(w.clerk.SecretKey()),
		ClerkAPIURL:    w.clerk.Issuer(),
	}, w.config.Endpoint)
	if err != nil {
		return nil, err
	}
	select {
	case <-w.done:
		return nil, &statusError{http.StatusServiceUnavailable, "the check was ended, because the program stops"}
	default:
		return w.describe(report), nil
	}
}

// describe returns a report as the page shows it.
func (w *Window) describe(report *diagnose.Report) Check {
	c := Check{
		Target: report.Target, Time: time.Now(), First: -1, Findings: []CheckFinding{}, Clients: report.Clients,
		Command: w.config.Program + " doctor " + w.config.Endpoint,
	}
	// That other servers of the instance can use a token does not matter at a local Clerk, which has
	// only this one. Whether this server needs the claim is seen by its answer to the token.
	report.Findings = slices.DeleteFunc(report.Findings, func(f diagnose.Finding) bool { return f.ID == "clerk.no_audience" })
	first := report.First()
	for i := range report.Findings {
		f := &report.Findings[i]
		if f == first {
			c.First = i
		}
		shown := CheckFinding{Finding: *f}
		if f.Level == diagnose.Fault || f.Level == diagnose.Warning {
			shown.Here = w.hereOfFinding(f)
		}
		c.Findings = append(c.Findings, shown)
	}
	return c
}

// checkToken returns an access token like that of a client which asks for every scope, with the
// present settings. It is for the first user who is not banned, in the first organization of that user.
func (w *Window) checkToken() (string, error) {
	settings := w.clerk.Settings()
	t := localclerk.Token{
		ClientID: w.checkClient,
		Scopes:   settings.SupportedScopes(),
		Lifetime: checkTokenLifetime,
		Opaque:   !settings.OAuthJWTAccessTokens,
	}
	if settings.AudClaimEnabled {
		t.Resource = w.config.Endpoint
	}
	for _, u := range w.users() {
		if u.Banned {
			continue
		}
		t.User = u.ID
		if len(u.Organizations) > 0 && !settings.OrganizationsDisabled {
			t.Organization = u.Organizations[0]
		}
		break
	}
	return w.clerk.IssueToken(t)
}

// newCheckClient returns the client ID of the tokens of checks. No client has it.
func newCheckClient() string { return "check-" + rand.Text() }

// period is the time of a check. It is safe for concurrent use.
type period struct {
	mu           sync.Mutex
	began, ended time.Time // ended is before began while the check runs
}

func (p *period) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began = time.Now()
}

func (p *period) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = time.Now()
}

// contains reports whether t is in the period.
func (p *period) contains(t time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.began.IsZero() && !t.Before(p.began) && (p.ended.Before(p.began) || !t.After(p.ended))
}
