package localclerk

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxLatency     = time.Minute
	maxClockOffset = 10 * 365 * 24 * time.Hour
	maxFaultPaths  = 100
	retryAfter     = 5 * time.Second
)

// Faults are failures that a Server simulates. The zero value means no faults.
type Faults struct {
	// Latency is the delay before each response, at most a minute.
	Latency time.Duration

	// Status, 500 to 599, is the status of every response, with an error as
	// body. Zero means normal responses. 503 comes with a
	// Retry-After of 5 seconds.
	Status int

	// Paths limit Latency and Status to request paths that start with one of
	// them, such as "/.well-known/jwks.json". Empty means all paths. There may
	// be at most 100.
	Paths []string

	// ClockOffset is added to the server's clock, which new tokens and expiry
	// checks use. It is between -10 and 10 years.
	ClockOffset time.Duration
}

func (f Faults) check() error {
	var errs []error
	if f.Latency < 0 || f.Latency > maxLatency {
		errs = append(errs, fmt.Errorf("localclerk: Faults.Latency is %s, want 0 to %s", f.Latency, maxLatency))
	}
	if f.Status != 0 && (f.Status < 500 || f.Status > 599) {
		errs = append(errs, fmt.Errorf("localclerk: Faults.Status is %d, want 500 to 599, or 0 for none", f.Status))
	}
	if f.ClockOffset.Abs() > maxClockOffset {
		errs = append(errs, fmt.Errorf("localclerk: Faults.ClockOffset is %s, want at most %s either way",
			f.ClockOffset, maxClockOffset))
	}
	if len(f.Paths) > maxFaultPaths {
		errs = append(errs, fmt.Errorf("localclerk: Faults.Paths has %d paths, want at most %d", len(f.Paths), maxFaultPaths))
	}
	return errors.Join(errs...)
}

func (f Faults) appliesTo(path string) bool {
	return len(f.Paths) == 0 || slices.ContainsFunc(f.Paths, func(prefix string) bool { return strings.HasPrefix(path, prefix) })
}

// Faults returns a copy of the current faults.
func (s *Server) Faults() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	faults := s.faults
	faults.Paths = slices.Clone(faults.Paths)
	return faults
}

// SetFaults replaces the faults for all later requests. If faults is invalid, it
// returns an error and changes nothing.
func (s *Server) SetFaults(faults Faults) error {
	if err := faults.check(); err != nil {
		return err
	}
	faults.Paths = slices.Clone(faults.Paths)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = faults
	return nil
}

// now returns the time of the server's clock.
func (s *Server) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.faults.ClockOffset)
}

// applyFaults applies the current faults before next serves a request.
func (s *Server) applyFaults(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		faults := s.Faults()
		if !faults.appliesTo(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		if faults.Latency > 0 {
			timer := time.NewTimer(faults.Latency)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-r.Context().Done():
				recordError(r, "canceled",
					"the client closed the connection before the simulated latency ended",
					"turn off the simulated latency, or increase the timeout of the client")
				return
			}
		}
		if faults.Status == 0 {
			next.ServeHTTP(w, r)
			return
		}
		if faults.Status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
		}
		s.writeClerkError(w, r, clerkError{
			status:      faults.Status,
			Code:        "internal_clerk_error",
			Message:     "there was an internal error on our servers",
			LongMessage: "There was an internal error on our servers. We've been notified and are working on fixing it.",
			fix:         "turn off the simulated fault",
		})
	})
}
