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

// Faults are what a Server does wrong on purpose. The zero value is none.
type Faults struct {
	// Latency is waited before each answer, at most a minute.
	Latency time.Duration

	// Status, 500 to 599, is answered instead of everything. Zero means none.
	Status int

	// Paths narrow Latency and Status to request paths that start with one of
	// them, such as "/.well-known/jwks.json". None means all.
	Paths []string

	// ClockOffset sets the server's clock ahead, or behind if negative: new
	// tokens and all expiry follow it.
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
		errs = append(errs, fmt.Errorf("localclerk: Faults.ClockOffset is %s, want at most %s either way", f.ClockOffset, maxClockOffset))
	}
	if len(f.Paths) > maxFaultPaths {
		errs = append(errs, fmt.Errorf("localclerk: Faults.Paths has %d paths, want at most %d", len(f.Paths), maxFaultPaths))
	}
	return errors.Join(errs...)
}

func (f Faults) appliesTo(path string) bool {
	return len(f.Paths) == 0 || slices.ContainsFunc(f.Paths, func(prefix string) bool { return strings.HasPrefix(path, prefix) })
}

// Faults returns the faults in force.
func (s *Server) Faults() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	faults := s.faults
	faults.Paths = slices.Clone(faults.Paths)
	return faults
}

// SetFaults puts faults in force for every request from now on, in place of
// those before.
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

// now is the server's clock.
func (s *Server) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.faults.ClockOffset)
}

// withFaults suffers the faults in force before next answers.
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
				recordError(r, "canceled", "the client went away while it waited", "switch the latency off, or wait longer")
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
			fix:         "switch the fault off; it was asked for",
		})
	})
}
