package localclerk

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"
	"time"
)

// maxEvents is the number of events that a Server keeps.
const maxEvents = 512

// Step is the purpose of a request.
type Step string

// All steps.
const (
	StepMetadata      Step = "metadata"      // a discovery document
	StepKeys          Step = "keys"          // the JWKS
	StepRegistration  Step = "registration"  // a client registers itself
	StepAuthorization Step = "authorization" // an authorization request
	StepPage          Step = "page"          // a sign-in or consent page is shown
	StepDecision      Step = "decision"      // a button of such a page is pressed
	StepToken         Step = "token"         // a code or refresh token is redeemed
	StepUserInfo      Step = "userinfo"      // the userinfo endpoint
	StepIntrospection Step = "introspection" // the introspection endpoint
	StepRevocation    Step = "revocation"    // the revocation endpoint
	StepBackend       Step = "backend"       // the Backend API
	StepPreflight     Step = "preflight"     // a CORS preflight
	StepOther         Step = "other"         // a path without an endpoint
)

// Event is one request and its response. Secrets in it are shortened, so that they
// cannot be used. Parameters and headers of more than 1024 bytes are truncated.
type Event struct {
	// ID is 1 for the first event and increases by 1.
	ID uint64 `json:"id"`

	// Time is the arrival of the request. It does not include
	// Faults.ClockOffset.
	Time time.Time `json:"time"`

	// Took is the time until the response was written, in JSON in nanoseconds.
	Took time.Duration `json:"took"`

	Step   Step   `json:"step"`
	Method string `json:"method"`
	Path   string `json:"path"`
	Status int    `json:"status"`

	// Client is the client_id, and ClientName the registered name. They are
	// empty if the request does not identify a client.
	Client     string `json:"client,omitempty"`
	ClientName string `json:"client_name,omitempty"`

	// User is the ID of the user whom the request is about, or empty.
	User string `json:"user,omitempty"`

	// UserAgent and Origin are the request's headers.
	UserAgent string `json:"user_agent,omitempty"`
	Origin    string `json:"origin,omitempty"`

	// Request contains the parameters of the query, those of a form or the
	// members of a JSON object in the body, and the headers Authorization,
	// Mcp-Protocol-Version and those of this package; at most 40 in total.
	Request map[string]string `json:"request,omitempty"`

	// Response contains the parameters of a redirect, or the members of a JSON
	// object. For a JWT named x it also contains its claims as "x.claims".
	Response map[string]string `json:"response,omitempty"`

	// Error is the error code if the request was rejected, else empty.
	Error string `json:"error,omitempty"`

	// Problem says what was wrong, and Fix what a developer can do about it.
	// They are empty if the request was not rejected.
	Problem string `json:"problem,omitempty"`
	Fix     string `json:"fix,omitempty"`
}

// Rejected reports whether the request was rejected, by redirect or otherwise.
func (e Event) Rejected() bool { return e.Error != "" }

// Events yields the stored events whose ID is greater than after, oldest first, and
// then each new event, until ctx ends. Use 0 for all stored events. If ctx has
// already ended, Events yields the stored events and stops. The server stores the
// last 512 events and never waits for a reader; a slow reader misses events, which
// it can detect by a gap in the IDs.
func (s *Server) Events(ctx context.Context, after uint64) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for {
			events, changed := s.eventLog.after(after)
			for _, e := range events {
				if !yield(e) {
					return
				}
				after = e.ID
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

// eventLog keeps the last maxEvents events.
type eventLog struct {
	mu      sync.Mutex
	events  []Event // oldest first
	lastID  uint64
	changed chan struct{} // closed when the next event is added
}

func newEventLog() *eventLog { return &eventLog{changed: make(chan struct{})} }

func (j *eventLog) add(e Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lastID++
	e.ID = j.lastID
	if len(j.events) == maxEvents {
		j.events = slices.Delete(j.events, 0, 1)
	}
	j.events = append(j.events, e)
	close(j.changed)
	j.changed = make(chan struct{})
}

// after returns the events whose ID is greater than id, and a channel that is closed
// when the next event is added.
func (j *eventLog) after(id uint64) ([]Event, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i, _ := slices.BinarySearchFunc(j.events, id+1, func(e Event, id uint64) int { return cmp.Compare(e.ID, id) })
	return slices.Clone(j.events[i:]), j.changed
}
