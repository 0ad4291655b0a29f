package gateway

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	// defaultHealthInterval is the time between two health checks.
	defaultHealthInterval = 10 * time.Second
	// healthTimeout bounds one health check.
	healthTimeout = 3 * time.Second
	// maxHealthBody bounds what is read of its answer.
	maxHealthBody = 64 << 10
)

// watch checks the health of the backends that have a health check, until ctx ends.
func (u *upstreams) watch(ctx context.Context) {
	for _, up := range u.all {
		if up.HealthPath != "" {
			go up.watch(ctx, u)
		}
	}
}

func (u *upstream) watch(ctx context.Context, all *upstreams) {
	tick := time.NewTicker(cmp.Or(u.HealthInterval, defaultHealthInterval))
	defer tick.Stop()
	for {
		err := u.check(ctx)
		if ctx.Err() != nil {
			return
		}
		if u.health.setFailing(err != nil) {
			if err != nil {
				all.logger.Warn("the health check of a backend fails", "upstream", u.target.Redacted(), "error", err)
			} else {
				all.logger.Info("the health check of a backend succeeds again", "upstream", u.target.Redacted())
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// check requests the page of the health check.
func (u *upstream) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	target := *u.target
	target.Path, target.RawPath, target.RawQuery = u.HealthPath, "", ""
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return err
	}
	resp, err := u.transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, maxHealthBody))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("%s has status %d, want 2xx", u.HealthPath, resp.StatusCode)
	}
	return nil
}

// setFailing sets whether the health check fails, and reports whether that has changed.
func (h *health) setFailing(failing bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	changed := h.failing != failing
	h.failing = failing
	return changed
}

// reachableFor is how long the result of reachable is used again. Anyone may request the
// readiness check.
const reachableFor = time.Second

// reachable reports whether a connection to the backend can be opened.
func (u *upstream) reachable(ctx context.Context) bool {
	u.probe.Lock()
	defer u.probe.Unlock()
	if time.Since(u.probe.at) > reachableFor {
		u.probe.reachable, u.probe.at = u.connects(ctx), time.Now()
	}
	return u.probe.reachable
}

// connects opens a connection to the backend and closes it again.
func (u *upstream) connects(ctx context.Context) bool {
	host := u.target.Host
	if u.target.Port() == "" {
		host = net.JoinHostPort(u.target.Hostname(), map[string]string{"http": "80", "https": "443"}[u.target.Scheme])
	}
	connection, err := u.transport.DialContext(ctx, "tcp", host)
	if err != nil {
		return false
	}
	connection.Close()
	return true
}
