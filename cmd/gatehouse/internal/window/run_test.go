package window

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// runStep is what runs.add reads of a step and its owner.
type runStep struct {
	at   time.Duration
	kind kind
	owner
	outcome Outcome
	from    Party
}

// TestRuns adds steps of several clients and checks to which run each is assigned.
func TestRuns(t *testing.T) {
	t.Parallel()
	const browser = "Mozilla/5.0"
	signIn := func(at time.Duration, agent, id string) []runStep {
		return []runStep{
			{at: at, kind: kindChallenge, owner: owner{userAgent: agent}},
			{at: at + 1, kind: kindResource, owner: owner{userAgent: agent}},
			{at: at + 2, kind: kindRegistration, owner: owner{userAgent: agent, clientID: id}},
			{at: at + 3, kind: kindAuthorization, owner: owner{userAgent: browser, clientID: id, fromBrowser: true}},
			{at: at + 4, kind: kindToken, owner: owner{userAgent: agent, clientID: id, user: "Ada"}},
			{at: at + 5, kind: kindCall, owner: owner{userAgent: agent, clientID: id, user: "Ada"}},
		}
	}
	alternate := func(a, b []runStep) (both []runStep) {
		for i := range a {
			both = append(both, a[i], b[i])
		}
		return both
	}
	for _, test := range []struct {
		name      string
		steps     []runStep
		want      []uint64
		headlines []string
	}{
		{"one client", signIn(0, "a", "1"), []uint64{1, 1, 1, 1, 1, 1}, []string{"signed in as Ada, 1 call"}},
		{"two clients at once", alternate(signIn(0, "a", "1"), signIn(0, "b", "2")),
			[]uint64{1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2}, []string{"signed in as Ada, 1 call", "signed in as Ada, 1 call"}},
		{"two clients with one User-Agent, one after the other", append(signIn(0, "a", "1"), signIn(time.Second, "a", "2")...),
			[]uint64{1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2}, []string{"signed in as Ada, 1 call", "signed in as Ada, 1 call"}},
		{"another sign-in of one client ID", append(signIn(0, "a", "1"),
			runStep{at: time.Minute, kind: kindChallenge, owner: owner{userAgent: "a"}},
			runStep{at: time.Minute + 1, kind: kindAuthorization, owner: owner{userAgent: browser, clientID: "1", fromBrowser: true}},
			runStep{at: time.Minute + 2, kind: kindToken, owner: owner{userAgent: "a", clientID: "1", user: "Grace"}}),
			[]uint64{1, 1, 1, 1, 1, 1, 2, 2, 2}, []string{"signed in as Ada, 1 call", "signed in as Grace"}},
		{"calls long after", append(signIn(0, "a", "1"),
			runStep{at: 2 * idleTime, kind: kindCall, owner: owner{userAgent: "a", clientID: "1", user: "Ada"}}),
			[]uint64{1, 1, 1, 1, 1, 1, 2}, []string{"signed in as Ada, 1 call", "signed in as Ada, 1 call"}},
		{"a failure and a retry", []runStep{
			{kind: kindChallenge, owner: owner{userAgent: "a"}},
			{at: 1, kind: kindRegistration, owner: owner{userAgent: "a"}, outcome: Failed},
			{at: 2, kind: kindChallenge, owner: owner{userAgent: "a"}},
		}, []uint64{1, 1, 1}, []string{"stopped at registration: status 0"}},
		{"a retry after a denial", []runStep{
			{kind: kindRegistration, owner: owner{userAgent: "a", clientID: "1"}},
			{at: 1, kind: kindDecision, owner: owner{userAgent: browser, clientID: "1", fromBrowser: true}, outcome: Failed},
			{at: 2, kind: kindChallenge, owner: owner{userAgent: "a"}},
		}, []uint64{1, 1, 1}, []string{"stopped at consent: status 0"}},
		{"a failure and a new sign-in", []runStep{
			{kind: kindRegistration, owner: owner{userAgent: "a"}, outcome: Failed},
			{at: 2 * retryTime, kind: kindChallenge, owner: owner{userAgent: "a"}},
		}, []uint64{1, 2}, []string{"stopped at registration: status 0", "asked to sign in"}},
		{"the server's own requests", []runStep{
			{kind: kindKeys, owner: owner{userAgent: "gatehouse", fromServer: true}, from: Server},
			{at: time.Minute, kind: kindChallenge, owner: owner{userAgent: "a"}},
			{at: time.Minute + 1, kind: kindKeys, owner: owner{userAgent: "gatehouse", fromServer: true}, from: Server},
			{at: time.Hour, kind: kindKeys, owner: owner{userAgent: "gatehouse", fromServer: true}, from: Server},
		}, []uint64{1, 2, 2, 1}, []string{"connected to Clerk", "asked to sign in"}},
		{"a session without a token", []runStep{
			{kind: kindCall, owner: owner{userAgent: "a", clientID: "1", session: "s", user: "Ada"}},
			{at: 2 * discoveryTime, kind: kindStream, owner: owner{userAgent: "a", session: "s"}},
			{at: 2*discoveryTime + 1, kind: kindCall, owner: owner{userAgent: "b", clientID: "2", session: "s", user: "Mallory"}},
		}, []uint64{1, 1, 2}, []string{"signed in as Ada, 1 call", "signed in as Mallory, 1 call"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var a runs
			var got []uint64
			start := time.Now()
			for _, s := range test.steps {
				if s.outcome == "" {
					s.outcome = Succeeded
				}
				got = append(got, a.add(Step{Time: start.Add(s.at), Kind: s.kind, Outcome: s.outcome, From: s.from}, s.owner).ID)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("runs (-want +got):\n%s", diff)
			}
			var headlines []string
			for _, r := range a.list {
				headlines = append(headlines, r.Headline)
			}
			if diff := cmp.Diff(test.headlines, headlines); diff != "" {
				t.Errorf("headlines (-want +got):\n%s", diff)
			}
		})
	}
}
