package window

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// told is a step as the assembly sees it: when, what, and from whom.
type told struct {
	at   time.Duration
	kind kind
	hint
	outcome Outcome
	from    Party
}

// TestRuns puts steps of several clients into runs.
func TestRuns(t *testing.T) {
	t.Parallel()
	const browser = "Mozilla/5.0"
	signIn := func(at time.Duration, agent, id string) []told {
		return []told{
			{at: at, kind: kindChallenge, hint: hint{userAgent: agent}},
			{at: at + 1, kind: kindResource, hint: hint{userAgent: agent}},
			{at: at + 2, kind: kindRegistration, hint: hint{userAgent: agent, clientID: id}},
			{at: at + 3, kind: kindAuthorization, hint: hint{userAgent: browser, clientID: id, fromUser: true}},
			{at: at + 4, kind: kindToken, hint: hint{userAgent: agent, clientID: id, user: "Ada"}},
			{at: at + 5, kind: kindCall, hint: hint{userAgent: agent, clientID: id, user: "Ada"}},
		}
	}
	alternate := func(a, b []told) (both []told) {
		for i := range a {
			both = append(both, a[i], b[i])
		}
		return both
	}
	for _, test := range []struct {
		name      string
		steps     []told
		want      []uint64
		headlines []string
	}{
		{"one client", signIn(0, "a", "1"), []uint64{1, 1, 1, 1, 1, 1}, []string{"signed in as Ada, 1 call"}},
		{"two clients at once", alternate(signIn(0, "a", "1"), signIn(0, "b", "2")),
			[]uint64{1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2}, []string{"signed in as Ada, 1 call", "signed in as Ada, 1 call"}},
		{"one client after another, of one kind", append(signIn(0, "a", "1"), signIn(time.Second, "a", "2")...),
			[]uint64{1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2}, []string{"signed in as Ada, 1 call", "signed in as Ada, 1 call"}},
		{"another sign-in of one client ID", append(signIn(0, "a", "1"),
			told{at: time.Minute, kind: kindChallenge, hint: hint{userAgent: "a"}},
			told{at: time.Minute + 1, kind: kindAuthorization, hint: hint{userAgent: browser, clientID: "1", fromUser: true}},
			told{at: time.Minute + 2, kind: kindToken, hint: hint{userAgent: "a", clientID: "1", user: "Grace"}}),
			[]uint64{1, 1, 1, 1, 1, 1, 2, 2, 2}, []string{"signed in as Ada, 1 call", "signed in as Grace"}},
		{"calls long after", append(signIn(0, "a", "1"), told{at: 2 * idleTime, kind: kindCall, hint: hint{userAgent: "a", clientID: "1", user: "Ada"}}),
			[]uint64{1, 1, 1, 1, 1, 1, 2}, []string{"signed in as Ada, 1 call", "signed in as Ada, 1 call"}},
		{"a failure and one more try", []told{
			{kind: kindChallenge, hint: hint{userAgent: "a"}},
			{at: 1, kind: kindRegistration, hint: hint{userAgent: "a"}, outcome: Failed},
			{at: 2, kind: kindChallenge, hint: hint{userAgent: "a"}},
		}, []uint64{1, 1, 1}, []string{"stopped at registration: status 0"}},
		{"one more try after a denial", []told{
			{kind: kindRegistration, hint: hint{userAgent: "a", clientID: "1"}},
			{at: 1, kind: kindDecision, hint: hint{userAgent: browser, clientID: "1", fromUser: true}, outcome: Failed},
			{at: 2, kind: kindChallenge, hint: hint{userAgent: "a"}},
		}, []uint64{1, 1, 1}, []string{"stopped at consent: status 0"}},
		{"a failure and a new beginning", []told{
			{kind: kindRegistration, hint: hint{userAgent: "a"}, outcome: Failed},
			{at: 2 * retryTime, kind: kindChallenge, hint: hint{userAgent: "a"}},
		}, []uint64{1, 2}, []string{"stopped at registration: status 0", "asked to sign in"}},
		{"the server's own requests", []told{
			{kind: kindKeys, hint: hint{userAgent: "gatehouse", fromSrv: true}, from: Server},
			{at: time.Minute, kind: kindChallenge, hint: hint{userAgent: "a"}},
			{at: time.Minute + 1, kind: kindKeys, hint: hint{userAgent: "gatehouse", fromSrv: true}, from: Server},
			{at: time.Hour, kind: kindKeys, hint: hint{userAgent: "gatehouse", fromSrv: true}, from: Server},
		}, []uint64{1, 2, 2, 1}, []string{"in touch with Clerk", "asked to sign in"}},
		{"a session without a token", []told{
			{kind: kindCall, hint: hint{userAgent: "a", clientID: "1", session: "s", user: "Ada"}},
			{at: 2 * discoveryTime, kind: kindStream, hint: hint{userAgent: "a", session: "s"}},
			{at: 2*discoveryTime + 1, kind: kindCall, hint: hint{userAgent: "b", clientID: "2", session: "s", user: "Mallory"}},
		}, []uint64{1, 1, 2}, []string{"signed in as Ada, 1 call", "signed in as Mallory, 1 call"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var a assembly
			var got []uint64
			start := time.Now()
			for _, s := range test.steps {
				if s.outcome == "" {
					s.outcome = Good
				}
				got = append(got, a.place(Step{Time: start.Add(s.at), Kind: s.kind, Outcome: s.outcome, From: s.from}, s.hint).ID)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("runs (-want +got):\n%s", diff)
			}
			var headlines []string
			for _, r := range a.runs {
				headlines = append(headlines, r.Headline)
			}
			if diff := cmp.Diff(test.headlines, headlines); diff != "" {
				t.Errorf("headlines (-want +got):\n%s", diff)
			}
		})
	}
}
