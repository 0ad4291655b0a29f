package localclerk

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"
	"time"
)

// maxEvents is how many events a Server remembers.
const maxEvents = 512

// Step is what a request was for.
type Step string

// The steps there are.
const (
	StepMetadata      Step = "metadata"      // a discovery document
	StepKeys          Step = "keys"          // the JWKS
	StepRegistration  Step = "registration"  // of a dynamic client
	StepAuthorization Step = "authorization" // the browser arrives
	StepPage          Step = "page"          // a sign-in or consent page is shown
	StepDecision      Step = "decision"      // a button of one is pressed
	StepToken         Step = "token"         // a code or refresh token is redeemed
	StepUserInfo      Step = "userinfo"
	StepIntrospection Step = "introspection"
	StepRevocation    Step = "revocation"
	StepBackend       Step = "backend"   // the Backend API
	StepPreflight     Step = "preflight" // of CORS
	StepOther         Step = "other"     // a path with nothing behind it
)

// Event is one answered request. Secrets in it are shortened beyond use.
type Event struct {
	// ID counts from 1, without gaps.
	ID uint64 `json:"id"`

	// Time is when the request came, by the computer's clock.
	Time time.Time `json:"time"`

	// Took is how long the answer took, in JSON in nanoseconds.
	Took time.Duration `json:"took"`

	Step   Step   `json:"step"`
	Method string `json:"method"`
	Path   string `json:"path"`
	Status int    `json:"status"`

	// Client and ClientName are empty if nobody said which client it was.
	Client     string `json:"client,omitempty"`
	ClientName string `json:"client_name,omitempty"`

	// User is the id of the user it was about, if there was one.
	User string `json:"user,omitempty"`

	// UserAgent and Origin are the request's headers.
	UserAgent string `json:"user_agent,omitempty"`
	Origin    string `json:"origin,omitempty"`

	// Request holds the parameters: of the query, and of a form or the members
	// of a JSON object in the body.
	Request map[string]string `json:"request,omitempty"`

	// Response holds the parameters of a redirect, or the members of a JSON
	// object. For a JWT among them there is another, ending in ".claims".
	Response map[string]string `json:"response,omitempty"`

	// Error is the error code of a request that was refused.
	Error string `json:"error,omitempty"`

	// Problem is what was wrong, Fix what to do about it, each a plain
	// sentence.
	Problem string `json:"problem,omitempty"`
	Fix     string `json:"fix,omitempty"`
}

// Refused reports whether the request was refused, by redirect or otherwise.
func (e Event) Rejected() bool { return e.Error != "" }

// Events returns the events after the one with the given ID (0 for all that
// are remembered), then each further one as it happens, until ctx ends. With a
// ctx that has ended it returns what is remembered and stops. A reader that
// falls behind by more than the last 512 misses events, which it sees from
// their IDs; nothing waits for it.
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

// journal keeps the last events.
type eventLog struct {
	mu      sync.Mutex
	events  []Event // oldest first
	lastID  uint64
	changed chan struct{} // closed when there is another
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

// after returns the events after id, and a channel that is closed when there
// are more.
func (j *eventLog) after(id uint64) ([]Event, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i, _ := slices.BinarySearchFunc(j.events, id+1, func(e Event, id uint64) int { return cmp.Compare(e.ID, id) })
	return slices.Clone(j.events[i:]), j.changed
}
